"""The NIST system phantom on three scanners: its images, its spheres, its reference values.

The spheres are found by their dark rims; times and slopes are read with pydicom itself.
"""

import json

import numpy as np
import pydicom
import pytest
from scipy import ndimage

SPHERES = 14
RADIUS_MM = 5.2  # of the region in a sphere of 7.5
FIELD_MM = 250.0

SERIES = {
    ("T1", "site1_20200218", "plate5"): "PLATE5_T1",
    ("T1", "site3_ge", "plate4"): "SITE3_T1_P4_VALS",
    ("T1", "site3_ge", "plate5"): "SITE3_T1_P5_VALS",
    ("T2", "site1_20200218", "plate4"): "PLATE4_T2",
    ("T2", "site4_philips", "plate4"): "SITE4_T2_P4",
    ("T2", "site4_philips", "plate5"): "SITE4_T2_P5",
}

# Spheres whose reference value is not reached, each with its reason. Except where there is none,
# the value is still within `PUBLISHED` of the one that the phantom was made for.
EXCEPTIONS = {
    ("PLATE5_T1", 4): "nearly no signal at 400 ms, and its own TR for each later image: T1 goes "
    "from 680 to 790 ms with the radius of the region (2 to 5 mm) and an image left out",
    ("PLATE5_T1", 14): "T1 of 23 ms is gone at the second of the inversion times 50, 100 ... ms",
    ("SITE3_T1_P4_VALS", 1): "T1 of 2376 ms with TR 1000 ms: the sign at 400 ms is open, and the "
    "reference kept the sign that fits worse",
    ("SITE3_T1_P4_VALS", 14): "T1 of 83 ms: the zero crossing is near the first image, whose sign "
    "the reference turned although the squares are forty times larger then",
    ("SITE3_T1_P5_VALS", 14): "T1 of 23 ms is gone at the second of the inversion times",
    ("PLATE4_T2", 14): "T2 of 8 ms: of the echoes that are kept, from 25.4 ms, the second is noise",
    ("SITE4_T2_P5", 1): "T2 of 1.6 s is ten times the last echo of 160 ms, the bound",
}
NO_VALUE = {("SITE3_T1_P5_VALS", 14), ("SITE4_T2_P5", 1)}
PUBLISHED = 0.15
FIELD = "1.5T"


def read(folder, keyword):
    """Protocol values, repetition times, and images (rows, columns, n) with each one's slope."""
    files = sorted(
        (pydicom.dcmread(path) for path in folder.iterdir()), key=lambda d: float(d[keyword].value)
    )
    images = [
        d.pixel_array * float(d.get("RescaleSlope", 1)) + float(d.get("RescaleIntercept", 0))
        for d in files
    ]
    times = [float(d[keyword].value) for d in files]
    return times, [float(d.RepetitionTime) for d in files], np.stack(images, axis=-1)


def spheres(images, centres):
    """Index arrays of the spheres: the turn and shift of the plan on which dark rims lie."""
    size = len(images)
    pixel = FIELD_MM / size
    unit = 192 / size  # the plan is drawn on 192 pixels
    brightest = images.max(axis=-1)
    reach = int(9 / unit)
    across = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) * unit
    kernel = (across <= 4) / np.sum(across <= 4)
    rim = (across >= 5.6) & (across <= 6.6)
    likeness = ndimage.convolve(brightest, kernel - rim / rim.sum())
    middle = centres.mean(axis=0)
    shifts = np.stack(np.meshgrid(*2 * [np.arange(-14, 14.1, unit)]), axis=-1).reshape(-1, 1, 2)
    best, most = None, -np.inf
    for turn in np.radians(np.arange(-8, 8.1, 0.5)):
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        places = ((centres - middle) @ matrix.T + middle + shifts) / unit
        nearest = np.clip(np.rint(places).astype(int), 0, size - 1)
        scores = likeness[nearest[..., 0], nearest[..., 1]].mean(axis=1)
        if scores.max() > most:
            best, most = places[np.argmax(scores)], scores.max()
    # Each sphere's own place, within a millimetre or two of the plan.
    near = ndimage.maximum_filter(likeness, size=round(4 / pixel) | 1)
    peaks = np.argwhere(likeness == near)
    own = [peaks[np.argmin(np.hypot(*(peaks - place).T))] for place in best]
    rows, columns = np.mgrid[:size, :size]
    return [np.flatnonzero(np.hypot(rows - r, columns - c) * pixel <= RADIUS_MM) for r, c in own]


def told(root):
    """Published and fitted values of the spheres."""
    return json.loads((root / "expected_values.json").read_text(encoding="utf-8"))


def centres(root, plate):
    """Rows and columns of the spheres on the plan."""
    plan = told(root)["published_template_values"][plate]["sphere_centres_row_col"]
    return np.array(plan, dtype=float)[:SPHERES]


def compare(found, root, series, exceptions):
    """Every sphere is within 2 % or 1 ms of the reference, and the exceptions are as told."""
    kind, _, plate = series
    name = SERIES[series]
    expected = told(root)["expected_fit_ms"][name][:SPHERES]
    missed = {
        sphere: (round(float(ours), 2), theirs)
        for sphere, (ours, theirs) in enumerate(zip(found, expected, strict=True), 1)
        if not abs(ours - theirs) <= max(0.02 * theirs, 1.0)
    }
    allowed = {sphere for other, sphere in exceptions if other == name}
    assert set(missed) == allowed, missed
    plan = told(root)["published_template_values"][plate][kind.lower()]["relax_times"][FIELD]
    for sphere in [sphere for other, sphere in EXCEPTIONS if other == name]:
        if (name, sphere) in NO_VALUE:
            assert np.isnan(found[sphere - 1]), sphere
        else:
            assert found[sphere - 1] == pytest.approx(plan[sphere - 1], rel=PUBLISHED), sphere


def means(values, regions):
    """Mean of a map in each sphere, NaN where less than half of it has a value."""
    parts = [values[region] for region in regions]
    return [np.nanmean(v) if np.isfinite(v).mean() >= 0.5 else np.nan for v in parts]
