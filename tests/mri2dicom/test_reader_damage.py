"""Damaged, incomplete and absurd input: a series, or a sentence; never another exception."""

import errno
import itertools
from pathlib import Path

import numpy as np
import pytest
from builder import (
    Raw,
    Word,
    make_reco,
    read_all,
    read_one,
    read_skipped,
    visu_defaults,
    write_parameters,
)

import mri2dicom
from mri2dicom.readers.paravision.reader import ParaVisionReader
from mri2dicom.series.model import RawSeries, Skipped
from xnat_pic.errors import NothingUsableError

ABSURD = [
    "",
    "abc",
    "( 2 )\nabc def",
    "-1",
    "0",
    "1e999",
    "-1e999",
    "nan",
    "( 3 )\nnan nan nan",
    "( 1 )\n1e308",
    "99999999999999999999999999",
    "( 9 )\n@9*(1e308)",
    "( 2 )\n0.5 -0.5",
    "( 4 )\n1 2 3 4",
    "( 65 )\n<text>",
    "( 2, 65 )\n<a> <b>",
    "(1, 2)",
    "(1, (2, (3, <x>), 4 5 6), <y>)",
    "( 3 )\n(1, <a>, <b>, 0, 0) (2, <c>, <d>, -1, -5) (<e>)",
    "( 2 )\n(0, 999999999) (-3, 4)",
    "( 2 )\n(1e999, 1, 1) (a, b, c)",
    "( 3 )\n1 2",
    "( 5",
    "<open",
    "((((",
    "@3*(",
]

RICH = {
    "groups": [
        ("FG_ECHO", 2, "", ["VisuAcqEchoTime"]),
        ("FG_SLICE", 3, "", ["VisuCorePosition", "VisuCoreOrientation"]),
        ("FG_DIFFUSION", 2, "", ["VisuAcqDiffusionBMatrix"]),
    ],
    "packages": [3],
    "visu": {
        "VisuAcqEchoTime": [5.0, 10.0],
        "VisuAcqDiffusionBMatrix": np.arange(18.0).reshape(2, 3, 3),
        "VisuCoreTransposition": [0] * 12,
        "VisuCoreDataUnits": [""],
        "VisuCoreDiskSliceOrder": Word("disk_normal_slice_order"),
        "VisuFGElemComment": ["a", "b"],
        "VisuAcqFrameTime": [(0.0, 10.0)],
        "VisuAcqSize": [8, 6],
        "VisuAcqPhaseEncSteps": 6,
        "VisuAcqPartialFourier": [1.0, 1.0],
        "VisuAcqParallelReductionFactor": [1, 1],
        "VisuAcqEncodingOrder": [Word("LinearEncoding")],
        "VisuAcqInversionTime": [0.0],
        "VisuCardiacMovieFrameTime": [(1.0, 2.0)],
        "VisuCoilReceiveMultiName": [("a", Word("Yes"))],
        "VisuAcqImagePhaseEncDir": Word("col_dir"),
        "VisuSubjectWeight": 0.02,
        "VisuMagneticFieldStrength": 7.0,
        "VisuSeriesNumber": 65537,
        "VisuSeriesFrameOfReferenceUid": "1.2.3",
        "VisuSubjectBirthDate": "20240101",
    },
    "method": {
        "Method": "User:cestX",
        "PVM_SatTransOnOff": Word("On"),
        "PVM_SatTransFL": [100.0, -100.0],
        "PVM_SatTransFreqValues": [1.0, -1.0],
        "PVM_SatTransFreqUnit": Word("unit_ppm"),
        "PVM_SatTransPulse": (5.0, 1, 2),
        "PVM_SatTransPulseAmpl_uT": 3.0,
        "PVM_SatTransNPulses": 3,
        "PVM_SatTransInterPulseDelay": 1.0,
        "PVM_SatTransModuleTime": 20.0,
        "PVM_SatTransPulseLength2": 1.0,
        "PVM_FrqWork": [300.0],
        "PVM_DwBMat": np.zeros((2, 3, 3)),
        "PVM_DwEffBval": [0.0, 1000.0],
        "PVM_DwGradVec": np.zeros((2, 3)),
        "PVM_DwDir": np.ones((1, 3)),
        "PVM_DwAoImages": 1,
        "PVM_DwNDiffExpEach": 1,
        "MultiRepTime": [100.0, 200.0],
        "ExcPulse1": (1.0, 2.0, 30.0),
        "PVM_RareFactor": 4,
        "PVM_EchoTime": 5.0,
    },
    "reco": {"RECO_map_slope": [1.0], "RECO_wordtype": Word("_16BIT_SGN_INT")},
    "acqp": {"ACQ_O2_list": [0.0, 1.0], "BF1": 300.0, "ACQ_abs_time": (1, 2, 3)},
    "subject": {"SUBJECT_id": "x", "SUBJECT_study_weight": 1.0},
}


