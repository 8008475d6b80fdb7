"""Every pipeline of the catalog, launched by its committed descriptor on a real session."""

import sys
from importlib import resources
from pathlib import Path

import pytest
from drawn import aim, draw, static_series, store

from pipelines.catalog import load_catalog

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sandbox" / "engine"))

from engine_bench import Bench as EngineBench

SCANS = {
    "process_T2": ["30001"],
    "process_T1w_SR": ["40001"],
    "process_DWI": ["50001", "60001"],
    "process_CEST": ["70001"],
}


def _all(engine, names, **parameters):
    """Launch pipelines at the same time and wait for their ends."""
    runs = {name: engine.launch(name, **parameters) for name in names}
    ended = {name: engine.end(number) for name, number in runs.items()}
    wrong = {name: one.err for name, one in ended.items() if one.status != "Complete"}
    assert wrong == {}
    return ended


@pytest.mark.slow
def test_every_descriptor_of_the_catalog_runs(bench, mouse_dicom):
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    engine = EngineBench(bench.served, bench.mr, catalog)
    engine.use(catalog)
    named = {one.name: one for one in load_catalog().pipelines}
    sessions = ["Mask_Average", "Mask_Average_PET", "Mask_Average_CT", "process_SUV", *SCANS]
    assert set(named) == {*sessions, *(f"{name}_project" for name in sessions)}
    series = next(one for one in mouse_dicom.rglob("40001_*") if one.is_dir())
    store(bench, "AIM", aim(draw(series)), "R1")

    _all(engine, SCANS)
    for name, scans in SCANS.items():
        for scan in scans:
            made = [one for one in bench.scan(scan) if one.endswith("/maps.json")]
            assert len(made) == 1, (name, scan, made)
            assert made[0].startswith(f"{named[name].resource}/")
    ended = _all(engine, ["Mask_Average"])["Mask_Average"]
    assert "R1" in ended.err
    assert any(one.startswith("ANALYSED/") for one in bench.scan("40001"))

    projects = [f"{name}_project" for name in SCANS]
    for name, one in _all(engine, projects, parallel_sessions="1").items():
        assert "1 of 1 sessions done" in engine.page(one.number, f"{name} on ")  # the mail
    _all(engine, ["Mask_Average_project"], parallel_sessions="1")
    subject = bench.served.rows("/data/projects/P1/subjects")[0]["ID"]
    of_subject = bench.files(f"/data/subjects/{subject}")
    for name, scans in SCANS.items():
        made = [one for one in of_subject if one.endswith("/maps.json")]
        mine = [one for one in made if one.startswith(f"{named[name].resource}/")]
        assert {one.split("/")[2] for one in mine} == set(scans)
    tables = [one.split("/") for one in bench.files("/data/projects/P1") if "summary.csv" in one]
    assert {one[1] for one in tables} == {*projects, "Mask_Average_project"}


@pytest.mark.slow
def test_descriptors_of_pet_and_ct_run_on_their_sessions(bench, mouse_dicom):
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    for modality, names in {
        "PT": ["process_SUV", "Mask_Average_PET"], "CT": ["Mask_Average_CT"],
    }.items():  # fmt: skip
        session = bench.sessions[modality]
        engine = EngineBench(bench.served, session, catalog)
        engine.use(catalog)
        disc = draw(static_series(mouse_dicom, modality), centre=(31.2, 30.9), radius=6.3)
        store(bench, "AIM", aim(disc), f"R_{modality}", session)
        for name in [*names, *(f"{one}_project" for one in names)]:
            more = {"parallel_sessions": "1"} if "project" in name else {}
            ended = _all(engine, [name], **more)[name]
            assert "Traceback" not in ended.err
            engine.page(ended.number, f"{name} on ")  # the mail
