"""Bytes, rates and times as people read them."""

from ..translation import translate

_STEP = 1024.0
_UNITS = ("KiB", "MiB", "GiB", "TiB")


def size_text(count: float) -> str:
    """Return a number of bytes with its unit: ``12.3 MiB``."""
    if count < _STEP:
        return f"{round(count)} B"
    power = 0
    while count >= _STEP and power < len(_UNITS):
        count /= _STEP
        power += 1
    return f"{count:.1f} {_UNITS[power - 1]}"


def time_text(seconds: float) -> str:
    """Return a remaining time, no finer than it can be known."""
    if seconds < 60:
        return translate("upload.time_seconds", n=max(round(seconds), 1))
    minutes = round(seconds / 60)
    if minutes < 60:
        return translate("upload.time_minutes", n=minutes)
    return translate("upload.time_hours", hours=minutes // 60, minutes=minutes % 60)
