"""One digital mouse with MR, PET and CT, converted, with a T2 map; exported once."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import mri2dicom
from pipelines.cli.fair import fair
from pipelines.fitting.data import MapOptions
from pipelines.maps.run import make_maps
from sandbox.mouse import MouseOptions, write_mice

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sandbox" / "archive"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

ABOUT = """
title = "Digital mice"
description = "Simulated images of one mouse."
publisher = "Digital mouse"
year = 2026
licence = "CC0-1.0"
licence_url = "https://creativecommons.org/publicdomain/zero/1.0/"
keywords = ["mouse", "MRI"]
strain = "digital"

[[creators]]
family = "Digital mouse project"
orcid = "0000-0002-1825-0097"
affiliation = "Digital mouse"
"""


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A folder with ``dicom`` and ``results``."""
    folder = tmp_path_factory.mktemp("fair")
    options = MouseOptions(
        animals=1, groups=("treated",), doses=("dose1",), timepoints=("pre",), size="SMALL",
        noise=0.002, traps=False, pet_ct=True,
    )  # fmt: skip
    write_mice(folder / "raw", options)
    mri2dicom.convert(folder / "raw", folder / "study" / "dicom", jobs=1)
    [scan] = (folder / "study").rglob("30001_*")
    make_maps("t2", scan, folder / "study" / "results" / "t2", MapOptions(), formats=("nifti",))
    return folder / "study"


@pytest.fixture(scope="session")
def about(tmp_path_factory):
    path = tmp_path_factory.mktemp("about") / "about.toml"
    path.write_text(ABOUT, encoding="utf-8")
    return path


def run(*words):
    return CliRunner().invoke(fair, [str(word) for word in words])


@pytest.fixture
def command():
    """The command as a function of its words."""
    return run


@pytest.fixture(scope="session")
def exported(study, about, tmp_path_factory):
    """The study as the command writes it."""
    out = tmp_path_factory.mktemp("exported") / "out"
    done = run("P1", out, "--from", study, "--about", about)
    assert done.exit_code == 0, done.output
    return out
