"""PET and CT of the digital mice, as Inveon files, with activity and Hounsfield units as truth."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from xnat_pic import tables

from .anatomy import Animal, label_points, load_table, make_animal
from .identity import Identity, identify
from .inveon_write import InveonFrame, Record, write_inveon
from .options import MouseOptions, StudyPlan, plan_studies

Floats = npt.NDArray[np.float64]
_MIDDAY = timedelta(hours=5)
_HEAD_FIRST_PRONE = 2
_BQ_PER_NCI = 37.0
_BONE = "bone"
_TRAY = "tray"


@dataclass(frozen=True)
class Guest:
    """One animal on the bed.

    Attributes
    ----------
    subject : str
    animal : Animal
    weight_g, dose_mbq : float
        Dose at the time of injection.
    injected : datetime
    steps : int
        Dose steps times timepoint steps, which change the tumour.
    slot : str
        Place in the hotel, empty where the animal is alone.
    centre_mm : tuple of float
        Of the animal on the stored grid, along columns and rows.
    """

    subject: str
    animal: Animal
    weight_g: float
    dose_mbq: float
    injected: datetime
    steps: int
    slot: str = ""
    centre_mm: tuple[float, float] = (0.0, 0.0)

    def suv(self, tissue: str) -> float:
        """Return the uptake of a tissue, g/mL, body weight."""
        row = pet_ct_table()["tissue"][tissue]
        return float(row["suv"] + row.get("suv_per_step", 0.0) * self.steps)

    def activity_bq_ml(self, tissue: str, scan: datetime) -> float:
        """Return the concentration of a tissue at the start of the scan, Bq/mL.

        SUV = C w / D, with the dose D decayed from its injection to the start of the scan.
        """
        wait = (scan - self.injected).total_seconds()
        half_life = pet_ct_table()["tracer"]["half_life_s"]
        dose = self.dose_mbq * 1e6 * 2.0 ** (-wait / half_life)
        return float(self.suv(tissue) * dose / self.weight_g)


def pet_ct_table() -> dict[str, Any]:
    """Read the table of tracer, scanners, tissues and slots."""
    return tables.load_table("sandbox.mouse", "pet_ct.toml")


def guest_of(who: Identity, animal: Animal) -> Guest:
    """Return an animal alone on the bed, injected an hour before its scan."""
    plan, tracer = who.plan, pet_ct_table()["tracer"]
    dose = round(tracer["dose_mbq"] * (1 + 0.02 * (plan.animal % 7)), 3)
    return Guest(
        subject=plan.subject,
        animal=animal,
        weight_g=round(1000 * who.weight_kg, 2),
        dose_mbq=dose,
        injected=_scan_start(who) - timedelta(seconds=tracer["wait_s"]),
        steps=plan.dose_index * plan.time_index,
    )


def write_pet_ct(
    data: Path, truth: Path, who: Identity, guests: Sequence[Guest], size: str, seed: int
) -> None:
    """Write one PET and one CT of all guests, and what is known of them.

    Parameters
    ----------
    data, truth : Path
        Folders, made here.
    guests : sequence of Guest
        One animal, or those of a hotel.
    size : str
        ``small`` or ``full``.
    seed : int
        Of the noise of the CT; PET has none, so that its values can be checked one by one.
    """
    for folder in (data, truth):
        folder.mkdir(parents=True)
    start = _scan_start(who)
    stem = guests[0].subject if len(guests) == 1 else "hotel"
    known: dict[str, Any] = {"scan_start": start.isoformat(), "animals": [], "images": {}}
    for modality in ("ct", "pet"):
        voxel_mm, labels, owners = _scene(guests, modality, size)
        values = _values(guests, modality, labels, owners, start)
        name = f"{stem}.{modality}.img"
        frame = _frame(values, modality, np.random.default_rng([seed, who.plan.animal, 7]))
        write_inveon(data / name, _records(guests, modality, start, voxel_mm), [frame])
        quantity = "HU" if modality == "ct" else "activity_kBq_mL"
        shown = values if modality == "ct" else values / 1000.0
        for what, array in ((quantity, shown.astype(np.float32)), ("animal", owners)):
            _write_nifti(truth / f"{stem}.{modality}_{what}.nii.gz", array, voxel_mm)
        known["images"][modality] = {"file": name, "voxel_mm": voxel_mm, "unit": quantity}
    known["animals"] = [_known(guest, start) for guest in guests]
    known["tracer"] = pet_ct_table()["tracer"]
    text = json.dumps(known, indent=2, ensure_ascii=False) + "\n"
    (truth / "pet_ct.json").write_text(text, encoding="utf-8", newline="\n")
    if len(guests) > 1:
        _write_table(data / "hotel.csv", guests)


def hotel_guests(guests: Sequence[Guest]) -> list[Guest]:
    """Put the first animals into the slots; all are injected as they were, three minutes apart."""
    table = pet_ct_table()["hotel"]
    first = guests[0].injected
    return [
        replace(
            guest,
            slot=slot["name"],
            centre_mm=(slot["centre_mm"][0], slot["centre_mm"][1]),
            injected=first + timedelta(minutes=3 * number),
        )
        for number, (guest, slot) in enumerate(
            zip(guests[: table["animals"]], table["slot"], strict=True)
        )
    ]


def _scan_start(who: Identity) -> datetime:
    return (who.start + _MIDDAY).replace(microsecond=0, tzinfo=None)


def _grid(modality: str, size: str) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Return voxels and voxel size (mm) along x, y, z."""
    row = pet_ct_table()[modality]
    nx, ny, nz = row[size]
    dx, dy, dz = (round(f / n, 6) for f, n in zip(row["field_mm"], row[size], strict=True))
    return (nx, ny, nz), (dx, dy, dz)


