"""Slices in packs, and voxels from micrometres on: each voxel in its place, judged by others.

A voxel of another T2 is planted in every slice; SimpleITK finds it in the NIfTI and in the 16-bit
series, highdicom in the Parametric Map, by the place in the patient that the source gives it.
"""

import json
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from mr_series import ENHANCED, MR, _base, _item
from pydicom.sequence import Sequence

from pipelines.fitting.data import MapOptions
from pipelines.fitting.methods import MAP_METHODS
from pipelines.images import stacks
from pipelines.inputs.load import load_images
from pipelines.maps.run import make_maps
from xnat_pic.errors import NothingUsableError

ECHOES = [10.0 * (n + 1) for n in range(8)]
SIZE = 16
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
OBLIQUE = ((np.cos(0.3), np.sin(0.3), 0.0), (0.0, 0.0, -1.0))
T2, PLANTED = 80.0, 30.0


class Slice:
    """One slice: where it lies, and which voxel is another one."""

    def __init__(self, position, axes, spot, spacing=0.5, pitch=1.0):
        self.position = np.array(position, float)
        self.row, self.column = np.array(axes[0]), np.array(axes[1])
        self.spot, self.spacing, self.pitch = spot, spacing, pitch

    @property
    def place(self):
        """Of the planted voxel, patient LPS, mm."""
        row, column = self.spot
        return self.position + self.spacing * (column * self.row + row * self.column)

    def echo(self, time, seed):
        t2 = np.full((SIZE, SIZE), T2)
        t2[self.spot] = PLANTED
        signal = np.zeros((SIZE, SIZE))
        inside = np.s_[2 : SIZE - 2, 2 : SIZE - 2]
        signal[inside] = 4000 * np.exp(-time / t2[inside])
        noise = np.random.default_rng(seed).normal(0, 4, (2, SIZE, SIZE))
        return np.rint(np.hypot(signal + noise[0], noise[1])).astype(np.uint16)


def stack(count, origin, axes=OBLIQUE, first=0, pitch=1.0, spacing=0.5, step=None):
    """Return slices along their normal, each with its own spot."""
    normal = np.cross(*axes)
    along = np.array(step) if step is not None else pitch * normal
    return [
        Slice(np.array(origin) + k * along, axes, (4 + (first + k) % 8, 5 + k), spacing, pitch)
        for k in range(count)
    ]


def write_classic(folder, slices, series="a", **attributes):
    folder.mkdir(parents=True, exist_ok=True)
    for n, time in enumerate(ECHOES):
        for k, one in enumerate(slices):
            ds = _base(MR, series)
            ds.ImageType, ds.PixelRepresentation = ["ORIGINAL", "PRIMARY", "M"], 0
            ds.InstanceNumber, ds.EchoTime = n * len(slices) + k + 1, time
            ds.Rows = ds.Columns = SIZE
            ds.ImagePositionPatient = [f"{v:.10g}"[:16] for v in one.position]
            ds.ImageOrientationPatient = [f"{v:.10g}"[:16] for v in (*one.row, *one.column)]
            ds.PixelSpacing = [f"{one.spacing:.10g}"] * 2
            ds.SliceThickness = ds.SpacingBetweenSlices = f"{one.pitch:.10g}"
            for keyword, value in attributes.items():
                setattr(ds, keyword, value(n) if callable(value) else value)
            ds.PixelData = one.echo(time, 1000 * n + k).tobytes()
            ds.save_as(folder / f"{series}{ds.InstanceNumber:05d}.dcm", enforce_file_format=True)
    return folder


def write_enhanced(folder, slices):
    folder.mkdir(parents=True, exist_ok=True)
    ds = _base(ENHANCED)
    ds.ImageType, ds.ComplexImageComponent = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "MAGNITUDE"
    ds.InstanceNumber, ds.PixelRepresentation = 1, 0
    ds.Rows = ds.Columns = SIZE
    ds.SharedFunctionalGroupsSequence = Sequence([_item()])
    items, planes = [], []
    for n, time in enumerate(ECHOES):
        for k, one in enumerate(slices):
            item = _item(
                PlanePositionSequence=Sequence(
                    [_item(ImagePositionPatient=[float(v) for v in one.position])]
                ),
                PlaneOrientationSequence=Sequence(
                    [_item(ImageOrientationPatient=[float(v) for v in (*one.row, *one.column)])]
                ),
                PixelMeasuresSequence=Sequence(
                    [
                        _item(
                            PixelSpacing=[one.spacing] * 2,
                            SliceThickness=one.pitch,
                            SpacingBetweenSlices=one.pitch,
                        )
                    ]
                ),
                MREchoSequence=Sequence([_item(EffectiveEchoTime=time)]),
            )
            items.append(item)
            planes.append(one.echo(time, 1000 * n + k))
    ds.NumberOfFrames = len(items)
    ds.PerFrameFunctionalGroupsSequence = Sequence(items)
    ds.PixelData = np.stack(planes).tobytes()
    ds.save_as(folder / "all.dcm", enforce_file_format=True)
    return folder


