"""The known traps of ParaVision data from number 17 on; see `test_reader_pitfalls.py`."""

import numpy as np
import pytest
from builder import (
    SAGITTAL,
    Word,
    make_pixels,
    make_reco,
    make_uid,
    read_all,
    read_one,
    read_skipped,
)
from test_reader_pitfalls import slab

from mri2dicom.series.model import Loop, SeriesKind, Skipped


def test_pitfall_17_the_thickness_of_a_plane_of_a_slab(tmp_path):
    series = slab(tmp_path, None)
    assert series.thickness_mm.tolist() == [1.0] * 16
    assert series.spacing_mm == (1.0, 1.0)
    assert series.attributes["MRAcquisitionType"] == "3D"


def test_pitfall_17_slabs_of_their_own(tmp_path):
    make_reco(
        tmp_path / "s",
        size=(8, 6, 4),
        groups=[("FG_SLICE", 2, "", ["VisuCorePosition"])],
        position=[[0, 0, 0], [0, 0, 40]],
        extent=[8, 6, 8],
    )
    series = read_one(tmp_path / "s")
    assert series.position_mm[:, 2].tolist() == [0, 2, 4, 6, 40, 42, 44, 46]
    assert series.stack.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize("dtype", ["<i4", "<f4"])
@pytest.mark.parametrize("derived", [True, False])
def test_pitfall_18_maps_of_32_bits(tmp_path, dtype, derived):
    pixels = make_pixels(2, (8, 6), dtype)
    groups = [("FG_ISA", 2, "", ["VisuFGElemComment", "VisuCoreDataUnits"])] if derived else []
    make_reco(
        tmp_path / "s",
        frames=2,
        groups=groups or [("FG_SLICE", 2)],
        dtype=dtype,
        pixels=pixels,
        frame_type="REAL_IMAGE" if derived else "MAGNITUDE_IMAGE",
        visu={
            "VisuFGElemComment": ["T2 relaxation time", "sd of T2"] if derived else None,
            "VisuCoreDataUnits": ["ms", "ms"] if derived else None,
            "VisuSeriesTypeId": "DERIVED_ISA" if derived else "ACQ_BRUKER_PVM",
        },
    )
    series = read_one(tmp_path / "s")
    assert series.pixels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(series.pixels.array, pixels)
    assert series.is_quantity == derived
    assert (series.kind is SeriesKind.DERIVED) == derived
    assert series.attributes["ImageIsDerived"] == derived
    if derived:
        assert series.unit == ("ms", "ms")
        assert series.dimension(Loop.MAP).labels == ("T2 relaxation time", "sd of T2")


COMPLEX = [
    ("nothing", [], "COMPLEX_IMAGE"),
    ("one type", [("FG_SLICE", 3)], "COMPLEX_IMAGE"),
    ("group", [("FG_SLICE", 3), ("FG_COMPLEX", 2)], "COMPLEX_IMAGE"),
    ("types", [("FG_SLICE", 3), ("FG_COMPLEX", 2)], ["REAL_IMAGE", "IMAGINARY_IMAGE"]),
    ("old spelling", [("FG_SLICE", 3)], ["REAL_IMAGE"] * 3 + ["IMAGINERY_IMAGE"] * 3),
    ("even", [("FG_SLICE", 2), ("FG_COMPLEX", 2)], ["REAL_IMAGE", "IMAGINARY_IMAGE"]),
    ("two loops", [("FG_ECHO", 2), ("FG_SLICE", 2)], "COMPLEX_IMAGE"),
]


