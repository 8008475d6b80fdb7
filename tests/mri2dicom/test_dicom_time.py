"""Images of a time series say when each was taken."""

import pytest
from builder import make_reco
from cases import converted, datasets


def test_each_position_in_time_has_its_own_acquisition_time(tmp_path):
    """Three passes of 2 s each over two slices, begun at 23:59:59: the date turns too."""
    make_reco(
        tmp_path / "study",
        frames=6,
        groups=[("FG_SLICE", 2, "", ["VisuCorePosition"]), ("FG_CYCLE", 3)],
        position=[[0, 0, 0], [0, 0, 1]],
        visu={"VisuAcqDate": "2024-01-01T23:59:59,000+0200", "VisuAcqScanTime": 6000.0},
    )
    report = converted(tmp_path / "study", tmp_path / "out")
    found = datasets(report.series[0].path)
    moments = [(d.AcquisitionDate, float(d.AcquisitionTime)) for d in found]
    expected = [("20240101", 235959.0), ("20240102", 1.0), ("20240102", 3.0)]
    assert moments == [moment for moment in expected for _ in range(2)]
    assert [int(d.TemporalPositionIdentifier) for d in found] == [1, 1, 2, 2, 3, 3]
    assert all(float(d.TemporalResolution) == pytest.approx(2000.0) for d in found)
