"""RO-Crate and DataCite: right by their own validators, and true."""

import hashlib
import json
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from datacite import schema45

from pipelines.fair.about import read_about
from pipelines.fair.crate import _times
from xnat_pic.errors import WrongCallError

ROOT = Path(__file__).resolve().parents[3]


def crate(folder):
    return json.loads((folder / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]


def references(value):
    """Every entity that a value refers to."""
    if isinstance(value, list):
        return [found for one in value for found in references(one)]
    if isinstance(value, dict) and set(value) == {"@id"}:
        return [value["@id"]]
    return []


def test_the_crate_names_every_file_once(exported):
    graph = crate(exported)
    files = [unquote(one["@id"]) for one in graph if one["@type"] == "File"]
    there = {p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file()}
    assert set(files) == there - {"ro-crate-metadata.json", "checksums.sha256"}
    assert len(files) == len(set(files))
    for one in graph:
        if one["@type"] == "File":
            size = (exported / unquote(one["@id"])).stat().st_size
            assert one["contentSize"] == str(size)


def test_references_lead_somewhere(exported):
    graph = crate(exported)
    known = {one["@id"] for one in graph}
    assert len(known) == len(graph)
    wanted = {ref for one in graph for value in one.values() for ref in references(value)}
    outside = {ref for ref in wanted - known if not ref.startswith(("http://", "https://"))}
    assert outside == set()


def test_a_run_tells_what_it_used_and_made(exported):
    [action] = [one for one in crate(exported) if one["@type"] == "CreateAction"]
    provenance = next(exported.glob("derivatives/xnat-pic-results/*_t2/provenance.json"))
    said = json.loads(provenance.read_text(encoding="utf-8"))
    assert said["parameters"] in action["description"]
    begin, end = (datetime.fromisoformat(action[name]) for name in ("startTime", "endTime"))
    assert [begin, end] == [datetime.fromisoformat(said[name]) for name in ("started", "ended")]
    assert begin < end
    images = [one["@id"] for one in action["object"] if one["@id"].endswith(".nii.gz")]
    assert len(images) == 8
    by_id = {one["@id"]: one for one in crate(exported)}
    assert {by_id[image]["identifier"] for image in images} == {
        f"urn:oid:{uid}" for uid in said["series"]
    }
    made = {one["@id"] for one in action["result"]}
    assert any(name.endswith("_T2map.nii.gz") for name in made)
    libraries = {
        by_id[one["@id"]]["name"]: by_id[one["@id"]]["softwareVersion"]
        for one in by_id[action["instrument"]["@id"]]["softwareRequirements"]
    }
    assert libraries == said["libraries"]


@pytest.mark.parametrize("said", ["yesterday", 20260102, None, "2026-01-02T10:00:00", ["x"]])
def test_a_time_that_is_none_is_left_out(said):
    right = "2026-01-02T11:00:00+01:00"
    assert _times({"started": said, "ended": right}) == {"endTime": right}


def _validator():
    """Python of the environment with roc-validator and rocrate."""
    named = os.environ.get("XNAT_PIC_ROC_PYTHON", "")
    path = Path(named) if named else ROOT / ".venv-crate" / "bin" / "python"
    if not path.is_file():
        pytest.fail("roc-validator needs an environment of its own: make test-install")
    return path


def ask(folder, profile):
    script = Path(__file__).with_name("check_crate.py")
    done = subprocess.run(
        [str(_validator()), str(script), str(folder), profile],
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("profile", ["ro-crate-1.1", "process-run-crate-0.5"])
def test_the_validator_accepts_the_crate(exported, profile):
    assert ask(exported, profile) == {"passed": True, "issues": []}


def test_the_validator_refuses_a_crate_without_licence(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "out")
    path = tmp_path / "out" / "ro-crate-metadata.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["@graph"][1]["license"]
    path.write_text(json.dumps(content), encoding="utf-8")
    said = ask(tmp_path / "out", "ro-crate-1.1")
    assert not said["passed"]
    assert any("license" in one["message"].lower() for one in said["issues"])


def test_checksums(exported):
    lines = (exported / "checksums.sha256").read_text(encoding="utf-8").splitlines()
    there = {p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file()}
    assert {line.partition("  ")[2] for line in lines} == there - {"checksums.sha256"}
    for line in lines:
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == digest


def test_datacite_fits_its_schema(exported):
    content = json.loads((exported / "datacite.json").read_text(encoding="utf-8"))
    assert schema45.validator.is_valid(content), list(schema45.validator.iter_errors(content))
    assert content["creators"][0]["nameIdentifiers"][0]["nameIdentifier"].endswith("1825-0097")
    assert content["publicationYear"] == "2026"
    broken = {**content, "publicationYear": ""}
    assert not schema45.validator.is_valid(broken)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('titel = "x"', "titel"),
        ("year = 26", "year"),
        ("title = 3", "title"),
        ("title = [", "is no valid TOML"),
        ('[[creators]]\ngiven = "A"', "family"),
        ('[[creators]]\nfamily = "A"\norcid = "0000-0002-1825-0098"', "ORCID"),
        ('[[creators]]\nfamily = "A"\nmail = "a@b.c"', "no other name"),
        ('keywords = "mouse"', "list"),
    ],
)
def test_what_people_say_is_checked(tmp_path, text, said):
    path = tmp_path / "about.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WrongCallError, match=said):
        read_about(path)
