"""Maps of a session on a real server of the sandbox."""

import pytest

from pipelines.xnat.session_run import run_session


def _run(bench, pipeline, tmp_path, session="", **parameters):
    return run_session(bench.access, pipeline, session or bench.mr, parameters, tmp_path / "work")


@pytest.mark.parametrize(
    ("pipeline", "parameters", "expected"),
    [
        ("process_T2", {}, {"30001": {"T2map"}}),
        ("process_T1w_SR", {}, {"40001": {"T1map"}}),
        ("process_DWI", {}, {"50001": {"ADC"}, "60001": {"FA", "MD"}}),
        ("process_DWI", {"model": "dti"}, {"60001": {"FA", "MD"}}),
        ("process_DWI", {"model": "ivim"}, {"50001": {"f"}}),
        ("process_CEST", {}, {"70001": set()}),
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
        assert any(name.endswith("/report.html") for name in stored)
    assert not (tmp_path / "work").exists()