def use_everything(series):
    """Touch what a writer would."""
    if isinstance(series, RawSeries):
        assert series.pixels.array.shape == series.pixels.shape
        count = series.plane_count
        assert len(series.position_mm) == len(series.slope) == len(series.stack) == count
        for array in (series.position_mm, series.orientation, series.spacing_mm):
            assert np.all(np.isfinite(array))
        assert np.all(np.isfinite([series.slope, series.offset]))
        assert all(len(d.index) == count and d.index.max() < d.length for d in series.dimensions)
        assert all(len(values) == count for values in series.plane_attributes.values())
        lists = [value for value in series.private.values() if isinstance(value, list)]
        assert all(len(values) == count for values in lists)
        listed = itertools.chain(*lists, *series.plane_attributes.values())
        for value in (*series.attributes.values(), *series.private.values(), *listed):
            assert type(value) is not float or np.isfinite(value), value
        assert 0 < series.expno < 10**6
    else:
        assert isinstance(series, Skipped)
        assert series.reason.endswith(".")
        assert "please report" not in series.reason
        assert len(series.reason) < 500


def names_of(file):
    if file != "visu":
        return sorted(RICH[file])
    core = (
        "FrameCount Dim Size DimDesc Extent FrameThickness Units Orientation Position FrameType "
        "DataSlope DataOffs WordType ByteOrder SlicePacksSlices SlicePacksDef"
    )
    names = {f"VisuCore{name}" for name in core.split()} | {"VisuFGOrderDesc", "VisuGroupDepVals"}
    return sorted(names | set(RICH["visu"]) | set(visu_defaults("6.0.1", "x", 1, 1)))


@pytest.mark.parametrize("file", ["visu", "method", "acqp", "reco", "subject"])
def test_an_absurd_value_anywhere_gives_a_series_or_a_sentence(tmp_path, file):
    reader = ParaVisionReader()
    folder = make_reco(tmp_path / "s", **RICH)
    (located,) = reader.locate(tmp_path / "s")
    whole = reader.load(located)
    assert isinstance(whole, RawSeries), whole.reason
    path = {
        "visu": folder / "visu_pars",
        "reco": folder / "reco",
        "subject": tmp_path / "s/subject",
    }.get(file, tmp_path / "s/1" / file)
    text = path.read_text(encoding="utf-8")
    for name in names_of(file):
        start = text.index(f"##${name}=")
        end = text.index("\n##", start)
        for value in (None, *ABSURD):
            entry = "" if value is None else f"##${name}={value}"
            path.write_text(text[:start] + entry + text[end + 1 * (value is None) :], "utf-8")
            series = reader.load(located)
            use_everything(series)
            if file != "visu":
                assert isinstance(series, RawSeries), (name, value, series.reason)


@pytest.mark.parametrize("name", ["visu_pars", "method"])
def test_a_parameter_file_cut_anywhere(tmp_path, name):
    folder = make_reco(tmp_path / "s", **RICH)
    reader = ParaVisionReader()
    (located,) = reader.locate(tmp_path / "s")
    path = folder / name if name == "visu_pars" else tmp_path / "s/1/method"
    whole = path.read_bytes()
    end = whole.index(b"##END=") + 6
    for length in [*range(0, end, 23), end - 1]:
        path.write_bytes(whole[:length])
        series = reader.load(located)
        use_everything(series)
        if name == "visu_pars":
            assert isinstance(series, Skipped), length
            assert series.damaged
            assert "cut off" in series.reason
    path.write_bytes(whole[:end])
    assert isinstance(reader.load(located), RawSeries)


def test_the_complete_part_of_a_cut_method_is_used(tmp_path):
    make_reco(tmp_path / "s", method={"Method": "Bruker:FLASH", "PVM_NAverages": 3, "PVM_X": 1})
    path = tmp_path / "s/1/method"
    path.write_bytes(path.read_bytes().partition(b"##$PVM_X=")[0] + b"##$PVM_X")
    series = read_one(tmp_path / "s")
    assert any("method is cut off" in warning for warning in series.warnings)


@pytest.mark.parametrize(
    ("change", "words"), [(-1, "cut off"), (+1, "bytes"), (-12 * 96 + 5, "cut off")]
)
def test_an_image_of_the_wrong_size(tmp_path, change, words):
    folder = make_reco(tmp_path / "s", **RICH)
    data = (folder / "2dseq").read_bytes()
    (folder / "2dseq").write_bytes(data[:change] if change < 0 else data + b"\0")
    series = read_skipped(tmp_path / "s")
    assert series.damaged
    assert words in series.reason


