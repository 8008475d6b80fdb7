"""Make the maps of a session's scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnat_config.server.files import list_files
from xnat_pic.errors import LoginError, NothingUsableError, XnatPicError, describe

from ..errors import ModelInputError, StoppedError
from .files import fetch
from .find import DICOM, Candidate, among, find_scans
from .parameters import options, suv_options
from .store import Place
from .work import Work, plain

if TYPE_CHECKING:
    from ..maps.run import MapSummary

CONTENTS = "maps.json"


def make_all(work: Work) -> None:
    """Make maps of every scan that serves; faults of one do not stop the others.

    Raises
    ------
    LoginError, StoppedError
        What stops all.
    XnatPicError
        Where the scans cannot be found.
    """
    asked = work.asked
    with work.timed("find"):
        scans, chosen = among(work.session, asked.listed("scans"))
        found, others = find_scans(work.client, scans, asked.command, asked.model, chosen=chosen)
    work.log.say(
        f"{len(found)} of {len(scans)} scans serve {asked.command}: "
        f"{', '.join(one.scan.id for one in found) or 'none'}"
    )
    for one in others:
        text = f"Scan {one.scan.id} was left out: {one.reason}."
        if chosen:
            work.made.left_out.append(text)
            work.note(text)
        else:
            work.log.say(text)
    for candidate in found:
        work.go_on()
        try:
            _make(work, candidate)
        except (LoginError, StoppedError):
            raise
        except (NothingUsableError, ModelInputError) as error:
            text = f"Scan {candidate.scan.id} was left out. {describe(error)}"
            work.made.left_out.append(text)
            work.note(text)
        except (XnatPicError, OSError, MemoryError) as error:
            work.made.faults.append(error)
            work.log.say(f"scan {candidate.scan.id}: failed. {describe(error)}")


def _make(work: Work, candidate: Candidate) -> None:
    scan, asked = candidate.scan, work.asked
    place = work.place(scan, asked.folder)
    b0 = _b0_files(work)
    request = work.request(candidate.files, sorted(one.md5 for one in b0))
    contents = work.done(place, request, CONTENTS)
    if contents is not None:
        work.made.found += 1
        work.log.say(f"scan {scan.id}: done already, {place.resource}/{place.folder}")
        _keep(work, scan.id, place, contents.get("maps"))
        return
    source = work.fresh("RAW", plain(scan.id))
    with work.timed("download"):
        how = fetch(work.client, scan.address, DICOM, candidate.files, source)
    work.log.say(f"scan {scan.id}: {len(candidate.files)} files by {how}")
    out = work.fresh("PROCESSED", plain(scan.id), asked.folder)
    with work.timed("run"):
        summary = _run(work, source, out)
    for text in summary.warnings:
        work.note(f"Scan {scan.id}: {text}")
    work.upload(place, out, request, scan, CONTENTS)
    work.made.results += 1
    _keep(work, scan.id, place, summary.maps)


def _b0_files(work: Work) -> list[Any]:
    named = work.asked.listed("b0_scan")
    if not named:
        return []
    scans, _ = among(work.session, named)
    return list_files(work.client, scans[0].address, DICOM)


def _run(work: Work, source: Path, out: Path) -> MapSummary:
    asked = work.asked
    if asked.command == "suv":
        from ..maps.suv import make_suv

        return make_suv(source, out, suv_options(asked), progress=work.go_on)
    from ..maps.run import make_maps

    b0 = None
    if asked.listed("b0_scan"):
        scan = among(work.session, asked.listed("b0_scan"))[0][0]
        b0 = work.fresh("RAW", f"b0-{plain(scan.id)}")
        fetch(work.client, scan.address, DICOM, _b0_files(work), b0)
    return make_maps(asked.command, source, out, options(asked, b0), progress=work.go_on)


def _keep(work: Work, scan: str, place: Place, rows: Any) -> None:
    """Keep a row for each map of a table of contents."""
    for name, row in rows.items() if isinstance(rows, dict) else ():
        kept = {key: row.get(key) for key in ("unit", "median", "valid", "parameters")}
        facts = {"scan": scan, "resource": place.resource, "folder": place.folder, "name": name}
        work.made.maps.append({**facts, **kept})
