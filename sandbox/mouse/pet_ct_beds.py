"""Which animals lie on which bed: one alone for each study, and three in the hotel."""

from __future__ import annotations

from pathlib import Path

from .anatomy import make_animal
from .identity import identify
from .options import MouseOptions, StudyPlan, plan_studies
from .pet_ct import Guest, guest_of, hotel_guests, write_pet_ct

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
