"""What a header tells, in the words of BIDS."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from xnat_pic.tables import load_table

from ..inputs.volumes import Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

UNKNOWN = "n/a"


def rules() -> dict[str, Any]:
    """Return ``rules.toml``."""
    return load_table("pipelines.fair", "rules.toml")


def general(header: Dataset, modality: str) -> dict[str, Any]:
    """Return what the table names, as far as the header says it."""
    found: dict[str, Any] = {}
    for row in rules()["key"]:
        value = header.get(row["dicom"])
        if row.get("modality", modality) != modality or value in (None, ""):
            continue
        if row.get("type") == "number":
            found[row["bids"]] = float(value)
        elif isinstance(value, str):
            found[row["bids"]] = value
        else:
            found[row["bids"]] = "_".join(str(part) for part in value)
    return found


def of_samples(volume: Volume, index: int | None = None) -> dict[str, Any]:
    """Return times and angles in seconds and degrees: of one sample, or a list where they differ.

    A value that differs between slices is given as a list of lists, by slice.
    """
    found: dict[str, Any] = {}
    for name, (key, factor) in rules()["values"].items():
        table = volume.values.get(name)
        if table is None:
            continue
        chosen = table if index is None else table[:, index : index + 1]
        rows = [[_rounded(float(v) * factor) for v in row] for row in chosen]
        if all(row == rows[0] for row in rows):
            found[key] = rows[0][0] if len(set(rows[0])) == 1 else rows[0]
        else:
            found[key] = rows
    return found


def _rounded(value: float) -> float | None:
    return round(value, 9) if math.isfinite(value) else None


def pet(header: Dataset, volume: Volume) -> dict[str, Any]:
    """Return what BIDS asks of PET. What the header does not say is ``n/a``, never guessed."""
    drug = _first(header, "RadiopharmaceuticalInformationSequence")
    start = _moment(header, "SeriesDate", "SeriesTime")
    injected = _injected(drug, header)
    dose = _number(drug, "RadionuclideTotalDose")
    frames = max(1, len(volume.frames[0]))
    lasting = volume.one("frame_duration_ms") or [math.nan] * frames
    total = 0.0
    begins = []
    for one in lasting:
        begins.append(total)
        total += one / 1000 if math.isfinite(one) else 0.0
    corrections = [str(c) for c in _list(header.get("CorrectedImage"))]
    words = rules()["pet_corrections"]
    found: dict[str, Any] = {
        "Modality": "PT",
        "Units": rules()["pet_units"].get(str(header.get("Units", "")), "arbitrary"),
        "TracerName": str(drug.get("Radiopharmaceutical", "")) if drug else "",
        "TracerRadionuclide": _nuclide(drug),
        "InjectedRadioactivity": dose / 1e6 if dose else UNKNOWN,
        "InjectedRadioactivityUnits": "MBq",
        "InjectedMass": UNKNOWN,
        "InjectedMassUnits": UNKNOWN,
        "SpecificRadioactivity": UNKNOWN,
        "SpecificRadioactivityUnits": UNKNOWN,
        "ModeOfAdministration": UNKNOWN,
        "TimeZero": start.strftime("%H:%M:%S") if start else UNKNOWN,
        "ScanStart": 0,
        "InjectionStart": (injected - start).total_seconds() if injected and start else UNKNOWN,
        "FrameTimesStart": begins,
        "FrameDuration": [one / 1000 if math.isfinite(one) else 0 for one in lasting],
        "AcquisitionMode": UNKNOWN,
        "ImageDecayCorrected": "DECY" in corrections,
        "ImageDecayCorrectionTime": 0 if header.get("DecayCorrection") == "START" else UNKNOWN,
        "ReconMethodName": UNKNOWN,
        "ReconMethodParameterLabels": [],
        "ReconMethodParameterUnits": [],
        "ReconMethodParameterValues": [],
        "ReconFilterType": UNKNOWN,
        "ReconFilterSize": [],
        "AttenuationCorrection": UNKNOWN,
        "Corrections": [words[one] for one in corrections if one in words],
    }
    return {key: UNKNOWN if value == "" else value for key, value in found.items()}


def tracer(header: Dataset) -> str:
    """Return the name of the tracer, or of its nuclide; empty where the header says neither."""
    drug = _first(header, "RadiopharmaceuticalInformationSequence")
    return str(drug.get("Radiopharmaceutical") or "") if drug else ""


def _nuclide(drug: Dataset | None) -> str:
    code = _first(drug, "RadionuclideCodeSequence") if drug else None
    text = str(code.get("CodeMeaning", "")) if code else ""
    mass = "".join(c for c in text if c.isdigit())
    names = {"Fluorine": "F", "Carbon": "C", "Copper": "Cu", "Gallium": "Ga", "Zirconium": "Zr"}
    names |= {"Nitrogen": "N", "Oxygen": "O", "Iodine": "I", "Rubidium": "Rb", "Sodium": "Na"}
    element = next((sign for name, sign in names.items() if name.lower() in text.lower()), "")
    return f"{element}{mass}" if element and mass else text


def _injected(drug: Dataset | None, header: Dataset) -> datetime | None:
    if drug is None:
        return None
    whole = _parsed(str(drug.get("RadiopharmaceuticalStartDateTime") or ""))
    if whole:
        return whole
    time = str(drug.get("RadiopharmaceuticalStartTime") or "")
    return _parsed(f"{header.get('SeriesDate') or ''}{time}") if time else None


def _moment(header: Dataset, date: str, time: str) -> datetime | None:
    return _parsed(f"{header.get(date) or ''}{header.get(time) or ''}")


def _parsed(text: str) -> datetime | None:
    digits = text.partition(".")[0].partition("+")[0]
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None


def acquired(header: Dataset) -> str:
    """Return when the study began as the scanner's clock says, such as ``2024-01-09T08:00:00``."""
    for date, time in (("StudyDate", "StudyTime"), ("SeriesDate", "SeriesTime")):
        found = _moment(header, date, time)
        if found:
            return found.isoformat()
    return ""


def _first(ds: Dataset | None, keyword: str) -> Dataset | None:
    items = ds.get(keyword) if ds is not None else None
    return items[0] if items else None


def _number(ds: Dataset | None, keyword: str) -> float | None:
    value = ds.get(keyword) if ds is not None else None
    return float(value) if value not in (None, "") else None


def _list(value: Any) -> list[Any]:
    if value in (None, ""):
        return []
    return [value] if isinstance(value, str) else list(value)


def animal(header: Dataset) -> dict[str, str]:
    """Return what the header tells of the animal: sex, species, strain, birth, weight in grams."""
    code = _first(header, "PatientSpeciesCodeSequence")
    breed = _first(header, "PatientBreedCodeSequence")
    weight = _number(header, "PatientWeight")
    sex = str(header.get("PatientSex") or "")
    return {
        "sex": sex if sex in ("M", "F", "O") else "",
        "species": str(code.get("CodeMeaning", "")) if code else "",
        "strain": str(
            header.get("PatientBreedDescription") or (breed.get("CodeMeaning", "") if breed else "")
        ),
        "birth": str(header.get("PatientBirthDate") or ""),
        "weight_g": f"{weight * 1000:g}" if weight else "",
    }
