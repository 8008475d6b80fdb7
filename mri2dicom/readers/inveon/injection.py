"""What was injected: radionuclide, compound, dose and time, as DICOM has them."""

import math
from datetime import datetime
from typing import Any

from ...mapping.tables import code_item, load_mapping
from .decay import decay_constant
from .header import Header, Section
from .transforms import map_attributes

# Syringe and dose that differ by more are named to the person.
_DOSE_TOLERANCE = 0.05
_DAY_S = 86_400.0


def isotope_code(text: str | None) -> list[dict[str, str]]:
    """Return the standard's code of a radionuclide in any spelling; empty for another one."""
    wanted = _alphanumeric(text or "")
    for row in load_mapping("inveon")["isotope"]:
        names = (row["symbol"], row["name"])
        spellings = {
            _alphanumeric(one) for n in names for one in (n + row["mass"], row["mass"] + n)
        }
        if wanted and wanted in spellings:
            return [code_item(*row["code"])]
    return []


def _alphanumeric(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def compound_code(text: str | None) -> list[dict[str, str]]:
    """Return the standard's code of a compound that people name; empty for any other text."""
    wanted = (text or "").strip().lower()
    for row in load_mapping("inveon")["compound"]:
        if wanted in row["words"]:
            return [code_item(*row["code"])]
    return []


def dose_bq(main: Section) -> float | None:
    """Return the dose in Bq; None where value or unit is unknown."""
    factor = load_mapping("inveon")["units"]["dose"].get(str(main.integer("dose_units")))
    value = main.number("dose")
    return float(value * factor) if factor is not None and value and value > 0.0 else None


def net_dose_bq(header: Header) -> float | None:
    """Return syringe minus residual activity at the injection, in Bq; None where one is unknown.

    Notes
    -----
    Each activity is decayed (or grown) from its time t to the injection t0 by
    2 ** ((t - t0) / T), with the half-life T.
    """
    main, injected = header.main, header.time_of("injection_time")
    factor = load_mapping("inveon")["units"]["dose"].get(str(main.integer("activity_units")))
    rate = decay_constant(main.number("isotope_half_life"))
    full = main.number("activity_before_injection")
    measured = header.time_of("activity_before_injection_time")
    if not (factor and rate and full and injected and measured):
        return None
    net = _decayed(full, measured, injected, rate)
    rest, rested = main.number("residual_activity"), header.time_of("residual_activity_time")
    if rest:
        if rested is None:
            return None
        net -= _decayed(rest, rested, injected, rate)
    return net * float(factor) if net > 0.0 else None


def _decayed(activity: float, measured: datetime, wanted: datetime, rate: float) -> float:
    exponent = rate * (measured - wanted).total_seconds()
    return activity * math.exp(min(max(exponent, -700.0), 700.0))


def radiopharmaceutical(header: Header) -> dict[str, Any]:
    """Return the item of the Radiopharmaceutical Information Sequence."""
    main = header.main
    compound, isotope = main.text("injected_compound"), main.text("isotope")
    item: dict[str, Any] = {"RadionuclideCodeSequence": isotope_code(isotope)}
    if known := compound_code(compound):
        item["RadiopharmaceuticalCodeSequence"] = known
    name = compound or isotope
    if name and name.strip().lower() != "unknown":
        item["Radiopharmaceutical"] = name
    injected = header.time_of("injection_time")
    if injected is not None:
        item["RadiopharmaceuticalStartTime"] = injected.strftime("%H%M%S")
        item["RadiopharmaceuticalStartDateTime"] = injected.strftime("%Y%m%d%H%M%S")
    dose = dose_bq(main)
    if dose is not None:
        item["RadionuclideTotalDose"] = dose
    half_life = main.number("isotope_half_life")
    if half_life is not None and half_life > 0.0:
        item["RadionuclideHalfLife"] = half_life
    fraction = main.number("isotope_branching_fraction")
    if fraction is not None and 0.0 < fraction <= 1.0:
        item["RadionuclidePositronFraction"] = fraction
    return item


def dose_warnings(header: Header) -> list[str]:
    """Return what stands in the way of an SUV."""
    main = header.main
    dose, net = dose_bq(main), net_dose_bq(header)
    injected, scanned = header.time_of("injection_time"), header.time_of("scan_time")
    wanted = {
        "injected dose with its unit": dose is not None,
        "injection time": injected is not None,
        "weight of the subject with its unit": "PatientWeight" in map_attributes(main),
        "half-life": bool(decay_constant(main.number("isotope_half_life"))),
    }
    missing = [name for name, there in wanted.items() if not there]
    found = [f"No SUV can be computed: the header holds no {', no '.join(missing)}."]
    found = found if missing else []
    if dose is not None and net is not None and abs(net - dose) > _DOSE_TOLERANCE * dose:
        found.append(
            f"The dose is {dose / 1e6:.4g} MBq, and the syringe's activities give "
            f"{net / 1e6:.4g} MBq: the dose is written; check which of them is right."
        )
    if injected and scanned and abs((scanned - injected).total_seconds()) > _DAY_S:
        found.append(
            f"Injection ({injected}) and scan ({scanned}) are more than a day apart: check them."
        )
    isotope = main.text("isotope") or "unknown"
    if isotope.strip().lower() != "unknown" and not isotope_code(isotope):
        found.append(f"The radionuclide '{isotope}' has no code here: only its name is written.")
    return found
