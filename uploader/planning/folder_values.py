"""What the folders of a session say of it, by the plan's layout. Pure: no disk and no network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xnat_config import SiteConfig

from ..findings import Finding, error, note, path_below
from ..scanning.folder_scan import is_spare
from ..scanning.layout import SUBJECT, Layout
from ..scanning.layout_detection import levels_above
from ..scanning.sessions import Session


@dataclass(frozen=True)
class FolderValues:
    """What the folders of a session say."""

    values: dict[str, str]
    findings: tuple[Finding, ...] = ()
    from_above: tuple[str, ...] = field(default=())


def counted_above(root: Path, sessions: Iterable[Session], config: SiteConfig) -> tuple[str, ...]:
    """Return the folders above the scanned one that count: none whose variable stands below too."""
    announced = config.variables.announced_by
    above = levels_above(root, config.variables)
    below_root = {
        announced(level)
        for one in sessions
        for levels in folder_levels(one, root)
        for level in levels
    } - {""}
    return () if below_root & {announced(level) for level in above} else above


def same_name(one: str, other: str) -> bool:
    """Tell whether two names mean the same: capitals do not count in XNAT."""
    return one.casefold() == other.casefold()


def folder_levels(session: Session, root: Path) -> list[tuple[str, ...]]:
    """Return the folder levels of a session's files below the scanned folder, each path once."""
    parents = {file.path.parent for one in session.series for file in one.files}
    return sorted(parent.relative_to(root).parts for parent in parents)


def read_folder_values(
    session: Session, root: Path, layout: Layout, above: tuple[str, ...], config: SiteConfig
) -> FolderValues:
    """Return the values of a session's folder levels, and what is wrong with them."""
    patient = config.labels.clean(session.patient_id)

    def is_subject(name: str) -> bool:
        return bool(patient) and same_name(config.labels.clean(name), patient)

    values_of: dict[str, dict[str, str]] = defaultdict(dict)
    problems: dict[str, None] = {}
    from_above: dict[str, None] = {}
    for levels in folder_levels(session, root):
        match = layout.match(levels, is_subject)
        if above and layout.has_announced_values:
            wider = layout.match((*above, *levels), is_subject)
            if len(wider.values) > len(match.values) or match.problem:
                from_above |= dict.fromkeys(set(wider.values) - set(match.values) - {SUBJECT})
                match = wider
        if match.problem:
            problems[match.problem] = None
        for name, value in match.values.items():
            values_of[name].setdefault(value, "/".join(levels) or ".")
    findings = [
        error(
            "layout",
            f"No variables were read: {problem}. Correct --layout, or write the values into the "
            "row.",
        )
        for problem in list(problems)[:1]
    ]
    for name, values in values_of.items():
        if len(values) > 1 and name != "study":
            described = " and ".join(f"{value!r} in {where}" for value, where in values.items())
            findings.append(
                error(
                    "study-in-two-places",
                    f"The files of this study lie in folders that say different things: {name} is "
                    f"{described}. Move the files to where they belong, and scan again.",
                )
            )
    read = {name: next(iter(values)) for name, values in values_of.items()}
    findings += _copy_findings(session, root, layout, read, is_subject)
    if from_above:
        described = ", ".join(f"{name}={read[name]}" for name in sorted(from_above))
        findings.append(note("from-above", f"The folders above the scanned one say {described}."))
    return FolderValues(read, tuple(findings), tuple(from_above))


def _copy_findings(
    session: Session,
    root: Path,
    layout: Layout,
    read: Mapping[str, str],
    is_subject: Callable[[str], bool],
) -> Iterable[Finding]:
    """Find the same images in a folder that says something else; one called a copy says nothing."""
    for place in session.copies:
        if is_spare(place / "file", root):
            continue
        levels = place.relative_to(root).parts
        other = layout.match(levels, is_subject)
        differing = [
            name
            for name, value in other.values.items()
            if name != "study" and not same_name(value, read.get(name, ""))
        ]
        if not other.problem and differing:
            here = " and ".join(f"{name} {read.get(name, '')!r}" for name in differing)
            there = " and ".join(f"{name} {other.values[name]!r}" for name in differing)
            yield error(
                "study-in-two-places",
                f"The same images lie in {path_below(session.source, root)}, which says {here}, "
                f"and in {'/'.join(levels)}, which says {there}. Move what is wrong out of the "
                "folder, and scan again.",
            )
            return
