"""Click folders made from the published description: big-endian TIFF written byte by byte."""

import struct
from pathlib import Path

import numpy as np

FOV_CM, STOP, EXPOSURE_S, BINNING = 22.4, 1, 40, 8
COEFFICIENT, BIAS = 7.223e5, 680
PER_COUNT = 282.1484375  # 7.223e5 / (40 * 64), by hand


def tiff_bytes(pixels, *, tags=None, short=0):
    """Return an uncompressed big-endian TIFF of one grey page; `tags` replaces entries."""
    kind = pixels.dtype
    bits, form = kind.itemsize * 8, 3 if kind.kind == "f" else 1
    data = pixels.astype(kind.newbyteorder(">")).tobytes()
    rows, columns = pixels.shape
    entries = {
        256: (4, 1, columns),
        257: (4, 1, rows),
        258: (3, 1, bits << 16),
        259: (3, 1, 1 << 16),
        262: (3, 1, 1 << 16),
        273: (4, 1, 8),
        277: (3, 1, 1 << 16),
        278: (4, 1, rows),
        279: (4, 1, len(data)),
        339: (3, 1, form << 16),
    }
    entries |= tags or {}
    place = 8 + len(data)
    head = struct.pack(">2sHI", b"MM", 42, place)
    table = struct.pack(">H", len(entries))
    for tag in sorted(entries):
        table += struct.pack(">HHII", tag, *entries[tag])
    whole = head + data + table + struct.pack(">I", 0)
    return whole[: len(whole) - short] if short else whole


def scene(seed=3):
    """Return light in counts (240, 240): two animals on the stage, and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:240, :240]
    light = 4000 * np.exp(-((x - 80) ** 2 + (y - 120) ** 2) / 200)
    light += 1500 * np.exp(-((x - 160) ** 2 + (y - 100) ** 2) / 120)
    return light + rng.normal(0, 4, light.shape)


def text(**changed):
    """Return the text of ClickInfo.txt; a value of None leaves the line out."""
    values = {
        "exposure": "40",
        "unit": "sec",
        "stop": "1",
        "fov": "22.4",
        "binning": "8",
        "bias": str(BIAS),
        "animal": "m07",
        "coefficient": "Coef C-ccd at FOV 22.4, f1",
        "seconds": "3724227755",
    } | changed
    line = [
        "*** ClickNumber:\tAB20220105114235",
        "ClickInfo Type:\tRaw",
        "Living Image Version:\t4.7.3",
        "",
        "*** User Label Name Set:\tLiving Image Universal",
        "User:\tAB",
        "Group:\ttreated",
        "Experiment:\tTumour growth µ",
        f"Animal Number:\t{values['animal']}",
        "Animal Strain:\tBALB/c",
        "Sex:\tFemale",
        "Comment1:\tcage #3",
        "View:\tDorsal",
        "",
        "*** photographic image:\tphotograph.TIF",
        "Binning Factor:\t2",
        "f Number:\t8",
        f"Field of View:\t{values['fov']}",
        "Exposure Time (Seconds):\t0.2",
        "",
        "*** luminescent image:\tluminescent.TIF",
        "Acquisition Date:\tWednesday, January 5, 2022",
        "Acquisition Time:\t11:42:35",
        f"Acquisition Seconds:\t{values['seconds']}",
        f"Binning Factor:\t{values['binning']}",
        f"Luminescent Exposure (Seconds):\t{values['exposure']}",
        f"Luminescent Exposure Units:\t{values['unit']}",
        f"f Number:\t{values['stop']}",
        f"Field of View:\t{values['fov']}",
        f"Read Bias Level:\t{values['bias']}",
        "Pixel Width:\t1",
        "Emission filter:\tOpen",
        "Excitation filter:\tBlock",
        "Measured Temperature:\t-89.8",
        "Image Units:\tcounts",
        "",
        "*** Camera System Info:\t",
        "# coefficients, photons",
        "System Configuration:\tIVIS Lumina",
        "Coef C-ccd at FOV 22.4, f8:\t3.9e7",
        f"{values['coefficient']}:\t{COEFFICIENT:g} # at the shelf D",
        "Camera Serial Number:\tXC1234",
    ]
    dropped = {
        "fov": "Field of View:",
        "bias": "Read Bias",
        "exposure": "Luminescent Exposure (S",
        "seconds": "Acquisition Seconds",
    }
    gone = [dropped[k] for k, v in values.items() if v is None]
    return "\r\n".join(one for one in line if not any(one.startswith(g) for g in gone)) + "\r\n"


def write_click(
    folder: Path, *, corrected=None, dark=None, photograph=True, name="AB20220105114235", **changed
):
    """Write a click; `corrected` is ``radiance``, ``counts`` or None. Return folder and scene."""
    click = folder / name
    click.mkdir(parents=True)
    (click / "ClickInfo.txt").write_bytes(text(**changed).encode("latin-1"))
    light = scene()
    counts = np.clip(np.rint(light + BIAS), 0, 65535).astype(np.uint16)
    (click / "luminescent.TIF").write_bytes(tiff_bytes(counts))
    if photograph:
        picture = np.arange(960 * 960, dtype=np.uint32).reshape(960, 960) % 4001
        (click / "photograph.TIF").write_bytes(tiff_bytes(picture.astype(np.uint16)))
    if dark is not None:
        (click / "background.TIF").write_bytes(tiff_bytes(dark))
    if corrected:
        factor = PER_COUNT if corrected == "radiance" else 1.0
        image = (1.05 * factor * light).astype(np.float32)
        (click / "luminescentFloatCorrected.TIF").write_bytes(tiff_bytes(image))
    return click, counts
