"""The stages of the story, each of which finds all it needs in the folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode

from xnat_config.admin.specification import example_text
from xnat_config.server.client import XnatClient
from xnat_config.server.paths import path_of
from xnat_pic.errors import XnatPicError

from ..launches import finish, is_complete, launch
from . import regions
from .compare import Comparison, compare
from .demo_folder import PROJECT, DemoFolder, Options, Study, typed
from .programs import Programs, curl, login

MAPS = "T2,ADC"
_POLL_S = 0.5


@dataclass
class Work:
    """What a stage works with.

    Attributes
    ----------
    server : XnatClient or None
        Logged in; None for a stage that needs none.
    found : Comparison or None
        What the last stage found.
    tell : callable
        Given in words how far a long stage is.
    """

    folder: DemoFolder
    options: Options
    programs: Programs
    server: XnatClient | None = None
    found: Comparison | None = None
    show_progress: Callable[[str], None] = lambda _: None

    @property
    def archive(self) -> XnatClient:
        """The server of a stage that needs one."""
        if self.server is None:
            raise XnatPicError("This stage needs the archive.", hint="Run the stage install first.")
        return self.server

    @cached_property
    def sessions(self) -> dict[str, str]:
        """IDs of the sessions by their labels."""
        address = path_of("data", "projects", PROJECT, "experiments")
        rows = self.archive.find_rows(address, {"columns": "ID,label"})
        return {row["label"]: row["ID"] for row in rows}

    def session_of(self, study: Study) -> str:
        """Return the ID of the MR session of a study.

        Raises
        ------
        XnatPicError
            If it is not in the archive.
        """
        if study.session not in self.sessions:
            raise XnatPicError(
                f"The session {study.session} is not in the archive.",
                hint="Run the stage upload first.",
            )
        return self.sessions[study.session]


@dataclass(frozen=True)
class Stage:
    """One step of the story.

    Attributes
    ----------
    name : str
        As it is asked for.
    title : str
        What people read while it runs.
    work : callable
        Does it and returns what became of it, in words.
    served : bool
        Whether it needs the archive.
    """

    name: str
    title: str
    work: Callable[[Work], str]
    served: bool = True


def _mouse(work: Work) -> str:
    folder, options = work.folder, work.options
    folder.renew(folder.scanner, folder.truth)
    asked = ("--animals", str(options.animals), "--size", "SMALL", "--matrix", str(options.matrix))
    doses = ",".join(f"dose{n}" for n in range(1, options.doses + 1))
    made = work.programs.run(
        "xnat-pic-sandbox",
        "mouse",
        folder.scanner,
        *asked,
        "--doses",
        doses,
        "--pet-ct",
        "--with-traps",
    )
    arms = f"{options.doses} {'dose' if options.doses == 1 else 'doses'} and untreated"
    return f"{len(made)} studies of MR, PET and CT: {arms}, before and after"


def _convert(work: Work) -> str:
    folder = work.folder
    folder.renew(folder.dicom)
    jobs = str(work.options.workers)
    report = work.programs.run("mri2dicom", "convert", folder.scanner, folder.dicom, "--jobs", jobs)
    states = Counter(one["status"] for one in report["series"])
    files = sum(one["files"] for one in report["series"])
    return f"{states['converted']} series, {files} DICOM files; {states['skipped']} rightly skipped"


def _install(work: Work) -> str:
    folder = work.folder
    address = path_of("data", "projects", PROJECT)
    served = f"--data {typed(folder.archive)} --pipelines {typed(folder.catalog / 'engine')}"
    work.programs.typed += [
        f"xnat-pic-pipelines export {typed(folder.catalog)}",
        f"xnat-pic-sandbox serve {served}  # stays; go on in a second terminal",
        login(),
        curl(address, "-X", "PUT"),
    ]
    work.archive.send("PUT", address)
    # XNAT adds classic pipelines to a project on a page alone; this is the sandbox's own address.
    named = {"folder": folder.catalog / "engine", "project": PROJECT}
    offered = f"/sandbox/pipelines?{urlencode(named)}"
    work.programs.typed.append(curl(offered, "-X", "POST"))
    work.archive.send("POST", offered)
    text = example_text().replace("MY_PROJECT", PROJECT)
    folder.installation.write_text(text, encoding="utf-8")
    items = work.programs.run(
        "xnat-pic-admin", "apply", folder.installation, "--catalog", folder.catalog, "--yes"
    )
    kinds = Counter(one["kind"] for one in items)
    return (
        f"project {PROJECT} with {kinds['variable']} variables, {kinds['form']} forms, "
        f"{kinds['pipeline']} pipelines"
    )


def prepare(folder: DemoFolder, log: Path) -> None:
    """Write the pipelines that the archive offers from its start."""
    Programs(folder, log).run("xnat-pic-pipelines", "export", folder.catalog)


def _upload(work: Work) -> str:
    plan = work.folder.plan
    work.folder.renew(plan)
    work.programs.run(
        "xnat-pic-uploader", "scan", work.folder.dicom, "--project", PROJECT, "-o", plan
    )
    sent = work.programs.run("xnat-pic-uploader", "upload", plan)
    return f"{len(sent['rows'])} sessions with group, timepoint and dose from the folders"


def _verify(work: Work) -> str:
    proofs = work.programs.run("xnat-pic-uploader", "verify", work.folder.plan)["rows"]
    planned, found, summed, equal = (
        sum(one[name] for one in proofs)
        for name in ("planned", "found", "checksummed", "pixels_equal")
    )
    if not planned == found == summed + equal:
        raise XnatPicError(
            f"Of {planned} files {found} are there, {summed + equal} proved.",
            hint="Upload again.",
        )
    return f"{planned} images there, {summed} with their checksum and {equal} with equal pixels"


def _run(work: Work, pipeline: str, parameters: Mapping[str, str]) -> None:
    """Run a pipeline of the project from its first session, as with Run Pipeline there."""
    studies = work.folder.studies()
    session = work.session_of(studies[0])
    asked = {"parallel_sessions": str(work.options.workers), **parameters}
    address = path_of("data", "projects", PROJECT, "pipelines", pipeline, "experiments", session)
    told = urlencode(asked, safe=",")
    work.programs.typed.append(curl(f"{address}?{told}", "-X", "POST"))
    row = finish(
        work.archive,
        PROJECT,
        pipeline,
        session,
        lambda: launch(work.archive, PROJECT, pipeline, session, asked),
        wait_s=work.options.wait_s,
        poll_s=_POLL_S,
        watch=lambda row: work.show_progress(how_far(work.folder, pipeline, row)),
    )
    if not is_complete(row):
        number = row.get("wrk_workflowData_id", "")
        raise XnatPicError(
            f"{pipeline} ended as {row.get('status', '')}.",
            hint=f"What it said is in the folder of the archive, runs{os.sep}{number}.",
        )


def how_far(folder: DemoFolder, pipeline: str, row: Mapping[str, str]) -> str:
    """Return how many sessions of a run have ended, by the log of its step; empty before one has.

    Parameters
    ----------
    row : mapping of str to str
        The run, as the archive lists it.
    """
    # An engine tells the archive of a step's begin and end; between them, only the log grows.
    number = row.get("wrk_workflowData_id", "")
    if not number.isdecimal():
        return ""
    for path in (folder.archive / "runs" / number).glob(f"build/*/LOGS/{pipeline}.err"):
        said = re.findall(r"^(\d+ of \d+): ", path.read_text("utf-8", "replace"), re.MULTILINE)
        if said:
            return f"{said[-1]} sessions"
    return ""


def _t2(work: Work) -> str:
    _run(work, "process_T2_project", {})
    return _maps_of(work, "PROCESSED_T2", "T2")


def _dwi(work: Work) -> str:
    _run(work, "process_DWI_project", {})
    return _maps_of(work, "PROCESSED_DWI", "ADC, MD and FA")


def _maps_of(work: Work, resource: str, what: str) -> str:
    """Count the sessions whose results are on the server; all have to be."""
    studies = work.folder.studies()
    subjects = sorted({one.subject for one in studies})
    found = set()
    for subject in subjects:
        address = ("data", "projects", PROJECT, "subjects", subject, "resources", resource, "files")
        for row in work.archive.find_rows(path_of(*address)):
            below = row.get("URI", "").partition("/files/")[2]
            if below.endswith("/maps.json"):
                found.add(below.partition("/")[0])
    wanted = {one.session for one in studies}
    if missing := sorted(wanted - found):
        raise XnatPicError(
            f"{len(missing)} sessions have no maps, such as {missing[0]}.",
            hint="Look at the summary of the run in the archive.",
        )
    return f"{what} of {len(wanted)} sessions, started by Run Pipeline on one"


def _regions(work: Work) -> str:
    folder, studies = work.folder, work.folder.studies()
    address = f"/xapi/roi/projects/{PROJECT}/sessions/SESSION/collections/LABEL?type=SEG"
    line = f"{curl(address, '-T', 'ROIS.dcm')}  # for each session, as the viewer does"
    work.programs.typed.append(line)
    for one in studies:
        body = regions.draw(_series(folder.dicom / one.path), folder.truth / one.path)
        label = f"{one.session}_ROIS"
        regions.store(work.archive, PROJECT, work.session_of(one), label, body)
    names = " and ".join(regions.TISSUES)
    return f"{names} outlined on the T2 images of {len(studies)} sessions"


def _series(study: Path) -> Path:
    found = sorted(study.glob(f"{regions.SERIES}_*"))
    if len(found) != 1:
        raise XnatPicError(
            f"{study} has no series {regions.SERIES}.", hint="Run the stage convert."
        )
    return found[0]


def _measure(work: Work) -> str:
    _run(work, "Mask_Average_project", {"map_names": MAPS})
    return f"{MAPS.replace(',', ' and ')} inside the outlines, by group, timepoint and dose"


def _compare(work: Work) -> str:
    work.found = compare(work.archive, work.folder, work.folder.studies())
    return work.found.sentence


STAGES = (
    Stage("mouse", "Scan digital mice", _mouse, served=False),
    Stage("convert", "Convert to DICOM", _convert, served=False),
    Stage("install", "Set up the archive", _install),
    Stage("upload", "Upload", _upload),
    Stage("verify", "Prove what arrived", _verify),
    Stage("t2", "T2 maps", _t2),
    Stage("dwi", "Diffusion maps", _dwi),
    Stage("regions", "Draw regions", _regions),
    Stage("measure", "Measure", _measure),
    Stage("compare", "Compare with the truth", _compare),
)
