"""The whole command as a person waits for it: 500 DICOM files in, everything out, with its parts.

Run ``python benchmarks/mapping_command.py [--runs N] [--work DIR]``; it prints a table in Markdown.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SIZE, SLICES, ECHOES, SPACING_MS, SNR = 128, 20, 25, 8.0, 80.0
_COMMAND = "import sys; from pipelines.cli import main; sys.argv[0] = 'xnat-pic-pipelines'; main()"
_PARTS = {
    "read": "headers and pixels of 500 files",
    "fit": "mask, noise, T2 with Rician likelihood, errors, flags",
    "write": "NIfTI, Parametric Maps, secondary series, MATLAB, sidecars, checksums",
    "report": "report with pictures and plots",
}


def write_series(folder: Path) -> None:
    """Write spin echoes of a disc, 20 slices of 25 echoes, one file each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    t2 = 60 + 30 * np.sin(5 * x) * np.cos(4 * y)
    inside = np.hypot(x, y) < 0.8
    study, series, frame = (generate_uid(entropy_srcs=[name]) for name in ("study", "series", "f"))
    for index in range(SLICES * ECHOES):
        slice_index, echo = divmod(index, ECHOES)
        te = SPACING_MS * (echo + 1)
        clean = np.where(inside, 8000 * np.exp(-te / t2), 0)
        real, imaginary = rng.normal(0, 8000 / SNR, (2, *clean.shape))
        ds: Any = _header(study, series, frame, index)
        ds.EchoTime, ds.EchoNumbers = te, echo + 1
        ds.ImagePositionPatient = [0, 0, slice_index]
        ds.PixelData = np.rint(np.hypot(clean + real, imaginary)).astype("<u2").tobytes()
        ds.save_as(folder / f"{index + 1:04d}.dcm", enforce_file_format=True)


def _header(study: str, series: str, frame: str, index: int) -> Dataset:
    ds: Any = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["instance", str(index)])
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "MR", 5, index + 1
    ds.PatientID = ds.PatientName = "m01"
    ds.PatientBirthDate = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.PatientSex, ds.StudyID, ds.StudyDate, ds.StudyTime = "M", "1", "20260101", "101010"
    ds.ImageType, ds.RepetitionTime = ["ORIGINAL", "PRIMARY", "M", "SE"], 3000
    ds.ImageOrientationPatient, ds.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.2, 0.2]
    ds.SliceThickness, ds.RescaleSlope, ds.RescaleIntercept = 1, 1, 0
    ds.Rows = ds.Columns = SIZE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    return ds


def run(source: Path, out: Path) -> dict[str, float]:
    """Run the command once and return the seconds of the whole and of its parts."""
    shutil.rmtree(out, ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "map", "t2", str(source), str(out), "--json"],
        check=True,
        capture_output=True,
    )
    whole = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    parts = json.loads(done.stdout)["seconds"]
    return {"whole": whole, **parts, "start": whole - sum(parts.values()), "cpu": cpu}


def table(runs: int, work: Path | None) -> list[str]:
    """Return the lines of the table, of the run with the median time."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        source, out = Path(folder) / "in", Path(folder) / "out"
        write_series(source)
        run(source, out)  # compiles, or loads what was compiled before
        taken = sorted((run(source, out) for _ in range(runs)), key=lambda one: one["whole"])
    middle = taken[len(taken) // 2]
    fastest, slowest = taken[0]["whole"], taken[-1]["whole"]
    lines = [
        f"`xnat-pic-pipelines map t2 IN OUT`, {SLICES * ECHOES} DICOM files of {SIZE} x {SIZE}, "
        "kernels cached.",
        f"The run of the median time of {runs} ({fastest:.1f} to {slowest:.1f} s, mean "
        f"{statistics.mean(one['whole'] for one in taken):.1f} s).",
        "",
        "| part | what | seconds |",
        "| --- | --- | ---: |",
        f"| start | interpreter, imports of the command, end | {middle['start']:.2f} |",
    ]
    lines += [f"| {part} | {what} | {middle[part]:.2f} |" for part, what in _PARTS.items()]
    least = min(one["cpu"] for one in taken)
    lines.append(f"| whole | | {middle['whole']:.2f} |")
    return [*lines, f"| processor time | of both cores, least of the runs | {least:.2f} |"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--work", type=Path, help="folder for the files; default: temporary")
    options = parser.parse_args()
    print(f"On {machine()}.\n")
    print("\n".join(table(options.runs, options.work)))


if __name__ == "__main__":
    main()
