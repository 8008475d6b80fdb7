"""Measure the ROI collections of a session in its maps."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from xnat_config.server.errors import MissingError
from xnat_config.server.files import RemoteFile, fetch_file, list_files
from xnat_config.server.paths import data_path
from xnat_pic.errors import LoginError, NothingUsableError, WrongCallError, XnatPicError, describe

from ..catalog import load_catalog
from ..errors import ModelInputError, StoppedError
from .files import fetch
from .find import DICOM, Scan, among
from .parameters import MASK_AVERAGE, wishes
from .store import Place, read_json
from .work import Work, plain

CONTENTS = "statistics.json"
MAPS = "maps.json"
COLLECTION = "icr:roiCollectionData"


@dataclass(frozen=True)
class Collection:
    """One ROI collection: ID and label of its assessor, and its files."""

    id: str
    label: str
    files: tuple[RemoteFile, ...]
    address: str


@dataclass(frozen=True)
class Result:
    """One result of a fit on the server.

    Attributes
    ----------
    scan : Scan
        Whose maps.
    resource, folder : str
        Where it lies.
    files : dict of str to RemoteFile
        By the path below the folder.
    content : dict
        Of ``maps.json``.
    """

    scan: Scan
    resource: str
    folder: str
    files: dict[str, RemoteFile] = field(repr=False)
    content: dict[str, Any] = field(repr=False)

    @property
    def command(self) -> str:
        """The fit, such as ``t2``."""
        return str(self.content.get("command", ""))

    @property
    def hashes(self) -> tuple[str, str]:
        """Of the parameters with the images, and of the parameters alone as in the folder."""
        return str(self.content.get("parameters", "")), self.folder.rpartition("-")[2]

    def named(self, wanted: Sequence[str]) -> list[str]:
        """Return the names of its maps that were asked for; all where nothing was."""
        rows = self.content.get("maps")
        names = [str(one) for one in rows] if isinstance(rows, dict) else []
        low = {one.casefold() for one in wanted}
        return [
            one
            for one in names
            if not low or one.casefold() in low or one.casefold().removesuffix("map") in low
        ]


def measure_all(work: Work) -> None:
    """Measure every collection in every map; faults of one do not stop the others.

    Raises
    ------
    LoginError, StoppedError
        What stops all.
    XnatPicError
        Where there is nothing to measure, or several maps of which none was named.
    """
    asked = work.asked
    with work.timed("find"):
        collections = _collections(work)
        scans, _ = among(work.session, asked.listed("parametric_scan"))
        results = find_results(work, scans)
    work.log.say(
        f"ROI collections: {', '.join(one.label for one in collections)}; "
        f"maps: {', '.join(f'{one.scan.id} {one.folder}' for one in results)}"
    )
    for collection in collections:
        work.go_on()
        try:
            _measure(work, collection, results)
        except (LoginError, StoppedError):
            raise
        except (NothingUsableError, ModelInputError) as error:
            text = f"{collection.label} was left out. {describe(error)}"
            work.made.left_out.append(text)
            work.note(text)
        except (XnatPicError, OSError, MemoryError) as error:
            work.made.faults.append(error)
            work.log.say(f"{collection.label}: failed. {describe(error)}")


def _collections(work: Work) -> list[Collection]:
    """Return the ROI collections that were asked for, all where none was named."""
    named = work.asked.listed("rois")
    session = work.session
    rows = work.client.rows(f"{session.address}/assessors", {"columns": "ID,label,xsiType"})
    known = {row.get("ID", ""): row for row in rows}
    by_label = {row.get("label", ""): row for row in rows}
    unknown = [one for one in named if one not in known and one not in by_label]
    if unknown:
        raise NothingUsableError(
            f"{session.label} has no ROI collection {', '.join(unknown)}.",
            hint=f"It has these: {', '.join(by_label) or 'none'}.",
        )
    chosen = [known.get(one) or by_label[one] for one in named] or rows
    found = []
    for row in chosen:
        if row.get("xsiType") != COLLECTION:
            continue
        address = data_path("experiments", session.id, "assessors", row["ID"])
        files = tuple(list_files(work.client, address))
        address, files = (address, files) if files else _outputs(work, address)
        if files:
            found.append(Collection(row["ID"], row.get("label", row["ID"]), files, address))
    if not found:
        raise NothingUsableError(
            f"{session.label} has no ROI collection.",
            hint="Draw the ROIs in the viewer and save them, then run again.",
        )
    return found


def _outputs(work: Work, address: str) -> tuple[str, tuple[RemoteFile, ...]]:
    """Return the files that an assessor keeps as its output."""
    try:
        return f"{address}/out", tuple(list_files(work.client, f"{address}/out"))
    except MissingError:
        return address, ()


def find_results(work: Work, scans: Sequence[Scan]) -> list[Result]:
    """Return one result of each fit for each scan, sought on the scan, then on the subject.

    Raises
    ------
    WrongCallError
        Where a scan has several results of one fit and none is named.
    NothingUsableError
        Where there is none.
    """
    wanted, made_with = work.asked.listed("map"), work.asked.values.get("made_with", "")
    subject: list[RemoteFile] | None = None
    found: list[Result] = []
    for scan in scans:
        there = _results(work, scan, list_files(work.client, scan.address), "")
        kept = _fitting(there, wanted, made_with)
        if not kept:
            if subject is None:
                subject = list_files(work.client, work.session.subject_address)
            head = f"{plain(work.session.label)}/{plain(scan.id)}/"
            kept = _fitting(_results(work, scan, subject, head), wanted, made_with)
        _refuse_several(scan, kept)
        found += kept
    if not found:
        what = f" {', '.join(wanted)}" if wanted else ""
        how = f" made with {made_with}" if made_with else ""
        raise NothingUsableError(
            f"{work.session.label} has no map{what}{how}.",
            hint="Run a pipeline that makes maps first, or name another map.",
        )
    return found


def _fitting(results: Sequence[Result], wanted: Sequence[str], made_with: str) -> list[Result]:
    """Return the results that hold a map that was asked for, made as it was asked for."""
    return [
        one
        for one in results
        if one.named(wanted) and any(text.startswith(made_with) for text in one.hashes)
    ]


def _results(work: Work, scan: Scan, files: Sequence[RemoteFile], head: str) -> list[Result]:
    labels = {one.resource for one in load_catalog().pipelines if one.command != MASK_AVERAGE}
    labels.discard(work.asked.pipeline.resource)
    found = []
    for one in files:
        path = PurePosixPath(one.path)
        if path.name != MAPS or not one.path.startswith(head) or not _is_ours(one, labels):
            continue
        folder = "" if path.parent == PurePosixPath() else path.parent.as_posix()
        below = f"{folder}/" if folder else ""
        members = {
            two.path.removeprefix(below): two
            for two in files
            if two.resource == one.resource and two.path.startswith(below)
        }
        found.append(Result(scan, one.resource, folder, members, read_json(work.client, one)))
    return found


def _is_ours(file: RemoteFile, labels: set[str]) -> bool:
    return file.resource in labels or file.resource.startswith("PROCESSED_")


def _refuse_several(scan: Scan, results: Sequence[Result]) -> None:
    """Refuse results of one fit that were made with different parameters.

    Raises
    ------
    WrongCallError
    """
    for command in {one.command for one in results}:
        several = [one for one in results if one.command == command]
        if len(several) > 1:
            names = ", ".join(f"{one.folder} ({one.hashes[1]})" for one in several)
            raise WrongCallError(
                f"Scan {scan.id} has {len(several)} results of {command}, made with different "
                f"parameters: {names}.",
                hint="Name one with made_with: the letters and digits in brackets.",
            )


def _measure(work: Work, collection: Collection, results: Sequence[Result]) -> None:
    """Measure one collection in every result."""
    with work.timed("download"):
        roi = work.fresh("RAW", "rois", plain(collection.label))
        roi.mkdir(parents=True)
        for number, file in enumerate(collection.files):
            fetch_file(work.client, file, roi / f"{number:03d}.{_ending(file)}")
    scans, named = _drawn_on(work, collection, roi)
    images = {one: list_files(work.client, one.address, DICOM) for one in scans}
    waiting = []
    for result in results:
        place = work.place(result.scan, _folder(work, collection, result, named))
        files = [*collection.files, *result.files.values()]
        pixels = sorted(file.md5 for one in images.values() for file in one)
        request = work.request(files, collection.label, work.asked.listed("map"), pixels)
        if work.done(place, request, CONTENTS) is None:
            waiting.append((result, place, request))
            continue
        work.made.found += 1
        work.log.say(f"{collection.label}: done already, {place.resource}/{place.folder}")
        _keep_stored(work, result.scan, place)
    if not waiting:
        return
    with work.timed("download"):
        image = _fetch_images(work, images)
    for result, place, request in waiting:
        work.go_on()
        _measure_in(work, collection, result, (image, roi), (place, request))


def _ending(file: RemoteFile) -> str:
    low = file.path.lower()
    return next((e for e in ("nii.gz", "nii", "nrrd", "xml", "dcm") if low.endswith(e)), "bin")


def _folder(work: Work, collection: Collection, result: Result, named: str) -> str:
    own, fit = work.asked.key[:8], plain(PurePosixPath(result.folder).name or result.command)
    return f"{plain(collection.label)}-{fit}-{own}" + (f"-on-{plain(named)}" if named else "")


def _drawn_on(work: Work, collection: Collection, roi: Path) -> tuple[list[Scan], str]:
    """Return the scans on which a collection was drawn; the ID of one a person named instead.

    Raises
    ------
    NothingUsableError
        Where it is none of those to choose from.
    """
    from ..regions.readers import referenced_instances

    session = work.session
    candidates, chosen = among(session, work.asked.listed("anatomical_scan"))
    uids = referenced_instances(roi)
    fitting = [one for one in candidates if one.uid and one.uid in uids]
    named = ""
    if not fitting and chosen and len(candidates) == 1:
        fitting, named = candidates, candidates[0].id
    if not fitting:
        raise NothingUsableError(
            f"{collection.label} was drawn on no scan "
            f"{'that was chosen' if chosen else 'of this session'}.",
            hint="Name the scan it was drawn on as anatomical scan.",
        )
    said = ", ".join(one.id for one in fitting)
    work.log.say(f"{collection.label}: {'taken as drawn' if named else 'drawn'} on scan {said}")
    return fitting, named


def _fetch_images(work: Work, images: Mapping[Scan, Sequence[RemoteFile]]) -> Path:
    """Fetch the images of scans into one folder."""
    target = work.folder / "RAW" / ("image-" + "-".join(plain(one.id) for one in images))
    for scan, files in images.items():
        place = target / plain(scan.id)
        if not place.exists():
            fetch(work.client, scan.address, DICOM, files, place)
    return target


def _measure_in(
    work: Work,
    collection: Collection,
    result: Result,
    drawn: tuple[Path, Path],
    to: tuple[Place, str],
) -> None:
    from ..regions.run import average_masks

    place, request = to
    with work.timed("download"):
        maps = _fetch_result(work, result)
    wanted = work.asked.listed("map")
    paths = [maps]
    if wanted:
        rows = result.content["maps"]
        paths = [maps / rows[name]["nifti"] for name in result.named(wanted)]
    out = work.fresh("PROCESSED", plain(result.scan.id), place.folder.rpartition("/")[2])
    with work.timed("run"):
        summary = average_masks(*drawn, paths, out, wishes(work.asked), progress=work.go_on)
    for text in summary.result.warnings:
        work.note(f"{collection.label}: {text}")
    for one in summary.result.rois:
        if one.unusable:
            work.note(f"{collection.label}, {one.region.name}: {one.unusable}")
    for problem in summary.result.regions.problems:
        work.note(f"{collection.label}: {problem.sentence}")
    work.upload(place, out, request, result.scan, CONTENTS)
    if summary.exit_code in (0, 8):
        work.made.results += 1
        work.made.partial |= summary.exit_code != 0
    else:
        work.made.left_out.append(f"{collection.label} gave no value; statistics.txt says why.")
    text = (out / "statistics.csv").read_text(encoding="utf-8")
    _keep(work, result.scan, place, text)


def _fetch_result(work: Work, result: Result) -> Path:
    """Return a folder with the maps of a result and their flags; what is not measured stays."""
    target = work.folder / "RAW" / "maps" / plain(result.scan.id) / plain(result.folder or "maps")
    if target.exists():
        return target
    aside = target.with_name(target.name + ".part")
    for name, file in result.files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name.endswith((".nii.gz", ".json")):
            continue
        place = aside.joinpath(*path.parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        fetch_file(work.client, file, place)
    aside.replace(target)
    return target


def _keep_stored(work: Work, scan: Scan, place: Place) -> None:
    """Keep the rows of statistics that are on the server."""
    file = place.files(work.client).get("statistics.csv")
    if file is None:
        return
    path = work.folder / "RAW" / "stored.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    fetch_file(work.client, file, path)
    _keep(work, scan, place, path.read_text(encoding="utf-8"))


def _keep(work: Work, scan: Scan, place: Place, text: str) -> None:
    facts = {"scan": scan.id, "resource": place.resource, "folder": place.folder}
    for row in csv.DictReader(text.splitlines()):
        work.made.statistics.append({**facts, **row})