def check_places(out, slices):
    """Let others find every planted voxel in each of the three forms."""
    content = json.loads((out / "maps.json").read_text(encoding="utf-8"))["maps"]
    rows = [row for name, row in content.items() if name.startswith("T2map")]
    niftis = [sitk.ReadImage(str(out / row["nifti"])) for row in rows]
    series = []
    for row in rows:
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(out / row["secondary"]))
        series.append(sitk.ReadImage(names))
    exact = [highdicom.imread(out / row["dicom"]) for row in rows]
    for one in slices:
        found = [_value(image, one.place) for image in niftis]
        assert [v for v in found if v is not None] == [pytest.approx(PLANTED, rel=0.05)], one.place
        found = [_value(image, one.place) for image in series]
        assert [v for v in found if v is not None] == [pytest.approx(PLANTED, rel=0.05)], one.place
        found = [_value_of_map(image, one.place) for image in exact]
        assert [v for v in found if v is not None] == [pytest.approx(PLANTED, rel=0.05)], one.place
    return rows


def _value(image, place):
    """Return the value of the voxel whose centre is a place; None outside or between centres."""
    index = np.array(image.TransformPhysicalPointToContinuousIndex([float(v) for v in place]))
    near = np.rint(index)
    if np.abs(index - near).max() > 0.02 or (near < 0).any() or (near >= image.GetSize()).any():
        return None
    return image[[int(v) for v in near]]


def _value_of_map(image, place):
    volume = image.get_volume(apply_real_world_transform=True)
    index = volume.map_reference_to_indices(np.array([place]))[0]
    near = np.rint(index).astype(int)
    outside = (near < 0).any() or (near >= volume.spatial_shape).any()
    if np.abs(index - near).max() > 0.02 or outside:
        return None
    return float(volume.array[tuple(near)])


N = np.cross(*OBLIQUE)
LAYOUTS = {
    "one stack": [stack(4, (1, 2, 3))],
    "side by side at one depth": [
        stack(3, (0, 0, 0)),
        stack(3, np.array(OBLIQUE[0]) * 20, first=3),
    ],
    "half a step apart and aside": [
        stack(3, (0, 0, 0)),
        stack(3, np.array(OBLIQUE[0]) * 12 + 0.5 * N, first=3),
    ],
    "one beside the end of the other": [
        stack(3, (0, 0, 0)),
        stack(3, np.array(OBLIQUE[0]) * 12 + 3 * N, first=3),
    ],
    "apart along the normal": [stack(3, (0, 0, 0)), stack(3, 9.5 * N, first=3)],
    "one slice each, side by side": [
        stack(1, (0, 0, 0)),
        stack(1, np.array(OBLIQUE[0]) * 20, first=3),
    ],
    "three directions": [
        stack(2, (0, 0, 0), AXIAL),
        stack(2, (40, 0, 0), CORONAL, first=2),
        stack(2, (0, 40, 0), SAGITTAL, first=4),
    ],
}


@pytest.mark.parametrize("write", [write_classic, write_enhanced])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_pack_is_a_volume_in_its_place(tmp_path, layout, write):
    packs = LAYOUTS[layout]
    slices = [one for pack in packs for one in pack]
    write(tmp_path / "in", slices)
    summary = make_maps("t2", tmp_path / "in", tmp_path / "out", formats=("nifti", "dicom"))
    rows = check_places(tmp_path / "out", slices)
    assert len(rows) == len(packs)
    counts = [sitk.ReadImage(str(tmp_path / "out" / row["nifti"])).GetSize()[2] for row in rows]
    assert counts == [len(pack) for pack in packs]
    told = [text for text in summary.warnings if "packs of slices" in text]
    assert len(told) == (len(packs) > 1)
    uids = {
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        for path in (tmp_path / "out").rglob("*.dcm")
    }
    assert len(uids) == len(list((tmp_path / "out").rglob("*.dcm")))


