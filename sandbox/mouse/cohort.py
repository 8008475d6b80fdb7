"""Write the whole project: all studies of all animals, complete or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from xnat_pic.errors import OutputError, WrongCallError

from .anatomy import load_table, make_animal
from .dialects import load_dialect
from .identity import identify
from .options import MouseOptions, StudyPlan, WrittenStudy, plan_studies
from .pet_ct import write_beds
from .protocols import choose_detail, make_scans
from .study import StudyJob, write_study

Progress = Callable[[int, int, str], None]


def write_cohort(
    out: Path, options: MouseOptions, progress: Progress | None = None
) -> list[WrittenStudy]:
    """Write all studies aside, then move data and truth into place."""
    out = out.absolute()
    truth = (options.truth or out.with_name(f"{out.name}_truth")).absolute()
    if truth == out or out in truth.parents or truth in out.parents:
        raise WrongCallError(
            "The truth would lie inside the data.", hint="Choose a truth folder beside the output."
        )
    for folder in (out, truth):
        _check_free(folder)
    data_aside, truth_aside = _aside(out), _aside(truth)
    try:
        written = _write_all(data_aside, truth_aside, options, progress)
        _move(truth_aside, truth)
        _move(data_aside, out)
    finally:
        shutil.rmtree(data_aside, ignore_errors=True)
        shutil.rmtree(truth_aside, ignore_errors=True)
    return [
        WrittenStudy(
            path=out / path,
            subject=plan.subject,
            group=plan.group,
            dose=plan.dose,
            timepoint=plan.timepoint,
            truth=truth / path,
        )
        for plan, path in written
    ]


def _write_all(
    data: Path, truth: Path, options: MouseOptions, progress: Progress | None
) -> list[tuple[StudyPlan, Path]]:
    dialect = load_dialect(options.paravision)
    detail = choose_detail(options, dialect)
    scans = make_scans(detail, dialect)
    plans = plan_studies(options)
    written = []
    for done, plan in enumerate(plans, start=1):
        who = identify(options, plan)
        job = StudyJob(
            who=who,
            dialect=dialect,
            animal=make_animal(options.seed, plan.animal, plan.dose_index, plan.time_index),
            scans=scans,
            noise=options.noise,
            seed=options.seed,
            pooled_noise=options.size_mib() is not None,
            traps=options.with_traps(),
        )
        path = plan.folder() / who.folder(dialect)
        write_study(data / path, truth / path, job)
        written.append((plan, path))
        if progress is not None:
            progress(done, len(plans), plan.subject)
    write_beds(data, truth, options)
    _write_summary(truth, options, written)
    return written


def _write_summary(
    truth: Path, options: MouseOptions, written: list[tuple[StudyPlan, Path]]
) -> None:
    """Write ``mice.json``: the options that matter, the planted effect, and every study."""
    content = {
        "paravision": options.paravision,
        "seed": options.seed,
        "noise": options.noise,
        "size": options.size,
        "effect_per_dose_and_timepoint": load_table()["effect"],
        "studies": [{**asdict(plan), "path": path.as_posix()} for plan, path in written],
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    (truth / "mice.json").write_text(text, encoding="utf-8", newline="\n")


def _check_free(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(
            f"The folder {folder} already holds files.",
            path=folder,
            hint="Name a folder that does not exist yet, or empty this one first.",
        )


def _aside(target: Path) -> Path:
    """Make an empty folder beside the target, on the same disk, for what is not finished."""
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        aside = target.with_name(f".{target.name}.part{number}")
        try:
            aside.mkdir()
        except FileExistsError:
            number += 1
        else:
            return aside


def _move(aside: Path, target: Path) -> None:
    if target.exists():
        target.rmdir()
    aside.rename(target)
