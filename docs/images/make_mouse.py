"""Draw ``docs/images/mouse.png`` from converted DICOM: ``python docs/images/make_mouse.py DEMO``.

DEMO is the folder of ``make demo``. Needs matplotlib; the picture is made by hand, not by a test.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pydicom

mpl.use("Agg")
import matplotlib.pyplot as plt

OFFSET_PPM = (0x1061, 0x1015)


def _read(study: Path, series: str) -> list[pydicom.Dataset]:
    folder = next(study.glob(f"{series}_*"))
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def _values(data: pydicom.Dataset) -> np.ndarray:
    return data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)


def main() -> None:
    """Draw the picture."""
    study = next(Path(sys.argv[1]).rglob("10001_*")).parent
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), facecolor="white")
    t2w = _read(study, "20001")
    middle = t2w[len(t2w) // 2]
    axes[0].imshow(_values(middle), cmap="gray")
    axes[0].set_title("T2-weighted RARE")
    maps = _read(study, "30002")
    t2 = next(m for m in maps if m.ContentLabel == "T2")
    frame = t2.pixel_array[t2.NumberOfFrames // 2]
    shown = axes[1].imshow(frame, cmap="viridis", vmin=0, vmax=120, aspect="auto")
    figure.colorbar(shown, ax=axes[1], label="ms")
    axes[1].set_title("T2, a Parametric Map")
    dwi = _read(study, "50001")
    third = [d for d in dwi if d.SliceLocation == dwi[3].SliceLocation]
    strongest = max(third, key=lambda d: d.DiffusionBValue)
    axes[2].imshow(_values(strongest), cmap="gray")
    axes[2].set_title(f"DWI, b = {strongest.DiffusionBValue:.0f} s/mm²")
    spectrum = [d for d in _read(study, "70001") if OFFSET_PPM in d]
    place = spectrum[0].SliceLocation
    points = sorted(
        (float(d[OFFSET_PPM].value), float(_values(d)[24:40, 24:40].mean()))
        for d in spectrum
        if d.SliceLocation == place and abs(float(d[OFFSET_PPM].value)) < 12
    )
    axes[3].plot(*zip(*points, strict=True), "o-", ms=3)
    axes[3].invert_xaxis()
    axes[3].set_xlabel("saturation offset (ppm)")
    axes[3].set_title("Z-spectrum")
    for axis in axes[:3]:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.tight_layout()
    figure.savefig(Path(__file__).with_name("mouse.png"), dpi=80)


if __name__ == "__main__":
    main()
