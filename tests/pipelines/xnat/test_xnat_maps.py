"""Maps of a session on a real server of the sandbox."""

import json
import pickle
from io import BytesIO
from zipfile import ZipFile

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pyxnat import Interface

from pipelines.catalog import Input, Pipeline
from pipelines.maps.run import make_maps
from pipelines.xnat.client import RunClient
from pipelines.xnat.find import find_sessions, session_id
from pipelines.xnat.parameters import map_options, parse_parameters
from pipelines.xnat.session_run import run_session

SUV = Pipeline(
    name="process_SUV", label="SUV", level="session", description="SUV", makes="SUV",
    applies_to="xnat:petSessionData", resource="PROCESSED_SUV", command="suv",
    inputs=tuple(
        Input(name, name, "text", name, name)
        for name in ("scans", "weight_g", "dose_mbq", "injection_time", "frame")
    ),
)  # fmt: skip


def _run(bench, pipeline, tmp_path, session="", **parameters):
    return run_session(bench.access, pipeline, session or bench.mr, parameters, tmp_path / "work")


def _folders(stored):
    return {name.rpartition("/")[0] for name in stored if name.endswith("/maps.json")}


def _content(bench, session, scan, name):
    resource, _, path = name.partition("/")
    address = f"/data/experiments/{session}/scans/{scan}/resources/{resource}/files/{path}"
    answer = bench.served.get(address)
    assert answer.status_code == 200, address
    return answer.content


@pytest.mark.parametrize(
    ("pipeline", "parameters", "expected"),
    [
        ("process_T2", {}, {"30001": {"T2map"}}),
        ("process_T1w_SR", {}, {"40001": {"T1map"}}),
        ("process_DWI", {}, {"50001": {"ADC"}, "60001": {"FA", "MD"}}),
        ("process_DWI", {"model": "ivim"}, {"50001": {"f"}}),
        ("process_CEST", {}, {"70001": {"B0map"}}),
    ],
)
def test_each_pipeline_finds_its_scans_by_their_headers(
    bench, tmp_path, pipeline, parameters, expected
):
    outcome = _run(bench, pipeline, tmp_path, **parameters)
    assert (outcome.exit_code, outcome.failure) == (0, ""), outcome
    made = {}
    for row in outcome.maps:
        made.setdefault(row["scan"], set()).add(row["name"])
    assert set(made) == set(expected)
    for scan, names in expected.items():
        assert names <= made[scan], made
        stored = bench.scan(scan)
        assert sum(name.endswith("/maps.json") for name in stored) == 1
        for wanted in ("report.html", "log.txt", "results.mat", "provenance.json"):
            assert any(name.endswith(f"/{wanted}") for name in stored), wanted
    for scan in {"10001", "20001", "30001", "40001", "50001", "60001", "70001"} - set(expected):
        assert not bench.scan(scan), f"something was stored with scan {scan}"
    assert not (tmp_path / "work").exists()


def test_what_is_stored_is_what_the_same_images_give_without_a_server(bench, tmp_path, mouse_dicom):
    """Download, naming and upload change no voxel."""
    assert _run(bench, "process_T1w_SR", tmp_path).exit_code == 0
    series = next(one for one in mouse_dicom.rglob("40001_*") if one.is_dir())
    summary = make_maps(
        "t1sr", series, tmp_path / "own", map_options(parse_parameters("process_T1w_SR", {}))
    )
    assert summary.maps
    stored = {name.rpartition("/")[2]: name for name in bench.scan("40001")}
    compared = 0
    for path in (tmp_path / "own").glob("*.nii.gz"):
        data = _content(bench, bench.mr, "40001", stored[path.name])
        (tmp_path / "got.nii.gz").write_bytes(data)
        ours, theirs = nib.load(path), nib.load(tmp_path / "got.nii.gz")
        assert np.array_equal(ours.affine, theirs.affine)
        assert np.array_equal(ours.get_fdata(), theirs.get_fdata(), equal_nan=True)
        compared += 1
    assert compared >= 3


def test_suv_of_a_pet_session(bench, tmp_path):
    outcome = _run(bench, SUV, tmp_path, bench.pet)
    assert outcome.exit_code == 0, outcome
    assert {row["name"] for row in outcome.maps} >= {"SUVbw"}
    scans = {row["scan"] for row in outcome.maps}
    assert all(_folders(bench.scan(scan, bench.pet)) for scan in scans)