def test_a_sheared_stack_stays_one_volume(tmp_path):
    """Slices that are shifted evenly, as gantries that are tilted make them."""
    slices = stack(4, (0, 0, 0), AXIAL, step=(0.0, 0.3, 1.0))
    write_classic(tmp_path / "in", slices)
    make_maps("t2", tmp_path / "in", tmp_path / "out", formats=("nifti",))
    content = json.loads((tmp_path / "out" / "maps.json").read_text(encoding="utf-8"))["maps"]
    import nibabel

    image = nibabel.load(tmp_path / "out" / content["T2map"]["nifti"])
    for one in slices:
        ras = one.place * (-1, -1, 1)
        index = np.linalg.inv(image.affine) @ [*ras, 1]
        assert np.abs(index - np.rint(index)).max() < 1e-3
        assert image.dataobj[tuple(np.rint(index[:3]).astype(int))] == pytest.approx(
            PLANTED, rel=0.05
        )


@pytest.mark.parametrize("um", [2, 5, 9, 9.9, 10, 12, 100, 1000, 5000])
def test_voxels_from_micrometres_to_millimetres_make_the_same_map(tmp_path, um):
    size = um / 1000
    slices = stack(5, (1, 2, 3), pitch=size, spacing=size)
    write_classic(tmp_path / "in", slices)
    make_maps("t2", tmp_path / "in", tmp_path / "out", formats=("nifti", "dicom"))
    (row,) = check_places(tmp_path / "out", slices)
    image = sitk.ReadImage(str(tmp_path / "out" / row["nifti"]))
    assert image.GetSize() == (SIZE, SIZE, 5)
    assert image.GetSpacing() == pytest.approx([size] * 3, rel=1e-5)


@pytest.mark.parametrize("write", [write_classic, write_enhanced])
def test_a_single_slice_keeps_its_thickness_in_every_form(tmp_path, write):
    write(tmp_path / "in", [Slice((0, 0, 0), OBLIQUE, (5, 6), spacing=0.5, pitch=2.0)])
    make_maps("t2", tmp_path / "in", tmp_path / "out", formats=("nifti", "dicom"))
    out = tmp_path / "out"
    row = json.loads((out / "maps.json").read_text(encoding="utf-8"))["maps"]["T2map"]
    assert sitk.ReadImage(str(out / row["nifti"])).GetSpacing()[2] == pytest.approx(2.0)
    exact = pydicom.dcmread(out / row["dicom"])
    groups = [exact.SharedFunctionalGroupsSequence[0], exact.PerFrameFunctionalGroupsSequence[0]]
    (measures,) = [one.PixelMeasuresSequence[0] for one in groups if "PixelMeasuresSequence" in one]
    assert float(measures.SliceThickness) == 2.0
    assert float(measures.SpacingBetweenSlices) == 2.0
    for path in (out / row["secondary"]).iterdir():
        ds = pydicom.dcmread(path)
        assert (float(ds.SliceThickness), float(ds.SpacingBetweenSlices)) == (2.0, 2.0)


FOREIGN = {
    "frames of reference": {"FrameOfReferenceUID": lambda n: f"1.2.3.{1 + (n >= 4)}"},
    "studies": {"StudyInstanceUID": lambda n: f"1.2.4.{1 + (n >= 4)}"},
    "patients": {"PatientID": lambda n: "m07" if n < 4 else "m08"},
}


def _split(folder, **attributes):
    """Write echoes as two series, the later four as the second."""
    write_classic(folder, stack(3, (0, 0, 0)), **attributes)
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID = f"1.2.9.{1 + (ds.EchoTime > ECHOES[3])}"
        # Each series alone has one echo time too few to serve.
        if not np.isin(ds.EchoTime, (ECHOES[0], ECHOES[7])):
            path.unlink()
            continue
        ds.save_as(path)
    return folder