@pytest.mark.parametrize("size", [(65535, 65535), (65535, 65535, 65535)])
def test_a_huge_announced_image_is_not_allocated(tmp_path, size):
    make_reco(
        tmp_path / "s", size=(4, 4), visu={"VisuCoreSize": list(size), "VisuCoreDim": len(size)}
    )
    series = read_skipped(tmp_path / "s")
    assert series.damaged


@pytest.mark.parametrize("size", [[4, 4, 2, 2], [65535] * 5, [0, 4], [-4, -4], [4.5, 4]])
def test_an_impossible_image_is_damaged(tmp_path, size):
    make_reco(
        tmp_path / "s",
        size=(4, 4),
        visu={"VisuCoreSize": size, "VisuCoreDim": len(size), "VisuCoreExtent": [1.0] * len(size)},
    )
    series = read_skipped(tmp_path / "s")
    assert series.damaged
    assert "not possible" in series.reason


@pytest.mark.parametrize("name", ["VisuCorePosition", "VisuCoreOrientation"])
def test_no_geometry_is_invented(tmp_path, name):
    make_reco(tmp_path / "s", visu={name: None})
    series = read_skipped(tmp_path / "s")
    assert series.damaged
    assert "where the image lies" in series.reason


@pytest.mark.parametrize("name", ["VisuCoreDataSlope", "VisuCoreDataOffs"])
def test_scaling_that_fits_no_loop_is_damage_and_not_left_out(tmp_path, name):
    groups = [("FG_SLICE", 5)]
    make_reco(tmp_path / "s", groups=groups, visu={name: [1.0, 2.0, 3.0]})
    series = read_skipped(tmp_path / "s")
    assert series.damaged
    assert name in series.reason


def test_frame_groups_that_do_not_multiply_up(tmp_path):
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 5)], frames=4)
    series = read_skipped(tmp_path / "s")
    assert series.damaged
    assert "frame" in series.reason.lower() or "cut off" in series.reason


def test_the_file_decides_between_two_numbers_of_frames(tmp_path):
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 5)], visu={"VisuCoreFrameCount": 7})
    series = read_one(tmp_path / "s")
    assert series.plane_count == 5
    assert any("announces 7 frames; the file holds 5" in text for text in series.warnings)


def test_one_bad_series_does_not_stop_the_study(tmp_path):
    for expno in (1, 2, 3):
        make_reco(tmp_path / "s", expno=expno)
    write_parameters(tmp_path / "s/2/pdata/1/visu_pars", {"VisuCoreDim": Raw("(((")})
    kinds = [type(series).__name__ for series in read_all(tmp_path / "s")]
    assert kinds == ["RawSeries", "Skipped", "RawSeries"]


def test_an_empty_input_is_an_error(tmp_path):
    with pytest.raises(NothingUsableError, match="No scanner data"):
        read_all(tmp_path)
    with pytest.raises(NothingUsableError, match="does not exist"):
        read_all(tmp_path / "absent")
    (tmp_path / "file.txt").write_text("x", "utf-8")
    with pytest.raises(NothingUsableError, match="neither a folder nor an archive"):
        read_all(tmp_path / "file.txt")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    """The disk refuses one file, as it does for a user without the right."""
    folder = make_reco(tmp_path / "s")
    make_reco(tmp_path / "s", expno=2)
    refused, read_bytes = folder / "visu_pars", Path.read_bytes

    def read(path):
        if path == refused:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    one, other = read_all(tmp_path / "s")
    assert "cannot be read" in one.reason
    assert other.expno == 2


def test_dangling_links_and_old_exports_do_not_matter(tmp_path):
    folder = make_reco(tmp_path / "s")
    for name in ("dicom", "nifti", "reports"):
        (folder / name).mkdir()
        (folder / name / "2dseq").write_bytes(b"x")
        (folder / name / "visu_pars").write_bytes(b"x")
    for name in (".DS_Store", "exp.par", "x.npz", "x.dcm"):
        (folder / name).write_bytes(b"\0\1")
    try:
        (tmp_path / "s/7").symlink_to(tmp_path / "nowhere")
        (tmp_path / "s/loop").symlink_to(tmp_path / "s", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert read_one(tmp_path / "s").expno == 1


@pytest.mark.parametrize("mistake", [TypeError, ValueError, KeyError, AttributeError])
def test_a_mistake_of_the_reader_is_not_called_damage(tmp_path, monkeypatch, mistake):
    def wrong(*_):
        raise mistake("of ours")

    make_reco(tmp_path / "study")
    monkeypatch.setattr("mri2dicom.readers.paravision.reader.read_frame_groups", wrong)
    (series,) = mri2dicom.convert(tmp_path / "study", tmp_path / "out").series
    assert (series.status, series.damaged) == ("failed", False)
    assert "of ours" in series.reason
    assert "please report" in series.reason
