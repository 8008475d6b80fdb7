"""Write a study as BIDS, with RO-Crate and metadata for DataCite where wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnat_config.variables import Variables
from xnat_pic.errors import CorruptDataError, NothingUsableError, WrongCallError, XnatPicError
from xnat_pic.files import file_digest, replacing_folder
from xnat_pic.version import version

from ..outputs.nifti import write_sidecar
from .about import About
from .crate import FILE as CRATE_FILE
from .crate import crate_of
from .datacite import metadata
from .derived import Derived, write_result
from .names import Labels
from .raw import Raw, Runs, copy_series, write_series
from .sidecars import acquired, animal
from .study import ExportStudy, Series
from .tables import (
    IGNORED,
    RESULTS,
    Participant,
    write_description,
    write_readme,
    write_tables,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MANIFEST = "fair.json"
CHECKSUMS = "checksums.sha256"


@dataclass
class Exported:
    """What was written.

    Attributes
    ----------
    participants : int
        Animals.
    raws : dict of str to Raw
        Series by UID.
    results : list of Derived
        Runs of fits.
    left_out : list of str
        What is not in it, each with the reason.
    notes : list of str
        What is odd.
    """

    participants: int = 0
    raws: dict[str, Raw] = field(default_factory=dict)
    results: list[Derived] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the counts, and what is not in it."""
        return {
            "participants": self.participants,
            "series": len(self.raws),
            "with_suffix": sum(raw.has_suffix for raw in self.raws.values()),
            "results": len(self.results),
            "left_out": self.left_out,
            "notes": self.notes,
            "software": f"xnat-pic {version()}",
        }