def _scene(
    guests: Sequence[Guest], modality: str, size: str
) -> tuple[tuple[float, float, float], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return voxel size, tissue labels and number of the animal (0 none), shape (z, y, x).

    Head first and prone, the patient's axes (LPS) run against the stored ones.
    """
    count, voxel_mm = _grid(modality, size)
    x, y, z = ((np.arange(n) - (n - 1) / 2) * d for n, d in zip(count, voxel_mm, strict=True))
    labels = np.zeros(count[::-1], dtype=np.uint8)
    owners = np.zeros(count[::-1], dtype=np.uint8)
    if modality == "ct":
        _put_trays(guests, y, labels)
    for number, guest in enumerate(guests, start=1):
        column, row = guest.centre_mm
        flat = np.broadcast_arrays(-(x - column), -(y - row)[:, None], 0.0)
        places = np.stack(flat, axis=-1)
        for plane, height in enumerate(z):  # plane by plane, to need little memory
            places[..., 2] = -height
            own = _label(guest.animal, places)
            inside = own > 0
            labels[plane][inside], owners[plane][inside] = own[inside], number
    return voxel_mm, labels, owners


def _put_trays(guests: Sequence[Guest], y: npt.NDArray[Any], labels: npt.NDArray[np.uint8]) -> None:
    """Put a plate under each row of a hotel, across the whole bed."""
    low, high = pet_ct_table()["hotel"]["tray_mm"]
    for row in {guest.centre_mm[1] for guest in guests if guest.slot}:
        labels[:, (y >= row + low) & (y <= row + high), :] = _names().index(_TRAY)


def _label(animal: Animal, places: Floats) -> npt.NDArray[np.uint8]:
    """Return the tissue at points (LPS mm), bone included."""
    own = label_points(animal, places)
    for part in pet_ct_table()["bone"]:
        distance = (places - np.asarray(part["centre"])) / np.asarray(part["half"])
        inside = np.einsum("...i,...i->...", distance, distance) <= 1
        own[inside & (own > 0)] = len(load_table()["tissue"]) + 1
    return own


def _names() -> list[str]:
    return ["air", *(row["name"] for row in load_table()["tissue"]), _BONE, _TRAY]


def _values(
    guests: Sequence[Guest],
    modality: str,
    labels: npt.NDArray[np.uint8],
    owners: npt.NDArray[np.uint8],
    start: datetime,
) -> Floats:
    """Return Hounsfield units, or Bq/mL at the start of the scan, shape (z, y, x)."""
    tissue = pet_ct_table()["tissue"]
    if modality == "ct":
        return np.array([float(tissue[name]["hu"]) for name in _names()])[labels]
    table = np.zeros((len(guests) + 1, len(_names())))
    for number, guest in enumerate(guests, start=1):
        table[number] = [guest.activity_bq_ml(name, start) for name in _names()]
    values: Floats = table[owners, labels]
    return values


def _frame(values: Floats, modality: str, rng: np.random.Generator) -> InveonFrame:
    if modality == "ct":
        noise = rng.normal(0.0, pet_ct_table()["ct"]["noise_hu"], values.shape)
        return InveonFrame(np.rint(values + noise).astype("<i2"), 1.0)
    tracer, scanner = pet_ct_table()["tracer"], pet_ct_table()["pet"]
    whole = (
        scanner["scale_factor"] * scanner["calibration_factor"] / tracer["branching"]
    ) * _BQ_PER_NCI
    rate = math.log(2) / tracer["half_life_s"] * tracer["frame_s"]
    return InveonFrame(
        (values / whole).astype("<f4"),
        scanner["scale_factor"],
        0.0,
        float(tracer["frame_s"]),
        rate / -math.expm1(-rate),
    )


def _records(
    guests: Sequence[Guest], modality: str, start: datetime, voxel_mm: tuple[float, float, float]
) -> list[Record]:
    alone = len(guests) == 1
    first = guests[0]
    records: list[Record] = [
        ("model", 5001),
        ("modality", 1 if modality == "ct" else 0),
        ("modality_configuration", 3600 if modality == "ct" else 5500),
        ("institution", "Digital mouse"),
        ("study", f"{first.subject if alone else 'hotel'}_petct"),
        ("study_identifier", f"{start:%Y%m%d%H%M%S}"),
        ("acquisition_mode", 9 if modality == "ct" else 2),
        ("scan_time", start),
        ("number_of_bed_positions", 1),
        *zip(("pixel_size_x", "pixel_size_y", "pixel_size_z"), voxel_mm, strict=True),
        ("pixel_size", round(voxel_mm[0] / 10, 6)),
        ("registration_available", 1),
        ("spatial_identifier", f"bed {start:%Y%m%d%H%M%S}"),
        ("subject_orientation", _HEAD_FIRST_PRONE),
        ("subject_identifier", ", ".join(guest.subject for guest in guests)),
        ("subject_genus", "mouse"),
        ("subject_sex", "female"),
        ("subject_weight_units", 1),
        ("subject_weight", first.weight_g if alone else ""),
    ]
    return records + (_ct_records() if modality == "ct" else _pet_records(guests))


def _ct_records() -> list[Record]:
    row = pet_ct_table()["ct"]
    return [
        ("ct_xray_voltage", row["kvp"]),
        ("ct_anode_current", row["anode_current_ua"]),
        ("ct_exposure_time", row["exposure_ms"]),
        ("ct_hounsfield_scale", 1.0),
        ("ct_hounsfield_offset", 0.0),
        ("recon_algorithm", 9),
    ]


def _pet_records(guests: Sequence[Guest]) -> list[Record]:
    tracer, scanner = pet_ct_table()["tracer"], pet_ct_table()["pet"]
    alone = len(guests) == 1
    return [
        ("isotope", tracer["isotope"]),
        ("isotope_half_life", tracer["half_life_s"]),
        ("isotope_branching_fraction", tracer["branching"]),
        ("calibration_units", 1),
        ("calibration_factor", scanner["calibration_factor"]),
        ("decay_correction_applied", 1),
        ("deadtime_correction_applied", 1),
        ("normalization_applied", 4),
        ("attenuation_applied", 8),
        ("scatter_correction", 3),
        ("recon_algorithm", 3),
        ("lld", 350),
        ("uld", 650),
        ("injected_compound", tracer["compound"]),
        ("dose_units", 2),
        ("dose", guests[0].dose_mbq if alone else ""),
        ("injection_time", guests[0].injected if alone else ""),
    ]


def _known(guest: Guest, start: datetime) -> dict[str, Any]:
    tissues = {
        name: {
            "suv": guest.suv(name),
            "activity_kBq_mL": guest.activity_bq_ml(name, start) / 1000.0,
            "HU": pet_ct_table()["tissue"][name]["hu"],
        }
        for name in _names()
    }
    return {
        "subject": guest.subject,
        "slot": guest.slot,
        "centre_mm": guest.centre_mm,
        "weight_g": guest.weight_g,
        "dose_MBq": guest.dose_mbq,
        "injected": guest.injected.isoformat(),
        "organs": [asdict(organ) for organ in guest.animal.organs],
        "tissues": tissues,
    }


def _write_table(path: Path, guests: Sequence[Guest]) -> None:
    """Write the table that a technician keeps of who lies where."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\r\n")
        table.writerow(["position", "subject", "weight_g", "dose_mbq", "injection_time"])
        for guest in guests:
            when = guest.injected.isoformat(sep=" ")
            table.writerow([guest.slot, guest.subject, guest.weight_g, guest.dose_mbq, when])


