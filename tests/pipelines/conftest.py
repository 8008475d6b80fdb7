"""One digital mouse, converted both ways, for all tests of the command."""

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import mri2dicom
from sandbox.mouse import MouseOptions, write_mice

SERIES = {
    "t2": "30001_T2map_MSME",
    "t1sr": "40001_T1map_RAREVTR",
    "dwi": "50001_DWI_EPI_multi_b",
    "dti": "60001_DTI_EPI",
    "cest": "70001_CEST_RARE",
}


@dataclass
class Mouse:
    """Folders of the converted series, and the truth."""

    classic: Path
    enhanced: Path
    truth: Path

    def series(self, name: str, form: str = "classic") -> Path:
        return getattr(self, form) / SERIES[name]

    def true_map(self, name: str, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Values of a truth file at the voxels of another grid of the same series."""
        image = nib.load(self.truth / f"{name}.nii.gz")
        values = np.asarray(image.dataobj)
        index = np.indices(shape).reshape(3, -1)
        homogeneous = np.vstack([index, np.ones(index.shape[1])])
        there = np.rint(np.linalg.solve(image.affine, affine @ homogeneous))[:3].astype(int)
        inside = np.all((there >= 0) & (values.shape[:3] > there.T).T, axis=0)
        assert inside.all()
        return values[tuple(there)].reshape(shape)

    def tissues(self) -> dict:
        text = (self.truth / "truth.json").read_text(encoding="utf-8")
        return json.loads(text)["tissues"]


@pytest.fixture(scope="session")
def mouse(tmp_path_factory) -> Mouse:
    folder = tmp_path_factory.mktemp("maps")
    options = MouseOptions(
        animals=1, groups=("treated",), doses=("dose1",), timepoints=("pre",), size="SMALL",
        noise=0.002, traps=False,
    )  # fmt: skip
    study = write_mice(folder / "raw", options)[-1]
    mri2dicom.convert(study.path, folder / "classic")
    mri2dicom.convert(study.path, folder / "enhanced", enhanced=True)
    found = [next((folder / form).rglob(SERIES["t2"])).parent for form in ("classic", "enhanced")]
    return Mouse(*found, study.truth)