def export(
    study: ExportStudy,
    out: Path,
    about: About,
    variables: Variables,
    *,
    bids: bool = True,
    crate: bool = True,
    datacite: bool = True,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write the folder `out`, complete or not at all.

    Parameters
    ----------
    study : ExportStudy
        What to write.
    out : Path
        A new folder.
    about : About
        What people say of it.
    variables : Variables
        Of the site.
    bids, crate, datacite : bool
        What to write. A crate describes the BIDS data set, which is written for it too.
    overwrite : bool
        Replace an earlier export.
    report : callable
        Called with what is being done.

    Raises
    ------
    WrongCallError
        Where `out` holds something else, or metadata for a DOI are incomplete.
    NothingUsableError
        Where no series could be exported.
    """
    check(about, crate=crate, datacite=datacite)
    done = Exported()
    with replacing_folder(out, overwrite, MANIFEST) as folder:
        if bids or crate:
            _write_bids(study, folder, about, variables, done, report)
        if datacite:
            write_sidecar(folder / "datacite.json", metadata(study.project, about))
        write_sidecar(folder / MANIFEST, {"project": study.project, **done.as_json()})
        if crate:
            report("RO-Crate")
            crate_metadata = crate_of(folder, study.project, about, done.raws, done.results)
            write_sidecar(folder / CRATE_FILE, crate_metadata)
        write_checksums(folder)
    return done


def check(about: About, *, crate: bool, datacite: bool) -> None:
    """Refuse what cannot be written, before anything is fetched.

    Raises
    ------
    WrongCallError
        Where people have not said what a crate or a DOI needs.
    """
    hint = "Write it into a TOML file and name that with --about"
    if crate and not about.licence:
        raise WrongCallError(
            "An RO-Crate needs a licence.", hint=f"{hint}, or ask for --bids alone."
        )
    if datacite and about.missing():
        raise WrongCallError(
            f"Metadata for a DOI need {', '.join(about.missing())}.",
            hint=f"{hint}, or leave out --datacite.",
        )


def _write_bids(
    study: ExportStudy,
    out: Path,
    about: About,
    variables: Variables,
    done: Exported,
    report: Callable[[str], None],
) -> None:
    people: dict[str, Participant] = {}
    subjects, sessions, runs = Labels(), Labels(), Runs()
    for series in study.series:
        report(series.name)
        try:
            with series.opened() as files:
                _one_series(
                    out, series, files, study, people, subjects, sessions, runs, variables, done
                )
        except NothingUsableError as error:
            done.left_out.append(f"{series.name}: {error.sentence()}")
    if not done.raws:
        raise NothingUsableError(
            f"No series of {study.project} can be exported.",
            hint="; ".join(done.left_out[:3]),
        )
    for result in study.results:
        report(result.name)
        try:
            with result.opened() as folder:
                one = write_result(out, folder, done.raws)
        except XnatPicError as error:
            done.left_out.append(f"{result.name}: {error.sentence()}")
            continue
        done.results.append(one)
    done.participants = len(people)
    _write_texts(out, study, about, variables, people, done)


def _one_series(
    out: Path,
    series: Series,
    files: list[Path],
    study: ExportStudy,
    people: dict[str, Participant],
    subjects: Labels,
    sessions: Labels,
    runs: Runs,
    variables: Variables,
    done: Exported,
) -> None:
    """Write one series and learn from its header."""
    import pydicom

    from ..inputs.volumes import read_volumes

    files = _in_order(files)
    header: Dataset = pydicom.dcmread(files[0], stop_before_pixels=True)
    reason = ""
    try:
        volumes = read_volumes(files, header)
    except NothingUsableError as error:
        volumes, reason = [], error.sentence()
    name = series.subject or str(header.get("PatientID") or "")
    subject = subjects.of(name, "unknown")
    when = series.variables.get("timepoint", "")
    date = str(header.get("StudyDate") or "")
    session = sessions.of(when or date or series.session, "unknown")
    if volumes:
        raw = write_series(out, volumes, header, subject, session, runs, series.name)
    else:
        raw = copy_series(out, files, header, subject, session, runs)
    if reason:
        done.notes.append(f"{series.name}: {reason} Its DICOM is in sourcedata.")
    elif not raw.has_suffix:
        done.notes.append(f"{series.name}: BIDS has no suffix for it; it is in sourcedata.")
    for volume in volumes:
        done.notes += [f"{series.name}: {note}" for note in volume.notes]
    done.raws[raw.uid] = raw
    person = people.setdefault(subject, Participant(name))
    animal_facts = animal(header)
    weight = animal_facts.pop("weight_g")
    own = {k: v for k, v in series.variables.items() if variables.of_subject(k)}
    # What people said on the server or by folders counts more than what a scanner's form holds.
    for values in (study.subjects.get(name, {}), own, animal_facts):
        for odd in person.learn(values):
            done.notes.append(f"{name}: {odd} is told differently in {series.name}.")
    _learn_session(person, session, series, when, acquired(header), weight, variables)


def _in_order(files: list[Path]) -> list[Path]:
    """Return the files by instance, so that the names they have where they lie do not count."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    def key(path: Path) -> tuple[int, str]:
        try:
            ds = pydicom.dcmread(path, specific_tags=["InstanceNumber", "SOPInstanceUID"])
            return int(ds.get("InstanceNumber") or 0), str(ds.get("SOPInstanceUID", ""))
        except (InvalidDicomError, EOFError, OSError, ValueError, TypeError) as error:
            raise CorruptDataError(
                f"{path.name} is damaged.", path=path, hint="Get the file again."
            ) from error

    return sorted(files, key=key)


def _learn_session(
    person: Participant,
    session: str,
    series: Series,
    when: str,
    begun: str,
    weight: str,
    variables: Variables,
) -> None:
    values = person.sessions.setdefault(session, {})
    days = variables.timepoint_days(when) if when else None
    more = {k: v for k, v in series.variables.items() if not variables.of_subject(k)}
    more |= {"timepoint": when, "days": f"{days:g}" if days is not None else "", "weight_g": weight}
    for key, value in more.items():
        if value:
            values.setdefault(key, value)
    if begun and begun < values.get("acq_time", "9"):
        values["acq_time"] = begun


def _write_texts(
    out: Path,
    study: ExportStudy,
    about: About,
    variables: Variables,
    people: dict[str, Participant],
    done: Exported,
) -> None:
    for one in people.values():
        for name in ("species", "strain"):
            if getattr(about, name):
                one.values.setdefault(name, getattr(about, name))
    write_tables(out, people, variables)
    write_description(out, study.project, about, "raw")
    write_readme(out, study.project, about, len(people), done.left_out)
    (out / ".bidsignore").write_text("\n".join(IGNORED) + "\n", encoding="utf-8", newline="\n")
    roots = {f.partition("/sub-")[0] for one in done.results for f in one.files}
    for root in sorted(roots):
        if root.startswith(RESULTS):
            continue
        write_description(out / root, study.project, about, "derivative")
        text = (
            f"# Maps of {about.title or study.project}\n\nMade by xnat-pic {version()} from the "
            "images two folders above. Each map names its images in `Sources`, its unit and the "
            f"model in its sidecar; reports and provenance are in `{RESULTS}`.\n"
        )
        (out / root / "README.md").write_text(text, encoding="utf-8", newline="\n")


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of every file, as ``sha256sum -c`` reads them."""
    lines = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        lines.append(f"{file_digest(path)}  {path.relative_to(folder).as_posix()}")
    (folder / CHECKSUMS).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
