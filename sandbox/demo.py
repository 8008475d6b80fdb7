"""The demonstration: digital mice, converted to DICOM, with a word on what to look at."""

import shutil
import sys
import time
from pathlib import Path

import click

from mri2dicom import convert

from .mouse import MouseOptions, write_mice


def run(folder: Path) -> int:
    """Make studies of digital mice in `folder` and convert them.

    Parameters
    ----------
    folder : Path
        Made new; one left by an earlier demonstration is replaced.

    Returns
    -------
    int
        Exit code of the conversion.
    """
    mice, dicom = folder / "scanner", folder / "dicom"
    for path in (mice, dicom, folder / "scanner_truth"):
        if path.exists():
            shutil.rmtree(path)
    start = time.monotonic()
    click.echo("Scanning digital mice (two groups, two doses, two timepoints) ...")
    studies = write_mice(mice, MouseOptions(animals=1, traps=True))
    click.echo(f"  {len(studies)} ParaVision 360 studies in {_short(mice)}")
    click.echo("Converting them to DICOM ...")
    report = convert(mice, dicom, jobs=2)
    files = sum(one.files for one in report.series)
    click.echo(f"  {report.count('converted')} series, {files} files in {_short(dicom)}")
    skipped = {one.reason for one in report.series if one.status == "skipped"}
    for reason in sorted(skipped):
        click.echo(f"  skipped: {reason}")
    click.echo(f"Done in {time.monotonic() - start:.0f} s.\n")
    click.echo(_what_to_look_at(mice, dicom, studies[0].path))
    return report.exit_code


def _short(path: Path) -> Path:
    """Return a path as it is typed from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _what_to_look_at(mice: Path, dicom: Path, study: Path) -> str:
    below = study.relative_to(mice)
    mice, dicom, study = _short(mice), _short(dicom), _short(study)
    return f"""What to look at:
  {dicom / below}
      one folder a series; open it in any DICOM viewer. The Z-spectrum (70001) carries its
      saturation offsets in group 1061, the DTI (60001) its b-matrices.
  {mice.parent / "scanner_truth"}
      the truth: label and parameter maps as NIfTI, effect sizes as JSON.
Try yourself:
  .venv/bin/mri2dicom inspect {study}
  .venv/bin/mri2dicom convert {mice} {dicom.parent / "enhanced"} --enhanced --species mouse"""


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1] if len(sys.argv) > 1 else "demo").resolve()))