@pytest.mark.parametrize(("groups", "types"), [c[1:] for c in COMPLEX], ids=[c[0] for c in COMPLEX])
def test_pitfall_19_all_real_frames_first_and_then_all_imaginary(tmp_path, groups, types):
    whole = int(np.prod([group[1] for group in groups])) if groups else 1
    frames = whole if any(group[0] == "FG_COMPLEX" for group in groups) else 2 * whole
    make_reco(tmp_path / "s", groups=groups, frames=frames, frame_type=types)
    series = read_one(tmp_path / "s")
    parts = series.plane_attributes["ComplexImageComponent"]
    assert parts == ["REAL"] * (frames // 2) + ["IMAGINARY"] * (frames // 2)
    half = frames // 2
    np.testing.assert_array_equal(series.position_mm[:half], series.position_mm[half:])
    assert series.stack[:half].tolist() == series.stack[half:].tolist()
    assert series.dimension(Loop.COMPLEX).index.tolist() == [0] * half + [1] * half
    assert series.kind is SeriesKind.PHASE or len(groups) > 1


def test_pitfall_19_the_scaling_of_parts(tmp_path):
    make_reco(
        tmp_path / "s", groups=[("FG_SLICE", 2)], frames=4, frame_type="COMPLEX_IMAGE",
        slope=[1.0, 2.0, 3.0, 4.0],
    )  # fmt: skip
    assert read_one(tmp_path / "s").slope.tolist() == [1, 2, 3, 4]


def test_pitfall_20_no_direction_without_weighting(tmp_path):
    """The rest of diffusion is in test_diffusion.py."""
    matrices = np.array([np.diag([10.0, 5, 5]), np.diag([1000.0, 5, 5])])
    make_reco(
        tmp_path / "s",
        groups=[("FG_DIFFUSION", 2, "", ["VisuAcqDiffusionBMatrix"])],
        visu={"VisuAcqDiffusionBMatrix": matrices},
    )
    planes = read_one(tmp_path / "s").plane_attributes
    assert planes["DiffusionBValue"] == [20.0, 1010.0]
    assert planes["DiffusionDirectionality"] == ["NONE", "BMATRIX"]
    assert planes["DiffusionGradientOrientation"][0] is None
    assert planes["DiffusionBMatrix"][0] is None
    assert planes["DiffusionBMatrix"][1] == [1000, 0, 0, 5, 0, 5]
    np.testing.assert_allclose(planes["DiffusionGradientOrientation"][1], [1, 0, 0])


def test_pitfall_21_diffusion_is_a_movie_in_5_1(tmp_path):
    make_reco(
        tmp_path / "s",
        version="5.1",
        groups=[("FG_SLICE", 2), ("FG_MOVIE", 3, "diffusion")],
        method={"Method": Word("DtiEpi"), "PVM_DwEffBval": [20.0, 500.0, 1000.0]},
    )
    series = read_one(tmp_path / "s")
    assert series.kind is SeriesKind.DIFFUSION
    assert series.dimension(Loop.DIFFUSION).source == "FG_MOVIE"
    assert series.plane_attributes["DiffusionBValue"] == [20, 20, 500, 500, 1000, 1000]


def test_pitfall_21_another_movie_is_no_diffusion(tmp_path):
    make_reco(
        tmp_path / "s",
        version="5.1",
        groups=[("FG_MOVIE", 3)],
        method={"PVM_DwEffBval": [20.0, 500.0, 1000.0]},
    )
    series = read_one(tmp_path / "s")
    assert series.dimension(Loop.DIFFUSION) is None
    assert "DiffusionBValue" not in series.plane_attributes


def test_pitfall_22_hz_are_divided_by_mhz(tmp_path):
    """The rest of CEST is in test_reader_cest.py."""
    make_reco(
        tmp_path / "s",
        version="360.3.6",
        groups=[("FG_CYCLE", 2)],
        method={
            "PVM_SatTransOnOff": Word("On"),
            "PVM_SatTransFreqValues": [-1681.6, 1681.6],
            "PVM_SatTransFreqUnit": Word("unit_hz"),
            "PVM_FrqWork": [400.38072396468129],
        },
    )
    private = read_one(tmp_path / "s").private
    assert private["SaturationOffsetHz"] == [-1681.6, 1681.6]
    np.testing.assert_allclose(private["SaturationOffsetPpm"], [-4.200002396, 4.200002396])


@pytest.mark.parametrize(
    ("kinds", "size"),
    [
        (["spectroscopic", "spatial", "spatial"], (16, 4, 4)),
        (["temporal", "spatial"], (16, 4)),
        (["spectroscopic"], (16,)),
    ],
)
def test_pitfall_23_spectroscopy_is_skipped(tmp_path, kinds, size):
    """Peer defect: a CSI data set with three axes converted as a volume."""
    visu = {
        "VisuCoreDimDesc": [Word(kind) for kind in kinds],
        "VisuCorePosition": None,
        "VisuCoreOrientation": None,
    }
    make_reco(tmp_path / "s", size=size, visu=visu)
    series = read_skipped(tmp_path / "s")
    assert not series.damaged
    assert "Spectroscopy" in series.reason
    assert kinds[0] in series.reason
    assert series.attributes["ProtocolName"] == "scan_1"


def test_pitfall_23_one_axis_is_no_image(tmp_path):
    make_reco(tmp_path / "s", size=(16,))
    series = read_skipped(tmp_path / "s")
    assert "One-dimensional" in series.reason
    assert not series.damaged


def test_pitfall_23_a_csi_method_with_spatial_axes_is_an_image(tmp_path):
    make_reco(tmp_path / "s", size=(8, 6, 4), visu={"VisuAcqSequenceName": "Bruker:CSI"})
    assert read_one(tmp_path / "s").plane_count == 4


@pytest.mark.parametrize("with_visu", [True, False])
def test_pitfall_24_an_aborted_scan(tmp_path, with_visu):
    folder = make_reco(tmp_path / "s", pixels=b"", method={})
    make_reco(tmp_path / "s", expno=2)
    if not with_visu:
        (folder / "visu_pars").unlink()
    aborted, whole = read_all(tmp_path / "s")
    assert isinstance(aborted, Skipped)
    assert "aborted" in aborted.reason
    assert not aborted.damaged
    assert whole.expno == 2


def test_pitfall_24_a_scan_without_reconstruction(tmp_path):
    make_reco(tmp_path / "s", expno=3)
    for empty in ("4", "5/pdata"):
        (tmp_path / "s" / empty).mkdir(parents=True)
        (tmp_path / "s" / empty[0] / "method").write_text("##TITLE=x\n##END=\n", "utf-8")
    found = {series.expno: series for series in read_all(tmp_path / "s")}
    assert sorted(found) == [3, 4, 5]
    for expno in (4, 5):
        assert "No reconstruction" in found[expno].reason
        assert not found[expno].damaged


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("version", ["5.1", "6.0.1", "360.3.6"])
def test_pitfall_25_image_and_visu_are_enough(tmp_path, version, flat):
    folder = make_reco(tmp_path / "s", version=version, groups=[("FG_SLICE", 3)])
    assert sorted(p.name for p in (tmp_path / "s").rglob("*") if p.is_file()) == [
        "2dseq", "visu_pars",
    ]  # fmt: skip
    if flat:
        folder = folder.rename(tmp_path / "some folder")
    series = read_one(folder if flat else tmp_path / "s")
    assert series.plane_count == 3
    assert series.attributes["PatientID"] == "m01"
    assert (series.expno, series.procno) == (1, 1)


def test_pitfall_25_a_study_without_uid_gets_one_that_stays(tmp_path):
    for name in ("a", "b"):
        make_reco(tmp_path / name / "s", visu={"VisuStudyUid": None})
    first, second = (read_one(tmp_path / name).identity.study_uid for name in ("a", "b"))
    assert first == second
    assert first.startswith("2.25.")
    make_reco(tmp_path / "c/s", visu={"VisuStudyUid": None, "VisuSubjectId": "other"})
    assert read_one(tmp_path / "c").identity.study_uid != first


def test_pitfall_26_several_recos_of_one_scan(tmp_path):
    same = {"VisuSeriesComment": "same words"}
    make_reco(tmp_path / "s", procno=1, visu=same, slope=9.18)
    make_reco(tmp_path / "s", procno=2, visu=same, size=(4, 4), dtype="<f4", slope=1.0)
    make_reco(tmp_path / "s", procno=10, visu=same, size=(5, 5), dtype="u1")
    found = read_all(tmp_path / "s")
    assert [series.procno for series in found] == [1, 2, 10]
    assert [series.pixels.shape[1:] for series in found] == [(6, 8), (4, 4), (5, 5)]
    assert [series.pixels.dtype.str[1:] for series in found] == ["i2", "f4", "u1"]
    assert [series.slope[0] for series in found] == [9.18, 1.0, 1.0]
    assert len({series.identity.content for series in found}) == 3
    assert {series.attributes["SeriesDescription"] for series in found} == {"same words"}


@pytest.mark.parametrize("name", ["2dseq", "visu_pars"])
def test_pitfall_27_git_lfs_pointer(tmp_path, name):
    folder = make_reco(tmp_path / "s")
    (folder / name).write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    )
    series = read_skipped(tmp_path / "s")
    assert series.damaged
    assert "git lfs pull" in series.reason


