"""Read a pH calibration, which belongs to a field, a B1 and a temperature."""

from pathlib import Path

from xnat_pic.errors import WrongCallError
from xnat_pic.tables import read_toml

from ..errors import ModelInputError
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
    WrongCallError
        Where the file is not there or no TOML, or a row is missing or no number.
    """
    if not path.is_file():
        raise WrongCallError(f"There is no {path.name}.", path=path, hint="Check the path.")
    content = read_toml(path, "The pH calibration")
    missing = [key for key in (*_LISTS, *_NUMBERS, "source") if not content.get(key)]
    if missing:
        raise WrongCallError(
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
        raise WrongCallError(
            f"The pH calibration {path.name} holds something that is no number.",
            path=path,
            hint="Give lists of numbers for ph and ratio, and two for offsets_ppm.",
        ) from error
    except ModelInputError as error:
        raise WrongCallError(f"{path.name}: {error.message}", path=path, hint=error.hint) from error