def _write_nifti(path: Path, array: npt.NDArray[Any], voxel_mm: tuple[float, float, float]) -> None:
    """Write an array of shape (z, y, x) with the place of its voxels in the animal (RAS)."""
    size = np.array(array.shape[::-1])
    # Patient LPS runs against the stored axes, so that RAS runs along x and y and against z.
    turn = np.array([1.0, 1.0, -1.0])
    affine = np.diag([*(turn * voxel_mm), 1.0])
    affine[:3, 3] = -turn * (size - 1) / 2 * np.array(voxel_mm)
    image = nib.Nifti1Image(array.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


HOTEL = "hotel_petct"


def write_beds(data: Path, truth: Path, options: MouseOptions) -> None:
    """Write the PET and CT that the options ask for, beside the ParaVision studies."""
    size = options.size.lower()
    plans = plan_studies(options)
    if options.pet_ct:
        for plan in plans:
            folder = plan.folder() / f"{plan.subject}_{plan.timepoint}_petct"
            who = identify(options, plan)
            guests = [_guest(options, plan)]
            write_pet_ct(data / folder, truth / folder, who, guests, size, options.seed)
    if options.hotel:
        first = [plan for plan in plans if plan.time_index == 0]
        guests = hotel_guests([_guest(options, plan) for plan in first])
        who = identify(options, first[0])
        write_pet_ct(data / HOTEL, truth / HOTEL, who, guests, size, options.seed)


def _guest(options: MouseOptions, plan: StudyPlan) -> Guest:
    animal = make_animal(options.seed, plan.animal, plan.dose_index, plan.time_index)
    return guest_of(identify(options, plan), animal)