def test_pitfall_27_truncated_image(tmp_path):
    folder = make_reco(tmp_path / "s", groups=[("FG_SLICE", 4)])
    (folder / "2dseq").write_bytes((folder / "2dseq").read_bytes()[:-96])
    series = read_skipped(tmp_path / "s")
    assert series.damaged
    assert "cut off" in series.reason


@pytest.mark.parametrize("version", ["5.1", "6.0.1"])
def test_pitfall_28_the_folder_names_the_scan_and_the_file_the_uid(tmp_path, version):
    folder = make_reco(tmp_path / "s", version=version, expno=400)
    (tmp_path / "s/400").rename(tmp_path / "s/100")
    series = read_one(tmp_path / "s")
    assert (series.expno, series.procno) == (100, 1)
    assert any("called 100 and the file says scan 400" in text for text in series.warnings)
    assert series.identity.content.startswith(make_uid("s", 400, 1))
    assert folder.name == "1"


@pytest.mark.parametrize(
    ("nucleus", "frequency", "field"),
    [
        ("1H", 300.319057, 7.0535),
        (" 19F ", 282.57, 7.0506),
        ("13C", 75.52, 7.0524),
        ("31P", 121.58, 7.0475),
        ("23Na", 79.45, 7.0500),
        ("2H", 46.10, 7.0533),
        ("99X", 50.0, None),
    ],
)
def test_pitfall_30_other_nuclei(tmp_path, nucleus, frequency, field):
    make_reco(
        tmp_path / "s",
        visu={"VisuAcqImagedNucleus": nucleus, "VisuAcqImagingFrequency": frequency},
    )
    attributes = read_one(tmp_path / "s").attributes
    assert attributes["ImagedNucleus"] == nucleus.strip()
    assert attributes["ImagingFrequency"] == frequency
    assert attributes.get("MagneticFieldStrength") == (
        None if field is None else pytest.approx(field, abs=2e-3)
    )


