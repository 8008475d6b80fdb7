"""Change copies of series, and run the command on them."""

import json
import shutil

import nibabel as nib
import numpy as np
import pydicom
from click.testing import CliRunner

from pipelines.cli import main

PLAIN = ("--format", "nifti", "--sigma", "0")


def copy_series(source, target, change=lambda ds: None):
    """Copy a series; `change` edits each data set."""
    shutil.copytree(source, target)
    for path in sorted(target.iterdir()):
        ds = pydicom.dcmread(path)
        change(ds)
        ds.save_as(path)
    return target


def set_pixels(ds, pixels):
    """Put pixels (rows, columns) of the same type into a data set."""
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = np.ascontiguousarray(pixels).tobytes()


def number(folder, key):
    """Number the images of a folder in the order of a key of their data sets."""
    sets = sorted(((pydicom.dcmread(p), p) for p in folder.iterdir()), key=lambda one: key(one[0]))
    for count, (ds, path) in enumerate(sets, 1):
        ds.InstanceNumber = count
        ds.save_as(path)
        path.rename(path.with_name(f"new{count:04d}.dcm"))
    return folder


def run(command, source, out, *options):
    """Run a map that succeeds; return what it says, and a reader of its files by map and kind."""
    words = ["map", command, str(source), str(out), "--json", *map(str, options)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    rows = json.loads((out / "maps.json").read_text(encoding="utf-8"))["maps"]

    def image(name, kind="nifti"):
        return nib.load(out / rows[name][kind])

    return json.loads(done.stdout), image


def refuse(code, told, command, source, out, *options):
    """Run a map that must be refused: code, one sentence and a remedy, and nothing left."""
    before = sorted(out.parent.iterdir())
    words = ["map", command, str(source), str(out), *map(str, options)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert told in done.stderr, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("xnat-pic-pipelines: ")
    assert done.stderr.rstrip().endswith((".", "?"))
    assert sorted(out.parent.iterdir()) == before
