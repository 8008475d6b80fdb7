"""What the tests of the written DICOM share: studies of every kind, and reading files back."""

import hashlib
import shutil
import stat
from pathlib import Path

import numpy as np
import pydicom
from builder import AXIAL, CORONAL, SAGITTAL, Word, make_pixels, make_reco

import mri2dicom
from sandbox.mouse import MouseOptions, write_mice

FIXTURES = (
    "misc_dicomifier_tests",
    "pv3601_mrs4brain",
    "pv51_bruker2nifti_testdata",
    "pv51_brukerMRI_tripilot",
    "pv601_acidoCEST",
    "pv601_gtagora_localizer",
)


def mouse(folder: Path, version: str) -> Path:
    """Write one small study of the digital mouse and return its folder."""
    options = MouseOptions(
        paravision=version,
        size="SMALL",
        animals=1,
        groups=("untreated",),
        timepoints=("pre",),
        traps=True,
    )
    return write_mice(folder / version.replace(".", "_"), options)[0].path


def copy_study(source: Path, target: Path, *, without: str = "") -> Path:
    """Copy a study that may be read-only; folders called `without` are left out."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(without) if without else None)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR | (stat.S_IXUSR if path.is_dir() else 0))
    return target


def converted(source: Path, out: Path, **options) -> mri2dicom.ConversionReport:
    """Convert; every series that is no skip must have been written."""
    report = mri2dicom.convert(source, out, **options)
    failed = [f"{one.expno}/{one.procno}: {one.reason}" for one in report.series]
    assert report.count("failed") == 0, failed
    return report


def by_scan(report: mri2dicom.ConversionReport) -> dict:
    """Give the series of a report by scan number."""
    return {one.expno: one for one in report.series}


def files_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))


def datasets(folder: Path | str) -> list[pydicom.Dataset]:
    """Read the files of one series in the order of their names, which is the scanner's."""
    return [pydicom.dcmread(path) for path in sorted(Path(folder).glob("*.dcm"))]


