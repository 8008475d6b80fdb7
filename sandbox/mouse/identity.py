"""Who, when and which number: what a study's files say about subject, dates and UIDs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from xnat_pic.uids import derived_uid

from .dialects import Dialect
from .options import MouseOptions, StudyPlan

_ZONE = timezone(timedelta(hours=1))
_FIRST_DAY = datetime(2024, 1, 8, 8, 0, 0, 238000, tzinfo=_ZONE)
_ANIMALS_PER_DAY = 9


@dataclass(frozen=True)
class Identity:
    """One study's names, dates and UIDs, all derived from options and plan.

    Attributes
    ----------
    number : int
        1-based number of the study of this animal.
    """

    plan: StudyPlan
    number: int
    start: datetime
    birth: datetime
    weight_kg: float
    key: str

    def uid(self, *parts: object) -> str:
        """Derive a UID of the form ``2.25.<number>``, at most 44 characters."""
        text = "/".join([self.key, *(str(part) for part in parts)])
        return derived_uid(text)

    def study_uid(self) -> str:
        """Give the UID of the study."""
        return self.uid("study", self.plan.subject, self.plan.timepoint, self.plan.time_index)

    def subject_uid(self) -> str:
        """Give the UID of the animal, the same in all its studies."""
        return self.uid("subject", self.plan.subject)

    def reco_uid(self, expno: int, procno: int) -> str:
        """Give the UID of one reconstruction."""
        return self.uid("reco", self.study_uid(), expno, procno)

    def scan_time(self, expno: int) -> datetime:
        """Tell when a scan started: seven minutes for each."""
        return self.start + timedelta(minutes=2 + 7 * (expno - 1))

    def folder(self, dialect: Dialect) -> str:
        """Give the name of the study folder as the dialect makes it by default."""
        return dialect.study_folder.format(
            subject=self.plan.subject,
            timepoint=self.plan.timepoint,
            date=f"{self.start:%Y%m%d}",
            time=f"{self.start:%H%M%S}",
            number=self.number,
        )


def identify(options: MouseOptions, plan: StudyPlan) -> Identity:
    """Derive a study's identity; UIDs depend on all that changes the content.

    The baseline lies on a day that the seed chooses; an animal comes back at the same hour after
    the days of its timepoint.
    """
    wishes = "/".join(
        str(wish)
        for wish in (
            options.seed,
            options.paravision,
            options.size.upper(),
            options.matrix,
            float(options.noise),
        )
    )
    day = _FIRST_DAY + timedelta(days=options.seed % 28 + plan.animal // _ANIMALS_PER_DAY)
    start = day + timedelta(minutes=65 * (plan.animal % _ANIMALS_PER_DAY), days=plan.days)
    return Identity(
        plan=plan,
        number=plan.time_index + 1,
        start=start,
        birth=day - timedelta(weeks=9),
        weight_kg=round(0.0205 + 0.0004 * (plan.animal % 7) + 0.0001 * plan.days, 4),
        key=f"digital mouse/{wishes}/{plan.group}/{plan.dose}/{plan.dose_index}",
    )