def test_two_ticked_scans_and_no_other(bench, tmp_path):
    outcome = _run(bench, "process_DWI", tmp_path, scans="50001,60001")
    assert outcome.exit_code == 0, outcome
    assert {row["scan"] for row in outcome.maps} == {"50001", "60001"}
    one = _run(bench, "process_DWI", tmp_path, scans="60001", sigma="0")
    assert {row["scan"] for row in one.maps} == {"60001"}


def test_ticked_scans_that_do_not_suit_are_left_out_and_said(bench, tmp_path):
    outcome = _run(bench, "process_T1w_SR", tmp_path, scans="20001 40001")
    assert {row["scan"] for row in outcome.maps} == {"40001"}
    assert outcome.exit_code == 0
    assert any("20001" in text and "left out" in text for text in outcome.warnings), outcome
    assert not bench.scan("20001")


def test_all_scans_ticked_is_as_none_ticked(bench, tmp_path):
    scans = [row["ID"] for row in bench.served.rows(f"/data/experiments/{bench.mr}/scans")]
    assert len(scans) > 3
    outcome = _run(bench, "process_T1w_SR", tmp_path, scans=",".join(scans))
    assert outcome.exit_code == 0
    assert outcome.warnings == _run(bench, "process_T1w_SR", tmp_path).warnings
    assert {row["scan"] for row in outcome.maps} == {"40001"}


def test_the_log_says_of_every_other_scan_why_it_was_left_out(bench, tmp_path):
    scans = [row["ID"] for row in bench.served.rows(f"/data/experiments/{bench.mr}/scans")]
    empty = f"/data/experiments/{bench.mr}/scans/88"
    assert bench.served.put(empty, params={"xsiType": "xnat:mrScanData", "type": "MSME"}).ok
    lines = []
    outcome = run_session(
        bench.access, "process_T2", bench.mr, {"scans": ",".join([*scans, "88"])},
        tmp_path / "work", report=lines.append,
    )  # fmt: skip
    assert {row["scan"] for row in outcome.maps} == {"30001"}
    said = {line.split()[1]: line for line in lines if "was left out" in line}
    assert set(said) == {*scans, "88"} - {"30001"}
    assert "its ScanningSequence is GR" in said["10001"]
    assert "its images have one echo time" in said["40001"]
    assert "it has no images in a resource DICOM" in said["88"]


@pytest.mark.parametrize(
    ("session", "pipeline", "parameters", "code", "words"),
    [
        ("pet", "process_T2", {}, 3, "no scan that serves process_T2"),
        ("mr", "process_T2", {"scans": "999"}, 3, "no scan 999"),
        ("mr", "process_T2", {"scans": "10001"}, 3, "Scan 10001 was left out"),
        ("mr", "process_T2", {"model": "four"}, 2, "'four' is no choice for model"),
        ("mr", "process_T2", {"offsets": "3.5"}, 2, "process_T2 has no input offsets"),
        ("mr", "process_T2", {"skip_echoes": "-1"}, 2, "skip_echoes"),
        ("mr", "process_T9", {}, 2, "There is no pipeline process_T9"),
        ("no", "process_T2", {}, 6, "There is no session"),
    ],
)
def test_nothing_done_is_said_in_words(bench, tmp_path, session, pipeline, parameters, code, words):
    named = {"pet": bench.pet, "mr": bench.mr, "no": "XNAT_E99999"}[session]
    outcome = _run(bench, pipeline, tmp_path, named, **parameters)
    assert (outcome.exit_code, outcome.maps) == (code, ())
    assert words in outcome.failure
    assert "Traceback" not in outcome.failure
    if named in (bench.mr, bench.pet):
        results = bench.files(f"/data/experiments/{named}/scans/30001")
        assert all(name.startswith("DICOM/") for name in results)


def test_a_scan_whose_names_mislead_and_whose_files_are_in_no_order(bench, tmp_path, mouse_dicom):
    """Headers decide: names of scan and files say something else here."""
    series = next(one for one in mouse_dicom.rglob("30001_*") if one.is_dir())
    files = sorted(series.glob("*.dcm"), key=lambda one: pydicom.dcmread(one).InstanceNumber)
    heads = [pydicom.dcmread(one, stop_before_pixels=True) for one in files]
    first = heads[0].EchoTime
    # First, second and last are of one echo: where few are looked at, nothing differs.
    same = [number for number, one in enumerate(heads) if one.EchoTime == first]
    others = [number for number, one in enumerate(heads) if one.EchoTime != first]
    assert len(same) >= 3
    order = [*same[:-1], *others, same[-1]]
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        for number, place in enumerate(order):
            archive.write(files[place], f"{number:04d}.dcm")
    scan = f"/data/experiments/{bench.mr}/scans/77"
    made = bench.served.put(
        scan, params={"xsiType": "xnat:mrScanData", "type": "localizer", "UID": "2.25.77"}
    )
    assert made.status_code in (200, 201), made.text
    sent = bench.served.put(
        f"{scan}/resources/DICOM/files/a.zip",
        params={"extract": "true"},
        data=packed.getvalue(),
        headers={"Content-Type": "application/zip"},
    )
    assert sent.status_code == 200, sent.text
    outcome = _run(bench, "process_T2", tmp_path)
    assert {row["scan"] for row in outcome.maps} == {"30001", "77"}, outcome
    medians = {r["scan"]: r["median"] for r in outcome.maps if r["name"] == "T2map"}
    assert medians["77"] == medians["30001"]


