"""Make the maps of a session's scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnat_config.server.files import list_files
from xnat_pic.errors import LoginError, NothingUsableError, XnatPicError, describe

from ..errors import ModelInputError, StoppedError
from .earlier import InputFiles
from .files import fetch
from .find import DICOM, Candidate, find_scans, select_scans
from .parameters import map_options, suv_options
from .run_context import RunContext, path_part
from .store import ResultLocation

if TYPE_CHECKING:
    from ..maps.run import MapSummary

CONTENTS = "maps.json"


def make_all(run: RunContext) -> None:
    """Make maps of every scan that serves; faults of one do not stop the others.

    Raises
    ------
    LoginError, StoppedError
        What stops all.
    XnatPicError
        Where the scans cannot be found.
    """
    run_parameters = run.run_parameters
    with run.timed("find"):
        scans, chosen = select_scans(run.session, run_parameters.listed("scans"))
        found, others = find_scans(
            run.client, scans, run_parameters.command, run_parameters.model, chosen=chosen
        )
    run.log.add(
        f"{len(found)} of {len(scans)} scans serve {run_parameters.command}: "
        f"{', '.join(one.scan.id for one in found) or 'none'}"
    )
    for one in others:
        text = f"Scan {one.scan.id} was left out: {one.reason}."
        if chosen:
            run.result.left_out.append(text)
            run.note(text)
        else:
            run.log.add(text)
    for number, candidate in enumerate(found):
        run.start_part(f"scan {candidate.scan.id}", number, len(found))
        try:
            _make(run, candidate)
        except (LoginError, StoppedError):
            raise
        except (NothingUsableError, ModelInputError) as error:
            text = f"Scan {candidate.scan.id} was left out. {describe(error)}"
            run.result.left_out.append(text)
            run.note(text)
        except (XnatPicError, OSError, MemoryError) as error:
            run.fail(f"Scan {candidate.scan.id}", error)


def _make(run: RunContext, candidate: Candidate) -> None:
    scan, run_parameters = candidate.scan, run.run_parameters
    location = run.location(scan, run_parameters.folder)
    images = InputFiles(f"scan {scan.id}", candidate.files)
    earlier = run.find_earlier(location, [images, *_b0_files(run)], CONTENTS)
    images = earlier.inputs[0]
    if earlier.contents is not None:
        run.result.found += 1
        run.log.add(f"scan {scan.id}: done already, {location.resource}/{location.folder}")
        _record(run, scan.id, location, earlier.contents.get("maps"))
        return
    source = run.new_folder("RAW", path_part(scan.id))
    with run.timed("download"):
        how = fetch(run.client, scan.address, DICOM, images.files, source)
    run.log.add(f"scan {scan.id}: {len(images.files)} files by {how}")
    out = run.new_folder("PROCESSED", path_part(scan.id), run_parameters.folder)
    with run.timed("run"):
        summary = _run(run, source, out)
    for text in summary.warnings:
        run.note(f"Scan {scan.id}: {text}")
    run.upload(location, out, earlier.request, scan, CONTENTS)
    run.result.results += 1
    _record(run, scan.id, location, summary.maps)


def _b0_files(run: RunContext) -> list[InputFiles]:
    named = run.run_parameters.listed("b0_scan")
    if not named:
        return []
    scan = select_scans(run.session, named)[0][0]
    return [InputFiles(f"scan {scan.id}", tuple(list_files(run.client, scan.address, DICOM)))]


def _run(run: RunContext, source: Path, out: Path) -> MapSummary:
    run_parameters = run.run_parameters
    if run_parameters.command == "suv":
        from ..maps.suv import make_suv

        return make_suv(
            source,
            out,
            suv_options(run_parameters),
            subject=run.session.subject,
            progress=run.checkpoint,
        )
    from ..maps.run import make_maps

    b0 = None
    for other in _b0_files(run):
        scan = select_scans(run.session, run_parameters.listed("b0_scan"))[0][0]
        b0 = run.new_folder("RAW", f"b0-{path_part(scan.id)}")
        fetch(run.client, scan.address, DICOM, other.files, b0)
    return make_maps(
        run_parameters.command,
        source,
        out,
        map_options(run_parameters, b0),
        subject=run.session.subject,
        progress=run.checkpoint,
    )


def _record(run: RunContext, scan: str, location: ResultLocation, rows: Any) -> None:
    """Keep a row for each map of a table of contents."""
    for name, row in rows.items() if isinstance(rows, dict) else ():
        kept = {key: row.get(key) for key in ("unit", "median", "valid", "parameters")}
        facts = {
            "scan": scan,
            "resource": location.resource,
            "folder": location.folder,
            "name": name,
        }
        run.result.maps.append({**facts, **kept})
