"""The table of pipelines and what is generated from it."""

import json
import re
import shlex
import subprocess
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lxml import etree

from pipelines.catalog import load_catalog
from pipelines.catalog.files import generate_files
from pipelines.catalog.table import read_catalog
from pipelines.cli.export import export

CATALOG = Path(str(resources.files("pipelines.catalog")))
NAMES = [
    "process_DWI", "process_T1w_SR", "process_T2", "process_CEST", "process_SUV", "Mask_Average",
    "Mask_Average_PET", "Mask_Average_CT",
    "process_DWI_project", "process_T1w_SR_project", "process_T2_project", "process_CEST_project",
    "Mask_Average_project", "process_SUV_project", "Mask_Average_PET_project",
    "Mask_Average_CT_project",
]  # fmt: skip
RESOURCES = {
    "process_DWI": "PROCESSED_DWI",
    "process_T1w_SR": "PROCESSED_T1_SR",
    "process_T2": "PROCESSED_T2",
    "process_CEST": "PROCESSED_CEST",
    "process_SUV": "PROCESSED_SUV",
    "Mask_Average": "ANALYSED",
    "Mask_Average_PET": "ANALYSED",
    "Mask_Average_CT": "ANALYSED",
}
# Sessions that are not MR.
SESSIONS = {
    "process_SUV": "xnat:petSessionData", "Mask_Average_PET": "xnat:petSessionData",
    "Mask_Average_CT": "xnat:ctSessionData",
}  # fmt: skip
P = "{http://nrg.wustl.edu/pipeline}"
FILES = generate_files(load_catalog())
XML = [name for name in FILES if name.endswith(".xml")]
JSON = [name for name in FILES if name.endswith(".json")]


def _table():
    return tomllib.loads((CATALOG / "catalog.toml").read_text("utf-8"))


def test_the_pipelines_their_sessions_and_resources():
    catalog = load_catalog()
    assert [one.name for one in catalog.pipelines] == NAMES
    for one in catalog.pipelines:
        assert one.resource == RESOURCES[one.name.removesuffix("_project")]
        assert (one.level == "project") == one.name.endswith("_project")
        assert one.applies_to == SESSIONS.get(
            one.name.removesuffix("_project"), "xnat:mrSessionData"
        )
        if one.level == "project":
            assert one.session == one.name.removesuffix("_project")


def test_the_forms_offer_the_models_of_the_maps():
    catalog = load_catalog()
    assert set(catalog.pipeline("process_DWI").input("model").choices) >= {"adc", "dti", "ivim"}
    assert set(catalog.pipeline("process_T2").input("model").choices) >= {"2p", "3p"}
    assert catalog.pipeline("process_T2").input("skip_echoes").default == "auto"
    assert catalog.pipeline("process_T2").input("scans").form == "scanids"
    with pytest.raises(KeyError):
        catalog.pipeline("process_T3")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("pipeline", 0, "name"), "rm -rf", "letters, digits"),
        (("pipeline", 0, "name"), "process_T2", "of its own"),
        (("pipeline", 0, "level"), "site", "neither session nor project"),
        (("pipeline", 5, "session"), "nothing", "session pipeline it repeats"),
        (("pipeline", 2, "inputs"), ["model_t2", "model_t1"], "asks twice"),
        (("input", "model_t2", "default"), "9p", "is no choice"),
        (("input", "model_t2", "default"), "3p", "first choice"),
        (("input", "model_t2", "type"), "colour", "is unknown"),
        (("input", "scans", "link"), "", "contradict"),
        (("input", "scans", "form"), "a b", "letters, digits"),
        (("input", "model_t2", "ticks"), {}, "three or more"),
        (("input", "model_t1", "ticks"), {"a": "2p", "b": "3p"}, "three or more"),
        (("input", "map", "empty"), "", "word for none"),
        (("input", "skip_echoes", "empty"), "all", "word for none"),
        (("input", "offsets", "empty"), "3.5,2.0", "no single word"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(path, value, words):
    table = _table()
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ValueError, match=words):
        read_catalog(table)


def test_the_committed_files_are_those_of_the_table():
    there = {
        path.relative_to(CATALOG).as_posix(): path.read_text("utf-8")
        for end in ("xml", "json")
        for path in CATALOG.rglob(f"*.{end}")
    }
    assert there == FILES, "run: python -m pipelines.catalog.files"


