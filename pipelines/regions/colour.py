"""Colours of DICOM segments."""

import numpy as np

_WHITE_D50 = np.array([0.96422, 1.0, 0.82521])
_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def rgb_of_cielab(stored: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return 8-bit sRGB of a Recommended Display CIELab Value.

    L* = 100 v / 65535, a* and b* = 255 v / 65535 - 128 (DICOM PS3.3 C.10.7.1.1); CIELab of white
    point D50 to XYZ (CIE 15:2004, doi:10.25039/TR.015.2018), to linear sRGB by the Bradford
    matrix of that white point, and its transfer curve (IEC 61966-2-1).
    """
    lightness = stored[0] / 65535 * 100
    a, b = (value / 65535 * 255 - 128 for value in stored[1:])
    y = (lightness + 16) / 116
    curve = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(curve > 6 / 29, curve**3, 3 * (6 / 29) ** 2 * (curve - 4 / 29)) * _WHITE_D50
    linear = np.clip(_TO_SRGB @ xyz, 0, 1)
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
    red, green, blue = (int(v) for v in np.rint(encoded * 255))
    return red, green, blue