@pytest.mark.parametrize("what", FOREIGN)
def test_series_that_do_not_belong_together_are_refused_unless_a_person_says_so(tmp_path, what):
    folder = tmp_path / "in"
    write_classic(folder, stack(3, (0, 0, 0)), **FOREIGN[what])
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID = f"1.2.9.{ds.EchoTime:.0f}"
        ds.SeriesDescription = f"echo {ds.EchoTime:.0f}"
        ds.save_as(path)
    with pytest.raises(NothingUsableError, match=f"of 2 {what}") as caught:
        make_maps("t2", folder, tmp_path / "out")
    assert "--assume-aligned" in caught.value.hint
    assert not (tmp_path / "out").exists()
    made = make_maps("t2", folder, tmp_path / "out", MapOptions(assume_aligned=True))
    assert made.maps
    said = json.loads((tmp_path / "out" / "provenance.json").read_text(encoding="utf-8"))
    assert said["options"]["assume_aligned"] is True


def test_echoes_that_lie_beside_the_others_are_refused(tmp_path):
    folder = tmp_path / "in"
    write_classic(folder, stack(3, (0, 0, 0)))
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID = f"1.2.9.{ds.EchoTime:.0f}"
        if ds.EchoTime > ECHOES[1]:
            moved = np.array(ds.ImagePositionPatient) + 5 * ds.EchoTime * np.array(OBLIQUE[0])
            ds.ImagePositionPatient = [f"{v:.8g}" for v in moved]
        ds.save_as(path)
    with pytest.raises(NothingUsableError, match="do not lie in one place"):
        make_maps("t2", folder, tmp_path / "out")


def test_uneven_slices_get_no_nifti_and_dicom_in_their_places(tmp_path):
    depths = (0.0, 1.0, 2.3, 3.3, 4.9)
    slices = [Slice(d * N, OBLIQUE, (4 + k, 5)) for k, d in enumerate(depths)]
    write_classic(tmp_path / "in", slices)
    summary = make_maps("t2", tmp_path / "in", tmp_path / "out", formats=("nifti", "dicom"))
    assert any("no" in text and "NIfTI" in text for text in summary.warnings), summary.warnings
    out: Path = tmp_path / "out"
    assert not list(out.rglob("*.nii.gz"))
    row = json.loads((out / "maps.json").read_text(encoding="utf-8"))["maps"]["T2map"]
    ds = pydicom.dcmread(out / row["dicom"])
    placed = [
        np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
        for item in ds.PerFrameFunctionalGroupsSequence
    ]
    placed.sort(key=lambda position: position @ N)
    np.testing.assert_allclose(placed, [one.position for one in slices], atol=1e-6)


# The edges of what the table of tolerances promises.


@pytest.mark.parametrize(("part", "places"), [(0.99, 1), (1.01, 2)])
@pytest.mark.parametrize("edge", [0.002, 1.0])
def test_two_places_are_one_within_a_hundredth_of_a_voxel(edge, part, places):
    away = part * 0.01 * edge
    for shift in ((0, 0, away), (away, 0, 0)):
        found = stacks.arrange([(0, 0, 0), shift], (0, 0, 1), edge)
        assert sum(len(pack.members) for pack in found) == places


@pytest.mark.parametrize(("part", "even"), [(0.99, True), (1.01, False)])
def test_a_slice_may_lie_a_fiftieth_of_a_step_beside_its_place(part, even):
    centres = np.array([[0, 0, k] for k in range(5)], float)
    centres[2, 2] += part * 0.02
    assert stacks.is_even(centres) is even


@pytest.mark.parametrize(("part", "packs"), [(0.99, 1), (1.01, 2)])
def test_a_stack_may_drift_by_a_quarter_of_a_voxel(part, packs):
    shift = part * 0.25
    centres = [(0, 0, 0), (0, 0, 1), (0, 0, 2), (shift, 0, 3), (shift, 0, 4), (shift, 0, 5)]
    assert len(stacks.arrange(centres, (0, 0, 1), 1.0)) == packs


@pytest.mark.parametrize(("times", "said"), [(1, False), (3, True)])
def test_repetitions_in_one_fit_are_said(tmp_path, times, said):
    slices = stack(2, (0, 0, 0))
    for k in range(times):
        write_classic(tmp_path / "in" / str(k), slices)
        for path in (tmp_path / "in" / str(k)).iterdir():
            ds = pydicom.dcmread(path)
            ds.InstanceNumber += 1000 * k
            ds.save_as(path)
    images = load_images(tmp_path / "in", MAP_METHODS["t2"].requirement)
    told = [text for text in images.notes if "repetitions" in text]
    assert len(told) == said
    if said:
        assert "24 images of each slice are 3 repetitions of 8 different ones" in told[0]
