"""Read a pH calibration, which belongs to a field, a B1 and a temperature."""

import tomllib
from pathlib import Path

from ..errors import CallError, CorruptInputError, ModelInputError
from ..models.ph import IOPAMIDOL_PPM, PhCalibration

_LISTS = ("ph", "ratio")
_NUMBERS = ("field_t", "b1_ut", "temperature_c")


def read_calibration(path: Path) -> PhCalibration:
    """Read a pH calibration.

    Parameters
    ----------
    path : Path
        TOML with ``ph`` and ``ratio`` (lists of the same length), ``field_t`` (tesla), ``b1_ut``
        (microtesla), ``temperature_c`` (degrees Celsius), ``source`` (text) and, for agents other
        than iopamidol, ``offsets_ppm`` (two numbers).

    Returns
    -------
    PhCalibration

    Raises
    ------
    CallError
        Where the file is not there, or a row is missing or no number.
    CorruptInputError
        For a file that is no TOML.
    """
    if not path.is_file():
        raise CallError(f"There is no {path.name}.", path=path, hint="Check the path.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorruptInputError(
            f"{path.name} is no TOML ({error}).", path=path, hint="Correct it."
        ) from error
    missing = [key for key in (*_LISTS, *_NUMBERS, "source") if not content.get(key)]
    if missing:
        raise CallError(
            f"The pH calibration {path.name} does not say {', '.join(missing)}.",
            path=path,
            hint="Write down under which conditions it was measured, and where it comes from.",
        )
    try:
        ph, ratio = (tuple(float(value) for value in content[key]) for key in _LISTS)
        first, second = (float(value) for value in content.get("offsets_ppm", IOPAMIDOL_PPM))
        return PhCalibration(
            ph,
            ratio,
            field_t=float(content["field_t"]),
            b1_ut=float(content["b1_ut"]),
            temperature_c=float(content["temperature_c"]),
            source=str(content["source"]),
            offsets_ppm=(first, second),
        )
    except (TypeError, ValueError) as error:
        raise CallError(
            f"The pH calibration {path.name} holds something that is no number.",
            path=path,
            hint="Give lists of numbers for ph and ratio, and two for offsets_ppm.",
        ) from error
    except ModelInputError as error:
        raise CallError(f"{path.name}: {error.message}", path=path, hint=error.hint) from error
