"""Regions: from contours to statistics, beside dcmrtstruct2nii, plastimatch and rt-utils.

    python benchmarks/regions.py --rt-utils PYTHON

Draws five regions on 60 slices of 256 x 256 pixels, with a hole in one of them, and measures them
in a map: whole processes, start-up included, and this product's functions alone. plastimatch is
left out where it is not installed; rt-utils where no PYTHON that has it is named (it needs another
OpenCV, so it lives in an environment of its own). Peers only fill the contours; mean and standard
deviation of their masks are taken with numpy.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from measure import Cost, best, machine
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

Numbers = dict[str, tuple[int, float, float]]

SLICES, SIZE = 60, 256
SPACING, STEP, CORNER = 0.7, 1.5, (-90.0, -80.0, -40.0)
# Name, centre and radii in pixels, and the hole as a part of the radii.
REGIONS = (
    ("tumour", 90.3, 100.7, 31.2, 24.9, 0.0),
    ("rim", 170.2, 96.4, 38.7, 35.1, 0.62),
    ("muscle", 80.9, 180.1, 44.3, 18.8, 0.0),
    ("kidney", 178.4, 186.6, 27.5, 33.4, 0.0),
    ("cord", 128.1, 140.3, 5.2, 4.8, 0.0),
)
DCMRTSTRUCT2NII = """
import sys, pathlib, numpy as np, nibabel as nib, pydicom
pydicom.read_file = getattr(pydicom, "read_file", pydicom.dcmread)
from dcmrtstruct2nii import dcmrtstruct2nii
work = pathlib.Path(sys.argv[1]); out = pathlib.Path(sys.argv[2])
dcmrtstruct2nii(str(work / "roi.dcm"), str(work / "image"), str(out), convert_original_dicom=False)
values = nib.load(work / "map.nii.gz").get_fdata()
for file in sorted(out.glob("mask_*.nii.gz")):
    inside = values[nib.load(file).get_fdata() > 0]
    print("NUMBERS", file.name[5:-7], inside.size, inside.mean(), inside.std(ddof=1))
"""
PLASTIMATCH = """
import sys, pathlib, subprocess, numpy as np, nibabel as nib
work = pathlib.Path(sys.argv[1]); out = pathlib.Path(sys.argv[2])
subprocess.run(["plastimatch", "convert", "--input", work / "roi.dcm", "--referenced-ct",
                work / "image", "--output-prefix", out, "--prefix-format", "nii.gz",
                "--xor-contours"], check=True, stdout=subprocess.DEVNULL)
values = nib.load(work / "map.nii.gz").get_fdata()
for file in sorted(out.glob("*.nii.gz")):
    inside = values[nib.load(file).get_fdata() > 0]
    print("NUMBERS", file.name[:-7], inside.size, inside.mean(), inside.std(ddof=1))
"""
RT_UTILS = """
import sys, pathlib, numpy as np, nibabel as nib
from rt_utils import RTStructBuilder
work = pathlib.Path(sys.argv[1])
made = RTStructBuilder.create_from(str(work / "image"), str(work / "roi.dcm"))
values = nib.load(work / "map.nii.gz").get_fdata()
for name in made.get_roi_names():
    inside = values[made.get_roi_mask_by_name(name).transpose(1, 0, 2)]
    print("NUMBERS", name, inside.size, inside.mean(), inside.std(ddof=1))
"""


def draw(folder: Path) -> None:
    """Write image, structure set, a map on the image's grid and one on a coarser grid."""
    rng = np.random.default_rng(1)
    head = _head()
    images = folder / "image"
    images.mkdir(parents=True)
    uids = [generate_uid() for _ in range(SLICES)]
    for index, uid in enumerate(uids):
        ds = _image(head, index, uid, rng)
        ds.save_as(images / f"{index:03d}.dcm", enforce_file_format=True)
    _structures(head, uids).save_as(folder / "roi.dcm", enforce_file_format=True)
    for name, spacing, step, shape in (
        ("map", SPACING, STEP, (SIZE, SIZE, SLICES)),
        ("coarse", 1.9, 3.1, (94, 94, 29)),
    ):
        affine = np.diag([-spacing, -spacing, step, 1.0])
        affine[:3, 3] = [-CORNER[0], -CORNER[1], CORNER[2]]
        values = rng.normal(50, 5, shape).astype(np.float32)
        nib.save(nib.Nifti1Image(values, affine), folder / f"{name}.nii.gz")


