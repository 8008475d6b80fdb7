"""One pipeline on one session: find the scans, download, run, upload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .access import Access

Cancel = Callable[[], bool]


@dataclass(frozen=True)
class SessionOutcome:
    """What a run made of a session. It can be sent to another process.

    Attributes
    ----------
    experiment_id, label, subject : str
        The session: its ID and label, and the label of its subject.
    exit_code : int
        As documented: 0 done, 3 nothing usable, 4 corrupt, 5 login, 6 server, 8 in part.
    maps : tuple of dict
        A row for each map: ``scan, folder, resource, name, unit, median, valid, parameters``.
    statistics : tuple of dict
        Rows of ``statistics.csv`` (Mask_Average), with ``scan`` and ``folder`` in front.
    warnings : tuple of str
        Sentences.
    failure : str
        Why it failed, as a sentence; empty where all is done.
    skipped : bool
        All results were on the server already, made from these images with these parameters.
    parameters : str
        Hash of the parameters.
    seconds : dict of str to float
        Time of each part: find, download, run, upload.
    """

    experiment_id: str
    label: str = ""
    subject: str = ""
    exit_code: int = 0
    maps: tuple[dict[str, Any], ...] = ()
    statistics: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str = ""
    skipped: bool = False
    parameters: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


def run_session(
    access: Access,
    pipeline: str,
    experiment_id: str,
    parameters: Mapping[str, str],
    work: Path,
    *,
    cancel: Cancel = lambda: False,
) -> SessionOutcome:
    """Run a pipeline on a session; a failure is told in the outcome, not raised.

    Parameters
    ----------
    access : Access
        The server.
    pipeline : str
        Name in the catalog, such as ``process_T2``. One of the level ``project`` stores its results
        with the subject, in folders by session and scan; another with the scan.
    experiment_id : str
        ID of the session.
    parameters : mapping of str to str
        Inputs of the catalog by name; an empty value means not given.
    work : Path
        Folder for this session alone; removed when all went well, kept on a failure.
    cancel : callable
        Asked between the parts; True ends the run with what there is.

    Returns
    -------
    SessionOutcome
    """
    raise NotImplementedError