def test_other_parameters_lie_beside_and_the_same_are_not_made_again(bench, tmp_path):
    first = _run(bench, "process_T1w_SR", tmp_path)
    stored = bench.scan("40001")
    again = _run(bench, "process_T1w_SR", tmp_path, model="2p", sigma="auto")
    assert (again.exit_code, again.skipped, again.parameters) == (0, True, first.parameters)
    assert bench.scan("40001") == stored
    assert [row["median"] for row in again.maps] == [row["median"] for row in first.maps]
    other = _run(bench, "process_T1w_SR", tmp_path, model="3p")
    assert not other.skipped
    both = bench.scan("40001")
    assert len(_folders(both)) == 2
    assert {name: both[name] for name in stored} == stored


def test_the_same_parameters_are_replaced_and_nothing_is_doubled(bench, tmp_path):
    first = _run(bench, "process_T1w_SR", tmp_path)
    stored = bench.scan("40001")
    again = _run(bench, "process_T1w_SR", tmp_path, redo="true")
    assert (again.exit_code, again.skipped) == (0, False)
    assert set(bench.scan("40001")) == set(stored)
    assert [row["median"] for row in again.maps] == [row["median"] for row in first.maps]


def test_new_images_are_computed_anew(bench, tmp_path):
    """A result counts as done for the images it was made of, not for others of the scan."""
    _run(bench, "process_T1w_SR", tmp_path)
    before = bench.scan("40001")
    images = bench.files(f"/data/experiments/{bench.mr}/scans/40001")
    name = sorted(one for one in images if one.startswith("DICOM/"))[0].removeprefix("DICOM/")
    address = f"/data/experiments/{bench.mr}/scans/40001/resources/DICOM/files/{name}"
    head = pydicom.dcmread(BytesIO(bench.served.get(address).content))
    middle = len(head.PixelData) // 4 * 2
    head.PixelData = head.PixelData[:middle] + b"\x39\x05" + head.PixelData[middle + 2 :]
    changed = BytesIO()
    head.save_as(changed, enforce_file_format=True)
    sent = bench.served.put(
        address, params={"inbody": "true", "overwrite": "true"}, data=changed.getvalue()
    )
    assert sent.status_code == 200
    outcome = _run(bench, "process_T1w_SR", tmp_path)
    assert (outcome.exit_code, outcome.skipped) == (0, False)
    after = bench.scan("40001")
    assert set(after) == set(before)
    assert after != before


def test_a_damaged_result_is_made_again(bench, tmp_path):
    _run(bench, "process_T1w_SR", tmp_path)
    stored = bench.scan("40001")
    name = next(one for one in stored if one.endswith("/sub-m01_T1map.nii.gz"))
    resource, _, path = name.partition("/")
    address = f"/data/experiments/{bench.mr}/scans/40001/resources/{resource}/files/{path}"
    bench.served.put(address, params={"inbody": "true", "overwrite": "true"}, data=b"broken")
    outcome = _run(bench, "process_T1w_SR", tmp_path)
    assert (outcome.exit_code, outcome.skipped) == (0, False)
    assert bench.scan("40001")[name][0] == stored[name][0]


def test_results_say_what_they_were_made_of(bench, tmp_path):
    _run(bench, "process_T1w_SR", tmp_path)
    stored = bench.scan("40001")
    text = _content(
        bench, bench.mr, "40001", next(n for n in stored if n.endswith("provenance.json"))
    )
    step = json.loads(text)["step"]
    assert step["pipeline"] == "process_T1w_SR"
    assert (step["session_id"], step["scan"], step["project"]) == (bench.mr, "40001", "P1")
    folder = next(iter(_folders(stored)))
    for name, (size, md5) in step["files"].items():
        assert stored[f"{folder}/{name}"] == (size, md5)


