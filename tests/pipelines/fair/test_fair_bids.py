"""The data set passes the validator of BIDS, and its images are those that dcm2niix reads."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

import mri2dicom

BIN = Path(sys.executable).parent


def problems(folder):
    """Errors of the data set and of those in derivatives, as the validator names them."""
    done = subprocess.run(
        [str(BIN / "bids-validator-deno"), str(folder), "-r", "--format", "json"],
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert list(said["derivativesSummary"]), "the derivatives were not looked at"
    parts = [said, *said["derivativesSummary"].values()]
    assert sum(len(part["summary"]["subjects"]) for part in parts) >= 2
    return {
        (one["code"], one.get("subCode", ""), one["location"])
        for part in parts
        for one in part["issues"]["issues"]
        if one["severity"] == "error"
    }


def test_the_validator_finds_no_error(exported):
    assert problems(exported) == set()


def test_the_validator_finds_what_is_missing(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "out")
    [sidecar] = (tmp_path / "out").glob("sub-*/ses-*/pet/*_pet.json")
    sidecar.unlink()
    next((tmp_path / "out").glob("sub-*/ses-*/dwi/*.bvec")).unlink()
    codes = {code for code, _, _ in problems(tmp_path / "out")}
    assert "SIDECAR_KEY_REQUIRED" in codes
    assert len(codes) > 1


def test_every_kind_has_its_place(exported):
    names = {p.name for p in exported.glob("sub-*/**/*.nii.gz")}
    start = "sub-m01_ses-pre_acq-"
    assert {n for n in names if "_MESE" in n} == {
        f"{start}T2mapMSME_run-1_echo-{k}_MESE.nii.gz" for k in range(1, 9)
    }
    assert f"{start}T2TurboRARE_run-1_T2w.nii.gz" in names
    assert f"{start}DTIEPI_run-1_dwi.nii.gz" in names
    assert "sub-m01_ses-pre_trc-FDG_run-1_pet.nii.gz" in names
    source = {p.name for p in (exported / "sourcedata").rglob("*.nii.gz")}
    assert any("CESTRARE" in n for n in source)
    assert any("T1mapRAREVTR" in n for n in source)
    assert sum("Localizer" in n for n in source) == 3  # one volume for each orientation
    assert any(n.endswith("_ct.nii.gz") for n in source)
    # The scanner's own T2 map is no image of the scanner: it is kept as DICOM.
    assert list((exported / "sourcedata").glob("sub-m01/ses-pre/dicom/*T2mapMSME*/*.dcm"))


def dcm2niix(folder, out):
    out.mkdir()
    subprocess.run(
        [str(BIN / "dcm2niix"), "-z", "n", "-f", "v", "-o", str(out), str(folder)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return sorted(out.glob("*.nii"), key=lambda p: (len(p.name), p.name))


def canonical(path):
    image = nib.as_closest_canonical(nib.load(path))
    return np.asarray(image.dataobj, dtype=np.float64), image.affine


@pytest.mark.parametrize(
    ("series", "ours"),
    [
        ("20001_*", "anat/*_T2w.nii.gz"),
        ("30001_*", "anat/*_MESE.nii.gz"),
        ("60001_*", "dwi/*DTIEPI*_dwi.nii.gz"),
        ("10002_*.pet", "pet/*_pet.nii.gz"),
    ],
)
def test_images_are_those_of_dcm2niix(study, exported, tmp_path, series, ours):
    [folder] = study.rglob(series)
    theirs = dcm2niix(folder, tmp_path / "nii")
    mine = sorted(exported.glob(f"sub-*/ses-*/{ours}"))
    assert len(theirs) == len(mine)
    for one, other in zip(mine, theirs, strict=True):
        (values, affine), (expected, place) = canonical(one), canonical(other)
        assert values.shape == expected.shape
        np.testing.assert_allclose(affine, place, atol=2e-4)
        top = np.abs(expected).max()
        np.testing.assert_allclose(values, expected, atol=2e-6 * top, rtol=2e-6)
        assert top > 0


def world(path, vectors):
    """Directions of FSL in the patient: undo the mirror, then along the axes of the image."""
    affine = nib.load(path).affine[:3, :3]
    axes = affine / np.linalg.norm(affine, axis=0)
    flip = np.diag([-1.0 if np.linalg.det(axes) > 0 else 1.0, 1, 1])
    return axes @ flip @ vectors


def test_gradients_are_those_of_dcm2niix(study, exported, tmp_path):
    [folder] = study.rglob("60001_*")
    [other] = dcm2niix(folder, tmp_path / "nii")
    [mine] = exported.glob("sub-*/ses-*/dwi/*DTIEPI*_dwi.nii.gz")
    stem = mine.name.removesuffix(".nii.gz")
    values = np.loadtxt(mine.with_name(f"{stem}.bval"))
    np.testing.assert_allclose(values, np.loadtxt(other.with_suffix(".bval")), rtol=1e-4, atol=1)
    ours = world(mine, np.loadtxt(mine.with_name(f"{stem}.bvec")))
    theirs = world(other, np.loadtxt(other.with_suffix(".bvec")))
    strong = values > 100
    assert strong.sum() >= 6
    # A direction and its opposite are the same measurement.
    agreement = np.abs(np.sum(ours[:, strong] * theirs[:, strong], axis=0))
    np.testing.assert_allclose(agreement, 1, atol=1e-3)


def test_sidecars_say_what_headers_say(study, exported):
    [folder] = study.rglob("30001_*")
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in folder.glob("*.dcm")]
    times = sorted({float(h.EchoTime) / 1000 for h in headers})
    files = sorted(exported.glob("sub-*/ses-*/anat/*_MESE.json"))
    said = [json.loads(p.read_text(encoding="utf-8")) for p in files]
    assert [one["EchoTime"] for one in said] == pytest.approx(times)
    pulses = float(headers[0].RepetitionTime) / 1000
    assert said[0]["RepetitionTimeExcitation"] == pytest.approx(pulses)
    assert "RepetitionTime" not in said[0]
    [path] = exported.glob("sub-*/ses-*/pet/*_pet.json")
    pet = json.loads(path.read_text(encoding="utf-8"))
    assert pet["InjectedRadioactivity"] == pytest.approx(7.4)  # planted by the digital mouse
    assert pet["TracerRadionuclide"] == "F18"
    assert pet["InjectionStart"] == -3600
    assert pet["InjectedMass"] == "n/a"  # no header says it


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_tables(exported):
    [animal] = rows(exported / "participants.tsv")
    assert animal == {
        "participant_id": "sub-m01", "species": "Mus musculus", "strain": "digital", "sex": "F",
        "group": "treated", "dose": "dose1",
    }  # fmt: skip
    [visit] = rows(exported / "sub-m01" / "sub-m01_sessions.tsv")
    assert visit["session_id"] == "ses-pre"
    assert (visit["timepoint"], visit["days"]) == ("pre", "0")
    assert visit["acq_time"].startswith("2024-01-09T")
    assert float(visit["weight_g"]) > 10


def test_maps_keep_their_values_and_name_their_images(study, exported):
    [path] = exported.glob("derivatives/xnat-pic/sub-*/ses-*/anat/*run-1_T2map.nii.gz")
    source = next(
        p for p in (study / "results" / "t2").glob("*_T2map.nii.gz") if "se" not in p.name
    )
    assert path.read_bytes() == source.read_bytes()
    sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
    said = json.loads(sidecar.read_text(encoding="utf-8"))
    assert said["Units"] == "ms"
    assert len(said["Sources"]) == 8
    for one in said["Sources"]:
        assert (exported / one.removeprefix("bids:raw:")).is_file()
    assert list(exported.glob("derivatives/xnat-pic-results/*_t2/provenance.json"))


def test_a_study_of_a_scanner(shared_data, tmp_path, command):
    source = shared_data / "paravision" / "pv601_acidoCEST"
    mri2dicom.convert(source, tmp_path / "dicom", jobs=1)
    out = tmp_path / "out"
    done = command("P1", out, "--from", tmp_path / "dicom", "--bids")
    assert done.exit_code == 0, done.output
    said = subprocess.run(
        [str(BIN / "bids-validator-deno"), str(out), "--format", "json"],
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    issues = json.loads(said.stdout)["issues"]["issues"]
    assert [one for one in issues if one["severity"] == "error"] == []
    [image] = out.glob("sub-chin/ses-20220316/anat/*_T2w.nii.gz")
    [folder] = {p.parent for p in (tmp_path / "dicom").rglob("*.dcm") if "RARE" in p.parent.name}
    [theirs] = dcm2niix(folder, tmp_path / "nii")
    (values, affine), (expected, place) = canonical(image), canonical(theirs)
    np.testing.assert_allclose(affine, place, atol=2e-4)
    np.testing.assert_allclose(values, expected, atol=2e-6 * expected.max(), rtol=2e-6)