def _head() -> Dataset:
    ds = Dataset()
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20260101", "120000", "", "1"
    ds.ReferringPhysicianName = ds.PatientBirthDate = ds.PatientSex = ""
    ds.PatientName = ds.PatientID = "bench"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = generate_uid(), ""
    return ds


def _object(head: Dataset, sop_class: str, uid: str) -> Any:
    ds = Dataset()
    ds.update(head)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    return ds


def _image(head: Dataset, index: int, uid: str, rng: np.random.Generator) -> Any:
    ds = _object(head, "1.2.840.10008.5.1.4.1.1.4", uid)
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "MR", 1, index + 1
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [CORNER[0], CORNER[1], CORNER[2] + index * STEP]
    ds.PixelSpacing, ds.SliceThickness = [SPACING, SPACING], STEP
    ds.Rows = ds.Columns = SIZE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.PixelData = rng.integers(0, 4000, (SIZE, SIZE), dtype=np.uint16).tobytes()
    return ds


def _structures(head: Dataset, uids: list[str]) -> Any:
    ds = _object(head, "1.2.840.10008.5.1.4.1.1.481.3", generate_uid())
    ds.Modality, ds.SeriesInstanceUID = "RTSTRUCT", generate_uid()
    ds.StructureSetLabel = ds.StructureSetName = "bench"
    ds.ReferencedFrameOfReferenceSequence = [_frame_of_reference(head, uids)]
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    ds.RTROIObservationsSequence = []
    for number, (name, x, y, wide, high, hole) in enumerate(REGIONS, 1):
        row: Any = Dataset()
        row.ROINumber, row.ROIName, row.ROIGenerationAlgorithm = number, name, "MANUAL"
        row.ReferencedFrameOfReferenceUID = head.FrameOfReferenceUID
        ds.StructureSetROISequence.append(row)
        seen: Any = Dataset()
        seen.ObservationNumber = seen.ReferencedROINumber = number
        seen.RTROIInterpretedType = seen.ROIInterpreter = ""
        ds.RTROIObservationsSequence.append(seen)
        one: Any = Dataset()
        one.ReferencedROINumber, one.ROIDisplayColor = number, [255, 0, 0]
        one.ContourSequence = [
            _contour(index, uid, x, y, wide * part, high * part)
            for index, uid in enumerate(uids)
            for part in ((1.0, hole) if hole else (1.0,))
        ]
        ds.ROIContourSequence.append(one)
    return ds


def _frame_of_reference(head: Dataset, uids: list[str]) -> Any:
    series: Any = Dataset()
    series.SeriesInstanceUID = head.SeriesInstanceUID
    series.ContourImageSequence = [_reference(uid) for uid in uids]
    study: Any = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = head.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame: Any = Dataset()
    frame.FrameOfReferenceUID = head.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _reference(uid: str) -> Any:
    ds: Any = Dataset()
    ds.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    ds.ReferencedSOPInstanceUID = uid
    return ds


def _contour(index: int, uid: str, x: float, y: float, wide: float, high: float) -> Any:
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    wave = 1 + 0.06 * np.sin(5 * angle + 0.2 * index)  # what a hand draws is no ellipse
    points = np.empty((len(angle), 3))
    points[:, 0] = CORNER[0] + SPACING * (x + wide * wave * np.cos(angle))
    points[:, 1] = CORNER[1] + SPACING * (y + high * wave * np.sin(angle))
    points[:, 2] = CORNER[2] + index * STEP
    ds: Any = Dataset()
    ds.ContourImageSequence = [_reference(uid)]
    ds.ContourGeometricType, ds.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
    ds.ContourData = [f"{v:.4f}" for v in points.ravel()]
    return ds