def test_one_broken_scan_does_not_stop_the_other(bench, tmp_path):
    address = f"/data/experiments/{bench.mr}/scans/50001/resources/DICOM/files"
    images = bench.files(f"/data/experiments/{bench.mr}/scans/50001")
    names = sorted(one.removeprefix("DICOM/") for one in images)
    for name in names[3:]:  # cut in their pixels
        data = bench.served.get(f"{address}/{name}").content
        cut = data[: len(data) - 300]
        bench.served.put(
            f"{address}/{name}", params={"inbody": "true", "overwrite": "true"}, data=cut
        )
    outcome = _run(bench, "process_DWI", tmp_path, scans="50001,60001")
    assert outcome.exit_code == 8, outcome
    assert outcome.failure
    assert {row["scan"] for row in outcome.maps} == {"60001"}
    assert _folders(bench.scan("60001"))
    assert not bench.scan("50001")
    assert (tmp_path / "work" / "LOGS" / "log.txt").exists(), "kept on a failure"
    summary = bench.files(f"/data/experiments/{bench.mr}")
    assert any(name.endswith("/summary.json") for name in summary), "told on the server too"


def test_images_by_path_where_the_disk_is_shared_and_by_network_where_not(
    bench, tmp_path, monkeypatch
):
    lines = []
    work = tmp_path / "work"
    by_path = run_session(bench.access, "process_T1w_SR", bench.mr, {}, work, report=lines.append)
    assert any("files by path" in one for one in lines)
    lines.clear()
    monkeypatch.setattr("pipelines.xnat.files._is_same", lambda path, file: False)
    redo = {"redo": "true"}
    by_net = run_session(bench.access, "process_T1w_SR", bench.mr, redo, work, report=lines.append)
    assert any("files by network" in one for one in lines)
    assert [row["median"] for row in by_net.maps] == [row["median"] for row in by_path.maps]


def test_a_project_pipeline_stores_with_the_subject(bench, tmp_path):
    outcome = _run(bench, "process_T1w_SR_project", tmp_path)
    assert outcome.exit_code == 0, outcome
    assert not bench.scan("40001")
    subject = bench.served.rows("/data/projects/P1/subjects")[0]["ID"]
    head = f"PROCESSED_T1_SR/{outcome.label}/40001/"
    stored = bench.files(f"/data/subjects/{subject}")
    assert stored
    assert all(name.startswith(head) for name in stored), stored
    assert _run(bench, "process_T1w_SR_project", tmp_path).skipped


def test_outcome_and_access_travel_between_processes(bench, tmp_path):
    outcome = _run(bench, "process_T1w_SR", tmp_path, scans="10001")
    assert pickle.loads(pickle.dumps(outcome)) == outcome
    assert pickle.loads(pickle.dumps(bench.access)) == bench.access
    assert bench.access.secret not in repr(bench.access)
    assert bench.access.alias not in repr(bench.access)


def test_sessions_of_a_project(bench):
    """By ID and label, as pyxnat lists them too."""
    with RunClient(bench.access) as client:
        found = {one.id: one for one in find_sessions(client, "P1")}
        mr = found[bench.mr]
        for named in (mr.label, bench.mr):
            assert session_id(client, "P1", named) == bench.mr
    assert set(found) == set(bench.sessions.values())
    assert mr.type == "xnat:mrSessionData"
    interface = Interface(
        server=bench.served.url, user=bench.access.alias, password=bench.access.secret
    )
    columns = ["ID", "label", "subject_label", "xsiType"]
    listed = interface.array.experiments(
        project_id="P1", experiment_type="xnat:imageSessionData", columns=columns
    ).data
    interface.disconnect()
    rows = [{name.lower(): value for name, value in row.items()} for row in listed]
    assert {tuple(row[name.lower()] for name in columns) for row in rows} == {
        (one.id, one.label, one.subject, one.type) for one in found.values()
    }


def test_a_folder_with_files_of_somebody_else_is_refused(bench, tmp_path):
    own = tmp_path / "work" / "RAW" / "precious.dat"
    own.parent.mkdir(parents=True)
    own.write_text("raw data")
    outcome = _run(bench, "process_T1w_SR", tmp_path)
    assert outcome.exit_code == 2
    assert "which no run made" in outcome.failure
    assert own.read_text() == "raw data"
    assert not bench.scan("40001")


def test_a_run_that_is_asked_to_end_ends_between_the_parts(bench, tmp_path):
    outcome = run_session(
        bench.access, "process_T1w_SR", bench.mr, {}, tmp_path / "work", cancel=lambda: True
    )
    assert outcome.exit_code == 130
    assert "stopped" in outcome.failure
    assert not bench.scan("40001")
