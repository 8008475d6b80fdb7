"""Measure the ROI collections of a session in its maps."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from xnat_config.server.errors import MissingError
from xnat_config.server.files import RemoteFile, fetch_file, list_files
from xnat_config.server.paths import data_path
from xnat_pic.errors import LoginError, NothingUsableError, WrongCallError, XnatPicError, describe
from xnat_pic.files import file_digest

from ..catalog import load_catalog
from ..errors import ModelInputError, StoppedError
from .earlier import InputFiles, changed_since_made
from .files import fetch
from .find import DICOM, ScanRow, select_scans
from .parameters import MASK_AVERAGE, roi_options
from .run_context import RunContext, path_part
from .store import ResultLocation, read_json

CONTENTS = "statistics.json"
MAPS = "maps.json"
IMAGES = "images"
"""Name of the map that asks for the images themselves."""
COLLECTION = "icr:roiCollectionData"


@dataclass(frozen=True)
class Collection:
    """One ROI collection: ID and label of its assessor, and its files."""

    id: str
    label: str
    files: tuple[RemoteFile, ...]
    address: str


@dataclass(frozen=True)
class StoredResult:
    """One result of a fit on the server.

    Attributes
    ----------
    scan : ScanRow
        Whose maps.
    resource, folder : str
        Where it lies.
    files : dict of str to RemoteFile
        By the path below the folder.
    content : dict
        Of ``maps.json``.
    """

    scan: ScanRow
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


def measure_all(run: RunContext) -> None:
    """Measure every collection in every map; faults of one do not stop the others.

    Raises
    ------
    LoginError, StoppedError
        What stops all.
    XnatPicError
        Where there is nothing to measure, or several maps of which none was named.
    """
    run_parameters = run.run_parameters
    with run.timed("find"):
        collections = _collections(run)
        scans, _ = select_scans(run.session, run_parameters.listed("parametric_scan"))
        measured = "the images that they were drawn on"
        results: list[StoredResult] = []
        if not _of_images(run):
            results = find_results(run, scans)
            measured = ", ".join(f"{one.scan.id} {one.folder}" for one in results)
    run.log.add(f"ROI collections: {', '.join(one.label for one in collections)}; maps: {measured}")
    for number, collection in enumerate(collections):
        run.start_part(collection.label, number, len(collections))
        try:
            _measure(run, collection, results)
        except (LoginError, StoppedError):
            raise
        except (NothingUsableError, ModelInputError) as error:
            text = f"{collection.label} was left out. {describe(error)}"
            run.result.left_out.append(text)
            run.note(text)
        except (XnatPicError, OSError, MemoryError) as error:
            run.fail(collection.label, error)


def _of_images(run: RunContext) -> bool:
    """Tell whether ROIs are measured in the images that they were drawn on, not in maps of them."""
    named = [one.casefold() for one in run.run_parameters.listed("map")]
    return run.run_parameters.pipeline.measures == "images" or named == [IMAGES]


def _collections(run: RunContext) -> list[Collection]:
    """Return the ROI collections that were asked for, all where none was named."""
    named = run.run_parameters.listed("rois")
    session = run.session
    rows = run.client.rows(f"{session.address}/assessors", {"columns": "ID,label,xsiType"})
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
        files = tuple(list_files(run.client, address))
        address, files = (address, files) if files else _outputs(run, address)
        if files:
            found.append(Collection(row["ID"], row.get("label", row["ID"]), files, address))
    if not found:
        raise NothingUsableError(
            f"{session.label} has no ROI collection.",
            hint="Draw the ROIs in the viewer and save them, then run again.",
        )
    return found


def _outputs(run: RunContext, address: str) -> tuple[str, tuple[RemoteFile, ...]]:
    """Return the files that an assessor keeps as its output."""
    try:
        return f"{address}/out", tuple(list_files(run.client, f"{address}/out"))
    except MissingError:
        return address, ()


def find_results(run: RunContext, scans: Sequence[ScanRow]) -> list[StoredResult]:
    """Return one result of each fit for each scan, sought on the scan, then on the subject.

    Raises
    ------
    WrongCallError
        Where a scan has several results of one fit and none is named.
    NothingUsableError
        Where there is none.
    """
    wanted, made_with = (
        run.run_parameters.listed("map"),
        run.run_parameters.values.get("made_with", ""),
    )
    subject: list[RemoteFile] | None = None
    found: list[StoredResult] = []
    for scan in scans:
        found_here = _results(run, scan, list_files(run.client, scan.address), "")
        matching = _fitting(found_here, wanted, made_with)
        if not matching:
            if subject is None:
                subject = list_files(run.client, run.session.subject_address)
            head = f"{path_part(run.session.label)}/{path_part(scan.id)}/"
            matching = _fitting(_results(run, scan, subject, head), wanted, made_with)
        _refuse_several(scan, matching)
        found += matching
    if not found:
        what = f" {', '.join(wanted)}" if wanted else ""
        how = f" made with {made_with}" if made_with else ""
        raise NothingUsableError(
            f"{run.session.label} has no map{what}{how}.",
            hint="Run a pipeline that makes maps first, or name another map.",
        )
    return found


def _fitting(
    results: Sequence[StoredResult], wanted: Sequence[str], made_with: str
) -> list[StoredResult]:
    """Return the results that hold a map that was asked for, made as it was asked for."""
    return [
        one
        for one in results
        if one.named(wanted) and any(text.startswith(made_with) for text in one.hashes)
    ]


def _results(
    run: RunContext, scan: ScanRow, files: Sequence[RemoteFile], head: str
) -> list[StoredResult]:
    labels = {one.resource for one in load_catalog().pipelines if one.command != MASK_AVERAGE}
    labels.discard(run.run_parameters.pipeline.resource)
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
        found.append(StoredResult(scan, one.resource, folder, members, read_json(run.client, one)))
    return found


def _is_ours(file: RemoteFile, labels: set[str]) -> bool:
    return file.resource in labels or file.resource.startswith("PROCESSED_")


def _refuse_several(scan: ScanRow, results: Sequence[StoredResult]) -> None:
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


def _measure(run: RunContext, collection: Collection, results: Sequence[StoredResult]) -> None:
    """Measure one collection in every result; without any in the images it was drawn on."""
    with run.timed("download"):
        roi = run.new_folder("RAW", "rois", path_part(collection.label))
        roi.mkdir(parents=True)
        for number, file in enumerate(collection.files):
            fetch_file(run.client, file, roi / f"{number:03d}.{_ending(file)}")
    scans, named = _drawn_on(run, collection, roi)
    images = {one: tuple(list_files(run.client, one.address, DICOM)) for one in scans}
    drawing = sorted(file_digest(path, "md5") for path in roi.iterdir())
    results = results or [StoredResult(one, DICOM, "", {}, {"command": "image"}) for one in scans]
    more = [collection.label, run.run_parameters.listed("map"), drawing]
    waiting = []
    for result in results:
        location = run.location(result.scan, _folder(run, collection, result, named))
        inputs = [
            InputFiles(f"the result {result.folder}", tuple(result.files.values())),
            *(InputFiles(f"scan {one.id}", files) for one, files in images.items()),
        ]
        earlier = run.find_earlier(location, inputs, CONTENTS, more)
        if earlier.contents is None:
            waiting.append((result, location, earlier))
            continue
        run.result.found += 1
        run.log.add(f"{collection.label}: done already, {location.resource}/{location.folder}")
        _record_stored(run, result.scan, location)
    if not waiting:
        return
    with run.timed("download"):
        now = [one.files for one in waiting[-1][2].inputs[1:]]
        image = _fetch_images(run, dict(zip(images, now, strict=True)))
    for result, location, earlier in waiting:
        run.checkpoint()
        made_of = {one.uri: one for one in earlier.inputs[0].files}
        fresh = {name: made_of[file.uri] for name, file in result.files.items()}
        found = replace(result, files=fresh)
        _measure_in(run, collection, found, (image, roi), (location, earlier.request))


def _ending(file: RemoteFile) -> str:
    low = file.path.lower()
    return next((e for e in ("nii.gz", "nii", "nrrd", "xml", "dcm") if low.endswith(e)), "bin")


def _folder(run: RunContext, collection: Collection, result: StoredResult, named: str) -> str:
    own, fit = (
        run.run_parameters.key[:8],
        path_part(PurePosixPath(result.folder).name or result.command),
    )
    return f"{path_part(collection.label)}-{fit}-{own}" + (
        f"-on-{path_part(named)}" if named else ""
    )


def _drawn_on(run: RunContext, collection: Collection, roi: Path) -> tuple[list[ScanRow], str]:
    """Return the scans on which a collection was drawn; the ID of one a person named instead.

    Raises
    ------
    NothingUsableError
        Where it is none of those to choose from.
    """
    from ..regions.readers import referenced_instances

    session = run.session
    candidates, chosen = select_scans(session, run.run_parameters.listed("anatomical_scan"))
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
    names = ", ".join(one.id for one in fitting)
    run.log.add(f"{collection.label}: {'taken as drawn' if named else 'drawn'} on scan {names}")
    return fitting, named


def _fetch_images(run: RunContext, images: Mapping[ScanRow, Sequence[RemoteFile]]) -> Path:
    """Fetch the images of scans into one folder."""
    target = run.folder / "RAW" / ("image-" + "-".join(path_part(one.id) for one in images))
    for scan, files in images.items():
        location = target / path_part(scan.id)
        if not location.exists():
            fetch(run.client, scan.address, DICOM, files, location)
    return target


def _measure_in(
    run: RunContext,
    collection: Collection,
    result: StoredResult,
    drawn: tuple[Path, Path],
    to: tuple[ResultLocation, str],
) -> None:
    from ..regions.run import average_masks

    location, request = to
    with run.timed("download"):
        measured = _fetch_result(run, result) if result.files else None
    maps = measured or drawn[0] / path_part(result.scan.id)
    wanted = run.run_parameters.listed("map")
    paths = [maps]
    if wanted and not _of_images(run):
        rows = result.content["maps"]
        paths = [maps / rows[name]["nifti"] for name in result.named(wanted)]
    out = run.new_folder("PROCESSED", path_part(result.scan.id), location.folder.rpartition("/")[2])
    with run.timed("run"):
        summary = average_masks(
            *drawn, paths, out, roi_options(run.run_parameters), progress=run.checkpoint
        )
    for text in summary.result.warnings:
        run.note(f"{collection.label}: {text}")
    for one in summary.result.rois:
        if one.unusable:
            run.note(f"{collection.label}, {one.region.name}: {one.unusable}")
    for problem in summary.result.regions.problems:
        run.note(f"{collection.label}: {problem.sentence}")
    run.upload(location, out, request, result.scan, CONTENTS)
    if summary.exit_code in (0, 8):
        run.result.results += 1
        run.result.partial |= summary.exit_code != 0
    else:
        run.result.left_out.append(f"{collection.label} gave no value; statistics.txt says why.")
    text = (out / "statistics.csv").read_text(encoding="utf-8")
    _record(run, result.scan, location, text)


def _fetch_result(run: RunContext, result: StoredResult) -> Path:
    """Return a folder with the maps of a result and their flags; what is not measured stays."""
    target = (
        run.folder / "RAW" / "maps" / path_part(result.scan.id) / path_part(result.folder or "maps")
    )
    if target.exists():
        return target
    aside = target.with_name(target.name + ".part")
    for name, file in result.files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name.endswith((".nii.gz", ".json")):
            continue
        location = aside.joinpath(*path.parts)
        location.parent.mkdir(parents=True, exist_ok=True)
        fetch_file(run.client, file, location)
    aside.replace(target)
    changed = changed_since_made(target)
    if changed:
        where = f"{result.resource}/{result.folder}"
        run.note(
            f"Of the maps of scan {result.scan.id} in {where}, {', '.join(changed)} "
            f"{'is' if len(changed) == 1 else 'are'} not as the pipeline made "
            f"{'it' if len(changed) == 1 else 'them'}: changed since, and measured as found."
        )
    return target


def _record_stored(run: RunContext, scan: ScanRow, location: ResultLocation) -> None:
    """Keep the rows of statistics that are on the server."""
    file = location.files(run.client).get("statistics.csv")
    if file is None:
        return
    path = run.folder / "RAW" / "stored.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    fetch_file(run.client, file, path)
    _record(run, scan, location, path.read_text(encoding="utf-8"))


def _record(run: RunContext, scan: ScanRow, location: ResultLocation, text: str) -> None:
    facts = {"scan": scan.id, "resource": location.resource, "folder": location.folder}
    for row in csv.DictReader(text.splitlines()):
        run.result.statistics.append({**facts, **row})