def _asked(name):
    """Return what XNAT's form asks for: what it shows, by name."""
    root = etree.fromstring(FILES[f"engine/xnat_pic/{name}.xml"].encode())
    return {
        one.findtext(f"{P}name"): (
            one.findtext(f"{P}values/{P}schemalink") or one.findtext(f"{P}values/{P}csv")
        )
        for one in root.iter(f"{P}parameter")
        if one.getparent().tag == f"{P}input-parameters"
    }


SCAN_IDS = "xnat:imageSessionData/scans/scan/ID"
ASSESSOR_IDS = "xnat:imageSessionData/assessors/assessor/ID"
SIGMA = {"noise_sigma": "auto"}
T1_MODEL, CEST_MODEL = {"model_2p_or_3p": "2p"}, {"model_mtr_or_wasabi": "mtr"}
T2 = {
    "model": "2p_default,3p_with_offset,auto_better_of_2p_and_3p,epg_stimulated_echoes",
    "echoes_to_skip": "auto",
}
DWI = {
    "model": "auto_default_tensor_or_ADC,adc_one_ADC,dti_tensor_or_nothing,"
    "ivim_perfusion_and_diffusion"
}
RASTER = {
    "accept_other_frame_of_reference": "no",
    "rasterizer_ours_or_dcmrtstruct2nii": "ours",
}
MAPS = {"map_names": "all", "made_with_hash": "the_only_one", "count_flagged_voxels": "no"}
ROIS = {"parametric_scan": SCAN_IDS, "roi_collections": ASSESSOR_IDS, **MAPS, **RASTER}
PROJECT = {
    "compute_again": "no", "parallel_sessions": "one_per_processor",
    "dask_scheduler": "this_machine",
}  # fmt: skip
ASKED = {
    "process_DWI": {"scanids": SCAN_IDS, **DWI, **SIGMA},
    "process_T1w_SR": {"scanids": SCAN_IDS, **T1_MODEL, **SIGMA},
    "process_T2": {"scanids": SCAN_IDS, **T2, **SIGMA},
    "process_CEST": {
        "scanids": SCAN_IDS, **CEST_MODEL, "offsets_ppm": "3.5_and_2.0",
        "b0_scan_id": "from_Z_spectra", **SIGMA,
    },
    "process_SUV": {
        "scanids": SCAN_IDS, "body_weight_g": "from_images", "injected_dose_MBq": "from_images",
        "injection_time": "from_images", "frame_from_1": "last",
    },
    "Mask_Average": {"anatomical_scan": SCAN_IDS, **ROIS},
    "Mask_Average_PET": {"anatomical_scan": SCAN_IDS, **ROIS},
    "Mask_Average_CT": {"anatomical_scan": SCAN_IDS, "roi_collections": ASSESSOR_IDS, **RASTER},
    "process_DWI_project": {**DWI, **SIGMA, **PROJECT},
    "process_T1w_SR_project": {**T1_MODEL, **SIGMA, **PROJECT},
    "process_T2_project": {**T2, **SIGMA, **PROJECT},
    "process_CEST_project": {**CEST_MODEL, "offsets_ppm": "3.5_and_2.0", **SIGMA, **PROJECT},
    "Mask_Average_project": {**MAPS, **RASTER, **PROJECT},
    "process_SUV_project": {"frame_from_1": "last", **PROJECT},
    "Mask_Average_PET_project": {**MAPS, **RASTER, **PROJECT},
    "Mask_Average_CT_project": {**RASTER, **PROJECT},
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_and_values_of_a_form_explain_themselves(name):
    """XNAT's form shows nothing else; a comma would make check boxes of a text."""
    assert _asked(name) == ASKED[name]


@pytest.mark.parametrize("name", NAMES)
def test_no_expression_says_what_somebody_typed_but_the_quoted_argument(name):
    root = etree.fromstring(FILES[f"engine/xnat_pic/{name}.xml"].encode())
    quoted = re.compile(r"""\^concat\("'",replace\(.*,"'","'\\\\''"\),"'"\)\^""")
    for asked in _asked(name):
        named = [one for one in root.iter() if f"[name='{asked}']" in (one.text or "")]
        assert [one.tag for one in named] == [f"{P}value"], asked
        assert quoted.fullmatch(named[0].text), named[0].text
        assert named[0].getparent().tag == f"{P}argument"
    shown = [one.get("description", "") for one in root.iter(f"{P}step")]
    assert not any("^" in text for text in shown)


def test_a_change_of_the_table_changes_the_files():
    catalog = load_catalog()
    other = replace(catalog, version="9.9")
    assert all("9.9" in text for name, text in generate_files(other).items() if "_step" not in name
               and "make_folders" not in name)  # fmt: skip


@pytest.fixture(scope="module")
def schema(shared_data):
    path = shared_data / "xnat_schemas" / "pipeline_engine" / "pipeline.xsd"
    return etree.XMLSchema(etree.parse(str(path)))


@pytest.mark.parametrize("name", XML)
def test_documents_are_valid_by_the_engines_schema(schema, name):
    document = etree.fromstring(FILES[name].encode())
    assert schema.validate(document), schema.error_log


def test_the_schema_refuses_what_is_wrong(schema):
    name = next(name for name in XML if name.endswith("process_T2.xml"))
    wrong = FILES[name].replace("<description>", "<wrong/><description>", 1)
    assert not schema.validate(etree.fromstring(wrong.encode()))


@pytest.mark.parametrize("name", [name for name in XML if "/resources/" not in name])
def test_descriptors_use_plain_xpath_and_mask_the_token(name):
    root = etree.fromstring(FILES[name].encode())
    expressions = [text for text in root.itertext() if "^" in text]
    known = {"concat", "last", "replace", "string", "string-join", "text"}
    for one in expressions:
        assert one.startswith("^")
        assert one.endswith("^")
        assert set(re.findall(r"([\w:-]+)\(", one)) <= known, one
    step = FILES[name.replace("xnat_pic/", "xnat_pic/resources/").replace(".xml", "_step.xml")]
    masked = {
        one.get("id"): one.get("isSensitive")
        for one in etree.fromstring(step.encode()).iter(P + "argument")
    }
    assert {key for key, value in masked.items() if value == "true"} == {"alias", "secret"}
    words = [text for text in expressions if "'pwd'" in text]
    assert len(words) == 1, "the secret goes to one argument and nowhere else"


@pytest.mark.parametrize("name", JSON)
def test_values_of_a_container_never_stand_in_its_command_line(name):
    command = json.loads(FILES[name])
    assert "#" not in command["command-line"]
    words = shlex.split(command["command-line"])
    assert words[:2] == ["sh", "-c"]
    assert len(words) == 3
    declared = set(command["environment-variables"])
    used = set(re.findall(r"\$\{?(XNAT_PIC_\w+)", words[2]))
    assert used <= declared
    assert all(f'"${one}' in words[2] for one in used), "each is between double quotes"
    keys = {one["replacement-key"] for one in command["inputs"]}
    assert keys == {v for v in command["environment-variables"].values() if v.startswith("#")}
    assert not any(one.get("sensitive") for one in command["inputs"])
    wrapper = command["xnat"][0]
    fed = {one.get("provides-value-for-command-input") for one in wrapper["derived-inputs"]}
    asked = {one["name"] for one in command["inputs"]}
    assert fed - {None} <= asked
    outputs = {one["name"] for one in command["outputs"]}
    assert {one["accepts-command-output"] for one in wrapper["output-handlers"]} <= outputs


def test_export_writes_all_and_says_how_to_go_on(tmp_path):
    folder = tmp_path / "out"
    (folder / "engine").mkdir(parents=True)
    (folder / "engine" / "theirs.xml").write_text("<theirs/>", "utf-8")
    done = CliRunner().invoke(export, [str(folder), "--bin", "/opt/xnat-pic/bin", "--json"])
    assert done.exit_code == 0, done.output
    names = json.loads(done.stdout)
    assert sorted(names) == sorted(FILES)
    assert "catalog" in done.stderr
    step = (folder / "engine/xnat_pic/resources/process_T2_step.xml").read_text("utf-8")
    assert "<location>/opt/xnat-pic/bin</location>" in step
    assert (folder / "engine" / "theirs.xml").is_file()
    left = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert left == {*FILES, "engine/theirs.xml"}


@pytest.mark.parametrize("network", ["", "xnat-network"])
def test_containers_are_started_where_the_server_is_found(tmp_path, network):
    """Docker finds a service by its name in its own networks alone; the commands name one."""
    done = CliRunner().invoke(export, [str(tmp_path), "--network", network])
    assert done.exit_code == 0, done.output
    commands = [json.loads(path.read_text("utf-8")) for path in tmp_path.rglob("containers/*.json")]
    assert commands
    for one in commands:
        reaches = one["name"].endswith("_scan")  # its files are mounted: it asks no server
        assert one.get("network", "") == ("" if reaches else network), one["name"]
        assert one["reserve-memory"] == 2000  # MiB
        assert one["limit-memory"] == 8000
        assert "limit-cpu" not in one, "Docker refuses more processors than its host has"


def test_a_site_limits_its_containers(tmp_path):
    words = ["--reserve-memory", "0", "--limit-memory", "3000", "--limit-cpu", "1.5"]
    done = CliRunner().invoke(export, [str(tmp_path), *words])
    assert done.exit_code == 0, done.output
    for path in tmp_path.rglob("containers/*.json"):
        one = json.loads(path.read_text("utf-8"))
        assert "reserve-memory" not in one
        assert (one["limit-memory"], one["limit-cpu"]) == (3000, 1.5)
    done = CliRunner().invoke(export, [str(tmp_path), "--limit-memory", "1000"])
    assert done.exit_code == 2
    assert "below --reserve-memory" in done.output
    done = CliRunner().invoke(export, [str(tmp_path / "new"), "--limit-cpu", "nan"])
    assert done.exit_code == 2
    assert not (tmp_path / "new").exists()  # no JSON has such a number


def test_a_project_pipeline_is_started_once_for_its_project():
    """XNAT offers it on a project's page, and not in a batch over sessions."""
    for one in load_catalog().pipelines:
        command = json.loads(FILES[f"containers/{one.name}.json"])
        (wrapper,) = command["xnat"]
        (root,) = wrapper["external-inputs"]
        fed = {
            two["provides-value-for-command-input"]: two["derived-from-xnat-object-property"]
            for two in wrapper["derived-inputs"]
        }
        if one.level == "project":
            assert (wrapper["contexts"], root["type"]) == (["xnat:projectData"], "Project")
            assert fed == {"project": "id"}, "its label is the project's title"
            assert "--session" not in command["command-line"]
        else:
            assert (wrapper["contexts"], root["type"]) == ([one.applies_to], "Session")
            assert fed == {"project": "project-id", "session": "id", "label": "label"}


def test_pipelines_of_one_page_have_names_that_tell_them_apart():
    offered = [
        (wrapper["contexts"][0], wrapper["label"])
        for name in JSON
        for wrapper in json.loads(FILES[name])["xnat"]
    ]
    assert len(set(offered)) == len(offered)


@pytest.mark.parametrize("name", JSON)
def test_no_default_or_choice_holds_what_the_service_refuses(name):
    for one in json.loads(FILES[name])["inputs"]:
        for value in (one.get("default-value", ""), *one.get("select-values", ())):
            assert not any(sign in value for sign in (";", "&&", "||", "`", "(")), one["name"]


def test_the_rasterizer_is_asked_for_only_where_the_other_one_is_installed(tmp_path):
    done = CliRunner().invoke(export, [str(tmp_path), "--without-dcmrtstruct2nii"])
    assert done.exit_code == 0, done.output
    assert any("dcmrtstruct2nii" in text for text in FILES.values())
    for path in tmp_path.rglob("*.*"):
        assert "rasterizer" not in path.read_text("utf-8"), path.name


def test_certificates_of_the_site_travel_in_the_commands_that_ask_the_server(tmp_path):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site")])
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    pem = tmp_path / "site.pem"
    pem.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    done = CliRunner().invoke(export, [str(tmp_path), "--ca-bundle", str(pem)])
    assert done.exit_code == 0, done.output
    word = "".join(pem.read_text().split("-----")[2].split())
    for path in tmp_path.rglob("containers/*.json"):
        command = json.loads(path.read_text("utf-8"))
        line = shlex.split(command["command-line"])[2]
        assert (word in line) == (" step " in line)
        # The service keeps 255 letters of a variable: the certificate is in the line.
        assert all(len(one) <= 255 for one in command["environment-variables"].values())
        if word in line:
            said = ["sh", "-c", line.replace("xnat-pic-pipelines step", "env; true")]
            env = subprocess.run(said, capture_output=True, text=True, check=True, env={})
            assert f"XNAT_PIC_CA_CERTIFICATES={word}\n" in env.stdout


@pytest.mark.parametrize("arguments", [["--bin", "bin"], []])
def test_export_refuses_what_cannot_be_done(tmp_path, arguments):
    target = tmp_path / "file"
    target.write_text("", "utf-8")
    where = tmp_path / "out" if arguments else target
    done = CliRunner().invoke(export, [str(where), *arguments])
    assert done.exit_code == 2
    assert not (tmp_path / "out").exists()