def checksums(folder: Path) -> dict[str, str]:
    """Give the SHA-256 of every file, by its path; folders count too."""
    return {
        path.relative_to(folder).as_posix(): (
            "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in sorted(folder.rglob("*"))
    }


def small_study(study: Path, *, scans: int = 2, slices: int = 3) -> Path:
    """Write a study of a few small scans; subject and study UID follow the folder's name."""
    for number in range(1, scans + 1):
        make_reco(
            study,
            expno=number,
            groups=[("FG_SLICE", slices)],
            pixels=make_pixels(slices, (8, 6), "<i2", seed=number),
        )
    return study


def synthetic_studies(folder: Path) -> dict[str, Path]:
    """Write one study for each kind of series that the real ones do not show."""
    return {name: _SYNTHETIC[name](folder / name).parents[2] for name in _SYNTHETIC}


def _three_d(study: Path) -> Path:
    return make_reco(study, frames=1, size=(8, 6, 5), thickness=5.0)


def _complex(study: Path) -> Path:
    parts = ["REAL_IMAGE", "IMAGINARY_IMAGE"]
    return make_reco(
        study,
        groups=[("FG_SLICE", 2), ("FG_COMPLEX", 2)],
        frame_type=[part for part in parts for _ in range(2)],
        pixels=make_pixels(4, (8, 6), "<i2") - 9000,
    )


def _wide_whole(study: Path) -> Path:
    pixels = make_pixels(3, (8, 6), "<i4").astype("<i4") * 1000
    return make_reco(study, groups=[("FG_SLICE", 3)], dtype="<i4", pixels=pixels, slope=0.25)


def _wide_float(study: Path) -> Path:
    return make_reco(study, groups=[("FG_SLICE", 3)], dtype="<f4")


def _whole_quantity(study: Path) -> Path:
    maps = ("FG_ISA", 2, "", ("VisuFGElemComment", "VisuCoreDataUnits"))
    return make_reco(
        study,
        procno=2,
        groups=[maps, ("FG_SLICE", 3)],
        dtype="<i4",
        pixels=make_pixels(6, (8, 6), "<i4") * 1000,
        slope=0.001,
        visu={
            "VisuSeriesTypeId": "DERIVED_ISA",
            "VisuFGElemComment": ["T2 relaxation time", "std dev of T2"],
            "VisuCoreDataUnits": ["ms", "ms"],
        },
    )


def _float_quantity(study: Path) -> Path:
    pixels = make_pixels(3, (8, 6), "<f4")
    pixels[0, 0, 0] = np.nan
    pixels[1] = np.nan
    return make_reco(
        study,
        procno=2,
        groups=[("FG_SLICE", 3)],
        dtype="<f4",
        pixels=pixels,
        visu={"VisuSeriesTypeId": "DERIVED_ISA", "VisuCoreDataUnits": ["Hz"]},
    )


def _diffusion(study: Path) -> Path:
    return make_reco(
        study,
        version="5.1",
        groups=[("FG_SLICE", 2), ("FG_MOVIE", 4, "diffusion")],
        visu={"VisuAcqSequenceName": "DtiStandard (pvm)"},
        method={
            "Method": "DtiStandard",
            "PVM_DwEffBval": [2.0, 400.0, 800.0, 1200.0],
            "PVM_DwAoImages": 1,
            "PVM_DwNDiffDir": 3,
            "PVM_DwNDiffExpEach": 1,
        },
    )


def _cine(study: Path) -> Path:
    return make_reco(
        study,
        groups=[("FG_SLICE", 2), ("FG_CARDIAC_MOVIE", 5)],
        visu={
            "VisuCardiacSynchUsed": Word("Yes"),
            "VisuCardiacMovieFrameTime": [(10.0 * k, 10.0 * k) for k in range(5)],
        },
    )


def _breathing(study: Path) -> Path:
    return make_reco(
        study,
        groups=[("FG_SLICE", 2), ("FG_RESP_MOVIE", 5)],
        visu={
            "VisuRespSynchUsed": Word("Yes"),
            "VisuRespMovieFrameTime": [(100.0 * k, 100.0 * k) for k in range(5)],
        },
    )


def _gated(study: Path) -> Path:
    return make_reco(
        study,
        groups=[("FG_SLICE", 2)],
        visu={"VisuRespSynchUsed": Word("Yes"), "VisuCardiacSynchUsed": Word("Yes")},
    )


def _film(study: Path) -> Path:
    """A cine movie whose file does not say that a trigger was used."""
    return make_reco(
        study,
        groups=[("FG_CARDIAC_MOVIE", 5)],
        visu={"VisuCardiacMovieFrameTime": [(10.0 * k, 10.0 * k) for k in range(5)]},
    )


def _inversion(study: Path) -> Path:
    return make_reco(
        study,
        groups=[("FG_IRMODE", 4, "", ("VisuAcqInversionTime",)), ("FG_SLICE", 2)],
        visu={"VisuAcqInversionTime": [10.0, 100.0, 500.0, 2000.0]},
    )


def _big_endian(study: Path) -> Path:
    return make_reco(study, groups=[("FG_SLICE", 3)], dtype=">i2")


def _bytes(study: Path) -> Path:
    return make_reco(study, groups=[("FG_SLICE", 3)], dtype="u1", size=(7, 5))


def _coils(study: Path) -> Path:
    return make_reco(
        study,
        groups=[("FG_SLICE", 2), ("FG_COIL", 4, "", ("VisuFGElemComment",))],
        visu={"VisuFGElemComment": [f"element µ{k}" for k in range(4)]},
    )


def _unknown(study: Path) -> Path:
    return make_reco(study, groups=[("FG_SLICE", 2), ("FG_NEVERSEEN", 3)])


def _old(study: Path) -> Path:
    return make_reco(study, version="5.1", groups=[("FG_SLICE", 3)], orientation=CORONAL)


def _packages(study: Path) -> Path:
    axes = [AXIAL] * 2 + [CORONAL] * 3 + [SAGITTAL] * 2
    places = [[0, 0, k * 2.0] for k in range(2)]
    places += [[0, k * 2.0, 0] for k in range(3)] + [[k * 2.0, 0, 0] for k in range(2)]
    return make_reco(
        study,
        groups=[("FG_SLICE", 7)],
        packages=[2, 3, 2],
        orientation=np.array(axes),
        position=np.array(places),
        thickness=[1.0, 1.0, 1.5, 1.5, 1.5, 1.0, 1.0],
    )


_SYNTHETIC = {
    "three_d": _three_d,
    "complex": _complex,
    "wide_whole": _wide_whole,
    "wide_float": _wide_float,
    "whole_quantity": _whole_quantity,
    "float_quantity": _float_quantity,
    "diffusion": _diffusion,
    "cine": _cine,
    "breathing": _breathing,
    "gated": _gated,
    "film": _film,
    "inversion": _inversion,
    "big_endian": _big_endian,
    "bytes": _bytes,
    "coils": _coils,
    "unknown": _unknown,
    "old": _old,
    "packages": _packages,
}
