"""Time and memory of a conversion, beside the bare cost of the same bytes and beside peers.

Run ``make bench``, or ``python benchmarks/convert.py [--size MIB] [--runs N] [--work DIR]``. It
makes a digital mouse study of about that size and prints a table in Markdown.

Rows: ``bare pydicom`` reads every DICOM file that we wrote and writes it again with pydicom alone:
the same bytes in and out. ``brukerapi`` and ``brkraw`` read the same study's image data (their
part of the work; they write no DICOM) and are left out where they are not installed.
"""

import argparse
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

from measure import Cost, best, machine

BARE = """
import sys, pathlib, pydicom
source, target = map(pathlib.Path, sys.argv[1:])
target.mkdir()
for number, path in enumerate(sorted(source.rglob("*.dcm"))):
    pydicom.dcmread(path).save_as(target / f"{number}.dcm")
"""
BRUKERAPI = """
import sys, pathlib
from brukerapi.dataset import Dataset
for path in sorted(pathlib.Path(sys.argv[1]).rglob("2dseq")):
    Dataset(path).data.sum()
"""
BRKRAW = """
import sys, pathlib, brkraw
for subject in sorted(pathlib.Path(sys.argv[1]).rglob("subject")):
    study = brkraw.load(str(subject.parent))
    for number, scan in study.avail.items():
        for reco in scan.avail:
            data = study.get_dataobj(number, reco)
            for part in data if isinstance(data, tuple) else (data,):
                part.sum()
"""
OURS_READ = """
import sys, mri2dicom
for series in mri2dicom.read(sys.argv[1]):
    if hasattr(series, "pixels"):
        step = 256
        for start in range(0, series.plane_count, step):
            stop = min(start + step, series.plane_count)
            scale = series.slope[start:stop, None, None]
            (series.pixels.read_planes(start, stop) * scale).sum()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB of image data")
    parser.add_argument("--runs", type=int, default=3, help="runs; the median is shown")
    parser.add_argument("--work", type=Path, default=None, help="folder for the data")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-", dir=options.work))
    try:
        _measure(work, options.size, options.runs)
    finally:
        shutil.rmtree(work)


def _measure(work: Path, size: int, runs: int) -> None:
    command = [sys.executable, "-m"]
    study, out, bare = work / "study", work / "out", work / "bare"
    best([*command, "sandbox.cli", "mouse", study, "--size", str(size)], 1)
    image_bytes = sum(path.stat().st_size for path in study.rglob("2dseq"))
    convert = [*command, "mri2dicom.cli", "convert", study, out]
    rows: list[tuple[str, Cost]] = []
    for jobs in (1, 2):
        name = f"mri2dicom convert, {jobs} job{'s' if jobs > 1 else ''}"
        rows.append((name, best([*convert, "--jobs", str(jobs)], runs, [out])))
    files = sum(1 for _ in out.rglob("*.dcm"))
    rows.append(
        ("bare pydicom: read and write the same files", best(_script(BARE, out, bare), 1, [bare]))
    )
    shutil.rmtree(bare)
    enhanced = work / "enhanced"
    convert[-1] = enhanced
    rows.append(
        (
            "mri2dicom convert --enhanced, 1 job",
            best([*convert, "--enhanced", "--jobs", "1"], runs, [enhanced]),
        )
    )
    rows.append(("mri2dicom read, all pixels scaled", best(_script(OURS_READ, study), runs)))
    for module, script in (("brukerapi", BRUKERAPI), ("brkraw", BRKRAW)):
        if importlib.util.find_spec(module) is None:
            continue
        try:
            rows.append((f"{module} read, all pixels", best(_script(script, study), runs)))
        except RuntimeError as error:
            print(f"{module}: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
    _print(rows, image_bytes, files, runs)


def _script(text: str, *arguments: Path) -> list[str | Path]:
    return [sys.executable, "-c", text, *arguments]


def _print(rows: list[tuple[str, Cost]], image_bytes: int, files: int, runs: int) -> None:
    bare = dict(rows)["bare pydicom: read and write the same files"].wall_s
    print(f"{image_bytes / 2**20:.0f} MiB of image data, {files} classic files; {machine()}.")
    print(f"Median of {runs} runs; whole processes, start-up included.\n")
    print("| what | wall s | cpu s | peak MiB | wall / bare |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, cost in rows:
        print(
            f"| {name} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_mib:.0f} "
            f"| {cost.wall_s / bare:.2f} |"
        )


if __name__ == "__main__":
    main()
