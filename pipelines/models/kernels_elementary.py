"""Exponential and logarithm of short arrays, in loops that the compiler turns into vector code.

The library's own functions are called number by number, which takes most of the time of a fit that
is linear otherwise. Both agree with them to some 1e-15.
"""

from typing import Any

import numpy as np

from .kernels import compiled

_LN2 = float(np.log(2.0))
_LOG2E = 1 / _LN2
_BIAS = 1023
_FRACTION = 52  # bits of the fraction of a double
_MASK = (1 << _FRACTION) - 1
_ONE = _BIAS << _FRACTION
# 2^52 + k holds the whole number k in its lowest bits: so numbers turn into bits and back where
# the processor has no vector instruction for it.
_HIGH = float(1 << _FRACTION)
_HIGH_BITS = (_BIAS + _FRACTION) << _FRACTION
_SQRT2 = float(np.sqrt(2.0))


@compiled
def exponentials(x: Any, out: Any, bits: Any, powers: Any) -> Any:
    """Write exp(x), with x between -700 and 700.

    x = t ln 2 + r with |r| <= ln 2 / 2, and the Taylor series of r to the twelfth power. `bits` is
    int64 working memory of the length of x, and `powers` the same memory seen as float64.
    """
    for i in range(len(x)):
        t = np.floor(x[i] * _LOG2E + 0.5)
        r = x[i] - t * _LN2
        p = 1 / 479001600.0
        p = p * r + 1 / 39916800.0
        p = p * r + 1 / 3628800.0
        p = p * r + 1 / 362880.0
        p = p * r + 1 / 40320.0
        p = p * r + 1 / 5040.0
        p = p * r + 1 / 720.0
        p = p * r + 1 / 120.0
        p = p * r + 1 / 24.0
        p = p * r + 1 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        out[i] = p * r + 1.0
        powers[i] = t + (_HIGH + _BIAS)
    for i in range(len(x)):
        bits[i] = bits[i] << _FRACTION
    for i in range(len(x)):
        out[i] *= powers[i]


@compiled
def logarithms(x_bits: Any, out: Any, bits: Any, fractions: Any) -> Any:
    """Write ln(x) of normal positive numbers, given as their bits (int64).

    x = 2^e m with m between sqrt(1/2) and sqrt(2); ln m = 2 artanh((m - 1) / (m + 1)) by its
    series to the power 21. Working memory as in `exponentials`.
    """
    for i in range(len(x_bits)):
        bits[i] = (x_bits[i] >> _FRACTION) | _HIGH_BITS
    for i in range(len(x_bits)):
        out[i] = fractions[i] - (_HIGH + _BIAS)
    for i in range(len(x_bits)):
        bits[i] = (x_bits[i] & _MASK) | _ONE
    for i in range(len(x_bits)):
        e = out[i]
        m = fractions[i]
        large = 1.0 if m > _SQRT2 else 0.0
        m = m * (1.0 - 0.5 * large)
        s = (m - 1.0) / (m + 1.0)
        q = s * s
        p = 1 / 21.0
        p = p * q + 1 / 19.0
        p = p * q + 1 / 17.0
        p = p * q + 1 / 15.0
        p = p * q + 1 / 13.0
        p = p * q + 1 / 11.0
        p = p * q + 1 / 9.0
        p = p * q + 1 / 7.0
        p = p * q + 1 / 5.0
        p = p * q + 1 / 3.0
        p = p * q + 1.0
        out[i] = 2.0 * s * p + (e + large) * _LN2