@pytest.mark.parametrize("kind", ["i2", "i4", "f4", "u1"])
def test_pitfall_31_big_endian(tmp_path, kind):
    big, little = (">", "<") if kind != "u1" else ("|", "|")
    pixels = make_pixels(2, (8, 6), little + kind)
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 2)], dtype=big + kind, pixels=pixels)
    series = read_one(tmp_path / "s")
    np.testing.assert_array_equal(series.pixels.array, pixels)
    np.testing.assert_array_equal(series.pixels.read_planes(1, 2), pixels[1:])


@pytest.mark.parametrize("version", ["5.1", "6.0.1", "360.3.6"])
def test_pitfall_32_the_subjects_position_is_noted_and_not_applied(tmp_path, version):
    terms = {}
    for word in ("Head_Supine", "Head_Prone", "Head_Left", "Head_Right", "Tail_Prone"):
        for kind in (Word("Quadruped"), Word("OtherAnimal"), None):
            name = f"{word}{kind}"
            make_reco(
                tmp_path / name,
                version=version,
                orientation=SAGITTAL,
                position=[1, 2, 3],
                visu={"VisuSubjectPosition": Word(word), "VisuSubjectType": kind},
            )
            series = read_one(tmp_path / name)
            np.testing.assert_array_equal(series.orientation[0], SAGITTAL)
            np.testing.assert_array_equal(series.position_mm[0], [1, 2, 3])
            terms[word] = series.attributes["PatientPosition"]
            told = series.attributes.get("AnatomicalOrientationType")
            assert told == {"Quadruped": "QUADRUPED", "OtherAnimal": "BIPED"}.get(kind)
    assert list(terms.values()) == ["HFS", "HFP", "HFDL", "HFDR", "FFP"]


def test_pitfall_33_unknown_versions_and_methods(tmp_path):
    make_reco(
        tmp_path / "s",
        version="400.1",
        groups=[("FG_SLICE", 2), ("FG_NEW_THING", 3, "twist")],
        visu={"VisuVersion": 9, "VisuAcqSequenceName": "User:mySequence_v2"},
        method={"Method": "User:mySequence_v2", "Unheard": (1, "x")},
    )
    series = read_one(tmp_path / "s")
    assert series.plane_count == 6
    assert series.attributes["SequenceName"].startswith("mySequence")
    other = series.dimension(Loop.OTHER)
    assert (other.source, other.comment, other.length) == ("FG_NEW_THING", "twist", 3)
    assert other.index.tolist() == [0, 0, 1, 1, 2, 2]
