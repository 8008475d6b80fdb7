"""What a caller may ask of the digital mouse, and the list of studies that follows from it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from xnat_pic.errors import WrongCallError

VERSIONS = ("5.1", "6.0.1", "7.0", "360.3.6")
UNTREATED = "untreated"
_HOTEL_ANIMALS = 3
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_AFTER = re.compile(r"post(\d+)([dwm])")
_DAYS = {"d": 1, "w": 7, "m": 28}


@dataclass(frozen=True)
class MouseOptions:
    """The wishes of a caller; checked when made.

    Attributes
    ----------
    paravision : str
        One of `VERSIONS`: whose dialect to write.
    animals : int
        Animals in each branch (each group, and each dose of a treated group).
    groups, timepoints, doses : tuple of str
        Levels of the study. ``untreated`` is the one group without doses.
    noise : float
        Standard deviation of one real channel, as a fraction of the equilibrium signal of water.
    matrix : int or None
        Pixels along the longest image axis, a multiple of 16; None lets `size` decide.
    size : str
        ``SMALL``, ``FULL`` or a number of MiB, which gives one study of about that size.
    truth : Path or None
        Where the truth goes; None means ``<out>_truth``.
    seed : int
        Same seed and options, same bytes.
    traps : bool or None
        Add a spectroscopic and an aborted scan; None means only in ``FULL``.
    pet_ct : bool
        Add Inveon PET and CT of each study's animal.
    hotel : bool
        Add one Inveon PET and CT of the first three animals on one bed.
    """

    paravision: str = "360.3.6"
    animals: int = 3
    groups: tuple[str, ...] = ("treated", UNTREATED)
    timepoints: tuple[str, ...] = ("pre", "post1w")
    doses: tuple[str, ...] = ("dose1", "dose2")
    noise: float = 0.01
    matrix: int | None = None
    size: str = "FULL"
    truth: Path | None = None
    seed: int = 1
    traps: bool | None = None
    pet_ct: bool = False
    hotel: bool = False

    def __post_init__(self) -> None:
        if self.paravision not in VERSIONS:
            raise WrongCallError(
                f"ParaVision {self.paravision} is not known.",
                hint=f"Choose one of {', '.join(VERSIONS)}.",
            )
        if not 1 <= self.animals <= 999:
            raise WrongCallError(
                f"{self.animals} animals cannot be made.", hint="Ask for 1 to 999."
            )
        if not (math.isfinite(self.noise) and 0 <= self.noise <= 1):
            raise WrongCallError(
                f"A noise of {self.noise} has no meaning.", hint="Give 0 to 1, e.g. 0.01."
            )
        if self.seed < 0:
            raise WrongCallError(
                f"A seed of {self.seed} is negative.", hint="Give 0 or a positive number."
            )
        if self.matrix is not None and (self.matrix % 16 or not 16 <= self.matrix <= 512):
            raise WrongCallError(
                f"A matrix of {self.matrix} does not divide evenly into the scans.",
                hint="Give a multiple of 16 from 16 to 512.",
            )
        for level, names in (("group", self.groups), ("timepoint", self.timepoints)):
            _check_names(level, names)
            if not names:
                raise WrongCallError(f"There is no {level}.", hint=f"Name at least one {level}.")
        _check_names("dose", self.doses)
        if (self.pet_ct or self.hotel) and self.size_mib() is not None:
            raise WrongCallError(
                "A study of a given size in MiB has no PET and CT.",
                hint="Give the size SMALL or FULL.",
            )
        if self.hotel and self.animals * len(_branches(self)) < _HOTEL_ANIMALS:
            raise WrongCallError(
                f"The hotel takes {_HOTEL_ANIMALS} animals, and there are fewer.",
                hint="Ask for more animals.",
            )
        self.size_mib()

    def size_mib(self) -> int | None:
        """Tell how many MiB one benchmark study should have, or None for SMALL and FULL."""
        if self.size.upper() in ("SMALL", "FULL"):
            return None
        if self.size.isascii() and self.size.isdigit() and 1 <= int(self.size) <= 65536:
            return int(self.size)
        raise WrongCallError(
            f"The size {self.size!r} is not understood.",
            hint="Give SMALL, FULL or a whole number of MiB from 1 to 65536.",
        )

    def with_traps(self) -> bool:
        """Tell whether the scans a converter must skip are written too."""
        return self.size.upper() == "FULL" if self.traps is None else self.traps


@dataclass(frozen=True)
class StudyPlan:
    """One study to write: which animal, in which branch, when.

    Attributes
    ----------
    animal : int
        0-based number of the animal, unique over all branches.
    dose_index : int
        Strength of the treatment: 0 untreated, 1 first dose, and so on.
    time_index : int
        Position in the list of timepoints; 0 is the baseline.
    days : int
        Days after the baseline.
    """

    animal: int
    subject: str
    group: str
    dose: str
    timepoint: str
    dose_index: int
    time_index: int
    days: int

    def folder(self) -> Path:
        """Give the folder levels above the study, as a centre would name them."""
        dose = Path("dose", self.dose) if self.dose else Path()
        return Path("group", self.group) / dose / "timepoint" / self.timepoint / self.subject


@dataclass(frozen=True)
class WrittenStudy:
    """One study on disk; an untreated animal has the empty dose."""

    path: Path
    subject: str
    group: str
    dose: str
    timepoint: str
    truth: Path


def plan_studies(options: MouseOptions) -> list[StudyPlan]:
    """List the studies that the options ask for; a size in MiB asks for one.

    Animals are numbered over all branches, so an id never occurs twice, and each animal comes
    back at every timepoint.
    """
    plans: list[StudyPlan] = []
    branches = _branches(options)
    one_only = options.size_mib() is not None
    width = max(2, len(str(len(branches) * options.animals)))
    days = timepoint_days(options.timepoints)
    animal = 0
    for group, dose, dose_index in branches:
        for _ in range(options.animals):
            subject = f"m{animal + 1:0{width}d}"
            for time_index, timepoint in enumerate(options.timepoints):
                plans.append(
                    StudyPlan(
                        animal, subject, group, dose, timepoint, dose_index, time_index,
                        days[time_index],
                    )
                )  # fmt: skip
            animal += 1
    return plans[:1] if one_only else plans


def timepoint_days(timepoints: tuple[str, ...]) -> tuple[int, ...]:
    """Tell the days after baseline of names such as ``pre``, ``post1w``, ``post3d``.

    A name of another form counts one week per place in the list.
    """
    days = []
    for index, name in enumerate(timepoints):
        match = _AFTER.fullmatch(name)
        days.append(int(match[1]) * _DAYS[match[2]] if match else 7 * index)
    return tuple(days)


def _branches(options: MouseOptions) -> list[tuple[str, str, int]]:
    branches: list[tuple[str, str, int]] = []
    for group in options.groups:
        if group == UNTREATED:
            branches.append((group, "", 0))
        elif options.doses:
            branches += [(group, dose, i + 1) for i, dose in enumerate(options.doses)]
        else:
            branches.append((group, "", 1))
    return branches


def _check_names(level: str, names: tuple[str, ...]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise WrongCallError(
                f"The {level} {name!r} cannot be a folder name.",
                hint="Use letters, digits, - and _, and separate names with commas.",
            )
    if len({name.lower() for name in names}) != len(names):
        raise WrongCallError(f"A {level} is named twice.", hint="Name each one once.")
