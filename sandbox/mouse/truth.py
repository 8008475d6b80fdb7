"""The truth beside a study: maps as NIfTI on the grid of each series, and everything as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from .anatomy import Animal, Tissue, b0_shift_ppm
from .identity import Identity
from .protocols import Scan
from .signals import fractional_anisotropy
from .simulate import GAIN, Scene

_PROPERTY = {"t2map": "T2_ms", "t1map": "T1_ms", "dwi": "ADC_um2_ms", "dti": "MD_um2_ms"}
_TENSOR_ORDER = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def tissue_truth(tissue: Tissue) -> dict[str, Any]:
    """List every property of one tissue with its unit in the name."""
    tensor = tissue.tensor()
    return {
        "label": tissue.label,
        "proton_density": tissue.proton_density,
        "T1_ms": tissue.t1_ms,
        "T2_ms": tissue.t2_ms,
        "ADC_um2_ms": tissue.mean_diffusivity(),
        "MD_um2_ms": tissue.mean_diffusivity(),
        "FA": float(fractional_anisotropy(tensor)),
        "tensor_um2_ms": {f"D{'xyz'[i]}{'xyz'[j]}": float(tensor[i, j]) for i, j in _TENSOR_ORDER},
        "cest_pools": [asdict(pool) for pool in tissue.pools],
    }


def scan_truth(animal: Animal, scan: Scan, scene: Scene, files: list[str]) -> dict[str, Any]:
    """List the settings of one scan, its truth files and how many voxels each tissue has."""
    counts = np.bincount(
        np.concatenate([label.ravel() for label in scene.labels]),
        minlength=len(animal.tissues) + 1,
    )
    entry: dict[str, Any] = {
        "expno": scan.expno,
        "key": scan.key,
        "name": scan.name,
        "method": scan.method,
        "frames": scan.frame_count(),
        "slices": scan.slice_count(),
        "repetitions": scan.repetitions,
        "TR_ms": list(scan.tr_ms),
        "TE_ms": list(scan.te_ms),
        "voxels": {t.name: int(counts[t.label]) for t in animal.tissues},
        "files": files,
    }
    if scan.diffusion is not None:
        entry["b_effective_s_mm2"] = [float(b) for b in scan.diffusion.effective_b()]
        entry["b_nominal_s_mm2"] = scan.diffusion.nominal_b()
    if scan.loop == "cest":
        entry["offset_ppm"] = list(scan.offsets_ppm)
        entry["b1_ut"] = scan.b1_ut
    return entry


def write_scan_truth(folder: Path, animal: Animal, scan: Scan, scene: Scene) -> list[str]:
    """Write the label map of a scan and the parameter maps it can yield.

    Scans of several orientations have no common grid and get none.

    Returns
    -------
    list of str
        Names of the files written.
    """
    if len(scan.packs) > 1:
        return []
    stem = f"{scan.expno}_{scan.key}"
    labels = _stack(scene.labels)
    maps: dict[str, npt.NDArray[Any]] = {"label": labels}
    if scan.key in _PROPERTY:
        maps[_PROPERTY[scan.key]] = _lookup(animal, labels, _PROPERTY[scan.key])
    if scan.key == "dti":
        maps["FA"] = _lookup(animal, labels, "FA")
        tensors = np.stack([np.zeros((3, 3)), *(t.tensor() for t in animal.tissues)])
        columns = np.stack([tensors[:, i, j] for i, j in _TENSOR_ORDER], axis=1)
        maps["tensor_um2_ms"] = columns.astype(np.float32)[labels]
    if scan.key == "cest":
        pack = scan.packs[0]
        slices = [b0_shift_ppm(pack.voxel_centres(i)) for i in range(len(pack.centres_mm))]
        maps["B0_ppm"] = np.where(labels > 0, _stack(slices), 0).astype(np.float32)
    names = []
    for name, array in maps.items():
        names.append(f"{stem}_{name}.nii.gz")
        _write_nifti(folder / names[-1], array, scan)
    return names


def write_study_truth(
    folder: Path,
    who: Identity,
    animal: Animal,
    scans: list[dict[str, Any]],
    paravision: str,
    noise: float,
) -> None:
    """Write ``truth.json``: identity, effect, tissues and scans of one study."""
    plan = who.plan
    content = {
        "subject": plan.subject,
        "group": plan.group,
        "dose": plan.dose,
        "timepoint": plan.timepoint,
        "days_after_baseline": plan.days,
        "paravision": paravision,
        "study_date": f"{who.start:%Y-%m-%d}",
        "study_uid": who.study_uid(),
        "axes": "tensor in patient LPS; NIfTI affines in RAS",
        "noise_sigma": noise * GAIN,
        "signal_of_water": GAIN,
        "effect": asdict(animal.effect),
        "tissues": {t.name: tissue_truth(t) for t in animal.tissues},
        "organs": [asdict(organ) for organ in animal.organs],
        "scans": scans,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    (folder / "truth.json").write_text(text, encoding="utf-8", newline="\n")


def _stack(slices: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Turn slices of (rows, columns) into (columns, rows, slices)."""
    return np.stack(slices, axis=-1).transpose(1, 0, 2)


def _lookup(animal: Animal, labels: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
    table = np.array([0.0, *(tissue_truth(t)[name] for t in animal.tissues)], dtype=np.float32)
    values: npt.NDArray[np.float32] = table[labels]
    return values


def _write_nifti(path: Path, array: npt.NDArray[Any], scan: Scan) -> None:
    image = nib.Nifti1Image(array, scan.packs[0].affine_ras())
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
