"""Independent programs read what is written of Inveon images: XMedCon, dciodvfy, dcm2niix."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from cases import converted, files_below
from click.testing import CliRunner
from inveon_images import (
    CT,
    DYNAMIC_28,
    PET,
    SPECT,
    TYPES,
    air_and_water,
    dynamic_frames,
    frame,
    ramp,
    write_image,
)
from programs import need_program

import mri2dicom
from uploader.cli import main

pytestmark = pytest.mark.tool
STILL = [frame(0.0, 0.0, scale_factor=1)]


def bases(folder: Path) -> dict[str, Path]:
    """Write one study with an image of every kind, in folders of their own."""
    gated = [frame(0.0, 150.0, gate=gate) for gate in range(4)]
    beds = [frame(60.0 * bed, 60.0, bed=bed) for bed in range(2)]
    two = dynamic_frames([60.0, 120.0])
    kinds = {
        "static": {},
        "bytes": {"data_type": 1},
        "integers": {"data_type": 6, "calibration_units": "0", "subject_orientation": "0"},
        "dynamic": {"frames": two, "acquisition_mode": "3", "subject_orientation": "2"},
        "gated": {"frames": gated, "acquisition_mode": "4"},
        "gated_bins": {"frames": gated, "gate_bins": "1 4 0.1 0.14"},
        "beds": {"frames": beds, "number_of_bed_positions": "2"},
        "bare": dict.fromkeys(
            [
                k
                for k in PET
                if k.startswith(("scan", "gmt", "subject", "inj", "iso", "dose", "lld"))
            ]
        ),
        "ct": {"base": CT, "voxels": air_and_water(), "frames": STILL, "data_type": 2},
        "ct_unknown": {"base": CT, "frames": STILL, "subject_orientation": "0"},
        "ct_float": {"base": CT, "voxels": air_and_water() * 1.5, "frames": STILL},
        "scout": {"base": CT, "frames": STILL, "acquisition_mode": "16", "data_type": 2},
        "spect": {"base": SPECT},
        "spect_calibrated": {"base": SPECT, "data_type": 2, "calibration_units": "2"},
        "spect_frames": {"base": SPECT, "frames": two, "number_of_projections": None},
    }
    return {name: write_image(folder / name / "a.img", **kind) for name, kind in kinds.items()}


@pytest.mark.parametrize("enhanced", [False, True])
def test_no_errors(tmp_path, enhanced):
    tool = need_program("dciodvfy")
    bases(tmp_path / "in")
    report = converted(tmp_path / "in", tmp_path / "out", enhanced=enhanced)
    assert {one.status for one in report.series} == {"converted"}
    assert len(report.series) == 16
    seen = set()
    for path in files_below(tmp_path / "out"):
        if int(path.stem) > 2:  # planes after the second differ in numbers alone
            continue
        found = subprocess.run([tool, path], capture_output=True, check=False)
        lines = (found.stderr + found.stdout).decode(errors="replace").splitlines()
        seen |= {one for one in lines if one.endswith("Image")}
        assert [one for one in lines if one.startswith("Error")] == [], path
    pet = "LegacyConvertedEnhancedPETImage" if enhanced else "PETImage"
    assert seen == {pet, "CTImage", "NMImage"}


def medcon_values(path: Path, folder: Path) -> np.ndarray:
    """Return what XMedCon reads, with the factors that it knows of."""
    tool = need_program("medcon")
    name = folder / "values"
    command = [tool, "-f", path.name, "-c", "ascii", "-qc", "-n", "-w", "-o", name]
    subprocess.run(command, cwd=path.parent, capture_output=True, check=True, timeout=30)
    return np.array((folder / "values.asc").read_text().split(), dtype=float)


def medcon_words(path: Path, folder: Path) -> dict[str, str]:
    """Return geometry and position as XMedCon writes them into an Interfile header."""
    tool = need_program("medcon")
    command = [tool, "-f", path.name, "-c", "intf", "-qc", "-n", "-w", "-o", folder / "words"]
    subprocess.run(command, cwd=path.parent, capture_output=True, check=True, timeout=30)
    lines = (folder / "words.h33").read_text("latin-1").splitlines()
    pairs = [line.split(" := ") for line in lines if " := " in line]
    wanted = ("scaling factor (mm/pixel) [1]", "scaling factor (mm/pixel) [2]",
              "slice thickness (pixels)", "patient orientation", "patient rotation")  # fmt: skip
    return {key: value for key, value in pairs if key in wanted}


def from_both(tmp_path, image: Path, nci: float) -> None:
    """Compare XMedCon's reading of the source with its reading of our files.

    Parameters
    ----------
    nci : float
        Unit of the header in Bq; XMedCon converts no unit.
    """
    (one,) = converted(image.parent, tmp_path / "out").series
    files = files_below(Path(one.path))
    source = image.with_name(image.name + ".hdr")
    expected = medcon_values(source, tmp_path) * nci
    found = np.concatenate([medcon_values(path, tmp_path) for path in files])
    step = np.abs(expected).max() / 32767 if one.kind != "CT" else 0.05
    np.testing.assert_allclose(found, expected, atol=step, rtol=2e-6)
    if one.kind != "dynamic PET":  # XMedCon writes no Interfile of these
        assert medcon_words(files[0], tmp_path) == medcon_words(source, tmp_path)


@pytest.mark.parametrize("data_type", sorted(TYPES))
def test_xmedcon_on_every_type(tmp_path, data_type):
    from_both(tmp_path, write_image(tmp_path / "in" / "a.img", data_type=data_type), 37.0)


@pytest.mark.parametrize("name", ["pet", "dyn"])
def test_xmedcon_on_the_shared_images(tmp_path, shared_data, name):
    folder = shared_data / "inveon" / "synthetic_xmedcon"
    for suffix in (".img", ".img.hdr"):
        target = tmp_path / "in" / f"{name}{suffix}"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((folder / f"{name}{suffix}").read_bytes())
    from_both(tmp_path, tmp_path / "in" / f"{name}.img", 37.0)


@pytest.mark.parametrize(
    ("base", "voxels", "data_type", "keys"),
    [
        (PET, None, 4, {"calibration_units": "2"}),
        (SPECT, None, 2, {"calibration_units": "2"}),
        (SPECT, None, 4, {"calibration_units": "2"}),
        (CT, air_and_water(), 2, {}),
        (CT, air_and_water(), 6, {}),
        (CT, air_and_water() * 1.02, 4, {}),
    ],
)
def test_xmedcon_on_every_modality(tmp_path, base, voxels, data_type, keys):
    frames = STILL if base is CT else None
    path = tmp_path / "in" / "a.img"
    write_image(path, base, voxels, frames, data_type=data_type, **keys)
    from_both(tmp_path, path, 1.0)


@pytest.mark.parametrize("code", range(1, 9))
def test_xmedcon_reads_the_same_position(tmp_path, code):
    path = write_image(tmp_path / "in" / "a.img", subject_orientation=str(code))
    (one,) = converted(path.parent, tmp_path / "out").series
    source = medcon_words(path.with_name("a.img.hdr"), tmp_path)
    found = medcon_words(files_below(Path(one.path))[0], tmp_path)
    assert found == source


def nifti(dicom: Path, folder: Path) -> list[Path]:
    program = Path(sys.executable).with_name("dcm2niix")
    folder.mkdir()
    command = [program, "-b", "y", "-z", "n", "-f", "image", "-o", folder, dicom]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return sorted(folder.glob("*.nii"))


def voxels_at(image: nibabel.Nifti1Image, frames: int) -> np.ndarray:
    """Return the NIfTI's values in the order frame, z, y, x of the scanner's own axes.

    Feet first, supine: stored x runs to the right, y to the back, z to the head.
    """
    values = image.get_fdata().reshape(*image.shape[:3], frames)
    z, y, x = np.mgrid[:4, :5, :6]
    place = np.stack(
        [(x - 2.5) * 0.776, -(y - 2.0) * 0.777, (z - 1.5) * 0.796, np.ones(x.shape)], axis=-1
    )
    index = place @ np.linalg.inv(image.affine).T
    nearest = np.rint(index[..., :3]).astype(int)
    assert np.abs(index[..., :3] - nearest).max() < 0.01
    return np.moveaxis(values[tuple(np.moveaxis(nearest, -1, 0))], -1, 0)


@pytest.mark.parametrize("enhanced", [False, True])
def test_dcm2niix_makes_one_volume_in_time(tmp_path, enhanced):
    voxels = ramp(4, 28)
    frames = dynamic_frames(DYNAMIC_28)
    write_image(tmp_path / "in" / "a.img", voxels=voxels, frames=frames, acquisition_mode="3")
    (one,) = converted(tmp_path / "in", tmp_path / "out", enhanced=enhanced).series
    (path,) = nifti(Path(one.path), tmp_path / "nii")
    image = nibabel.load(path)
    assert image.shape == (6, 5, 4, 28)
    scale = (0.5 + 0.25 * np.arange(28))[:, None, None, None] * 2.5 / 0.968 * 37
    expected = voxels.astype(np.float64) * scale
    step = np.abs(expected).max(axis=(2, 3), keepdims=True) / 32767
    assert (
        np.abs(voxels_at(image, 28) - expected) <= step / 2 * 1.01 + 1e-6 * expected.max()
    ).all()
    if not enhanced:
        side = json.loads(path.with_suffix(".json").read_text())
        starts = np.cumsum([0.0, *DYNAMIC_28])[:-1]
        np.testing.assert_allclose(side["FrameTimesStart"], starts, atol=1e-3)
        np.testing.assert_allclose(side["FrameDuration"], DYNAMIC_28, atol=1e-3)
        assert side["InjectedRadioactivity"] == pytest.approx(7.4)


def test_dcm2niix_on_ct_and_gated(tmp_path):
    found = bases(tmp_path / "in")
    for name, shape in (("ct", (12, 12, 6)), ("gated", (6, 5, 4, 4)), ("static", (6, 5, 4))):
        (one,) = converted(found[name].parent, tmp_path / f"{name}_out").series
        (path,) = nifti(Path(one.path), tmp_path / f"{name}_nii")
        assert nibabel.load(path).shape == shape


def test_the_uploader_sees_the_modalities(tmp_path):
    """Scanned as a person would: one session per modality, with its own kind."""
    found = bases(tmp_path / "in")
    for name in set(found) - {"static", "ct", "spect"}:
        for path in found[name].parent.iterdir():
            path.unlink()
    converted(tmp_path / "in", tmp_path / "out")
    plan = tmp_path / "plan.csv"
    call = ["scan", str(tmp_path / "out"), "--project", "demo", "-o", str(plan), "--json"]
    result = CliRunner().invoke(main, call)
    assert result.exit_code in (0, 8), result.output
    lines = plan.read_text("utf-8-sig").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    found = {row["session"]: (row["modality"], int(row["files"])) for row in rows}
    assert found == {
        "Maus_1_20231204_PET": ("PET", 4),
        "Maus_1_20231204_CT": ("CT", 6),
        "Maus_1_20231204_NM": ("NM", 1),
    }


def test_overview_and_command(tmp_path):
    bases(tmp_path / "in")
    rows = {row.study: row for row in mri2dicom.inspect(tmp_path / "in")}
    assert rows["dynamic"].kind == "dynamic PET"
    assert rows["dynamic"].loops == "SLICE:4 FRAME:2"
    assert rows["ct"].method == "Feldkamp"
    assert rows["spect"].kind == "SPECT"
    assert rows["scout"].kind == "localizer"
    assert rows["static"].subject == "Maus 1"


def test_pixels_of_enhanced_and_classic_agree(tmp_path):
    path = write_image(tmp_path / "in" / "a.img", frames=dynamic_frames([60.0, 120.0]))
    (one,) = converted(path.parent, tmp_path / "classic").series
    (other,) = converted(path.parent, tmp_path / "enhanced", enhanced=True).series
    classic = [pydicom.dcmread(file) for file in files_below(Path(one.path))]
    (enhanced,) = [pydicom.dcmread(file) for file in files_below(Path(other.path))]
    assert enhanced.SOPClassUID.name == "Legacy Converted Enhanced PET Image Storage"
    groups = enhanced.PerFrameFunctionalGroupsSequence
    assert len(groups) == len(classic) == 8
    for stored, group in zip(enhanced.pixel_array, groups, strict=True):
        converted_from = group.UnassignedPerFrameConvertedAttributesSequence[0]
        ds = classic[converted_from.ImageIndex - 1]
        assert converted_from.FrameReferenceTime == ds.FrameReferenceTime
        scale = group.PixelValueTransformationSequence[0]
        np.testing.assert_array_equal(stored, ds.pixel_array)
        assert float(scale.RescaleSlope) == float(ds.RescaleSlope)
        place = group.PlanePositionSequence[0].ImagePositionPatient
        assert list(place) == list(ds.ImagePositionPatient)
    assert enhanced.SeriesInstanceUID != classic[0].SeriesInstanceUID