def functions_alone(folder: Path, name: str, runs: int) -> tuple[float, dict[str, float], Numbers]:
    """Return the median wall time from files to statistics in a warm process, and its parts."""
    from pipelines.regions.run import RoiOptions, find

    walls: list[float] = []
    parts: list[dict[str, float]] = []
    for _ in range(runs + 1):
        times: dict[str, float] = {}
        start = time.perf_counter()
        result = find(folder / "image", folder / "roi.dcm", [folder / name], RoiOptions(), times)
        walls.append(time.perf_counter() - start)
        parts.append(times)
    rows = {
        one.region.name: (one.image_voxels, one.maps[0].own.whole.mean, one.maps[0].own.whole.sd)
        for one in result.rois
    }
    middle = sorted(range(1, runs + 1), key=walls.__getitem__)[runs // 2]
    return walls[middle], parts[middle], rows


def numbers(command: list[str | Path]) -> Numbers:
    """Run a peer once and return what it prints: voxels, mean and SD by region."""
    done = subprocess.run([str(w) for w in command], capture_output=True, text=True, check=True)
    rows = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("NUMBERS")]
    return {row[0]: (int(row[1]), float(row[2]), float(row[3])) for row in rows}


def main() -> None:
    """Draw, measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--rt-utils", metavar="PYTHON", help="a Python that has rt-utils")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=options.work))
    try:
        draw(work)
        _compare(work, options)
    finally:
        shutil.rmtree(work)


def _compare(work: Path, options: argparse.Namespace) -> None:
    out = work / "out"
    own = [Path(sys.executable).with_name("python"), "-c", "from pipelines.cli import main; main()"]
    call = [*own, "mask-average", "--image", work / "image", "--roi", work / "roi.dcm", "--map"]
    peers: dict[str, list[str | Path]] = {
        "dcmrtstruct2nii": [sys.executable, "-c", DCMRTSTRUCT2NII, work, out]
    }
    if shutil.which("plastimatch"):
        peers["plastimatch, --xor-contours"] = [sys.executable, "-c", PLASTIMATCH, work, out]
    if options.rt_utils:
        peers["rt-utils"] = [options.rt_utils, "-c", RT_UTILS, work]
    costs: dict[str, Cost] = {
        "mask-average, tables": best([*call, work / "map.nii.gz", out, "--format", "none"],
                                     options.runs, [out]),
        "mask-average, all outputs and 300 pictures": best([*call, work / "map.nii.gz", out],
                                                           options.runs, [out]),
    }  # fmt: skip
    found: dict[str, Numbers] = {}
    for name, command in peers.items():
        costs[name] = best(command, options.runs, [out])
        shutil.rmtree(out, ignore_errors=True)
        found[name] = numbers(command)
    print(f"{machine()}. Median of {options.runs} runs.\n")
    print("| functions alone, warm process | wall s | of it reading s | of it measuring s |")
    print("| --- | ---: | ---: | ---: |")
    for name, text in (("map.nii.gz", "map on the image's grid"), ("coarse.nii.gz", "coarse map")):
        wall, parts, rows = functions_alone(work, name, options.runs)
        print(f"| {text} | {wall:.2f} | {parts['read']:.2f} | {parts['measure']:.2f} |")
        found.setdefault("ours", rows)
    reference = costs["mask-average, tables"].wall_s
    print("\n| whole process | wall s | cpu s | peak MiB | wall / ours |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, cost in costs.items():
        ratio = cost.wall_s / reference
        print(
            f"| {name} | {cost.wall_s:.2f} | {cost.cpu_s:.2f} | {cost.peak_mib:.0f} | {ratio:.1f} |"
        )
    print("\n| voxels (beside ours) | " + " | ".join(row[0] for row in REGIONS) + " |")
    print("| --- |" + " ---: |" * len(REGIONS))
    for name, rows in found.items():
        cells = []
        for region in REGIONS:
            count, ours = rows.get(region[0], (0,))[0], found["ours"][region[0]][0]
            cells.append(
                f"{count}" if name == "ours" else f"{count} ({100 * (count / ours - 1):+.1f} %)"
            )
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
