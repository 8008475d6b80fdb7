"""Find sessions of a project, through pyxnat."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import NothingUsableError
from .access import Access
from .errors import ServerError

_TYPE = "xnat:imageSessionData"


@dataclass(frozen=True)
class Found:
    """One session of a project: ID, label, subject and type."""

    id: str
    label: str
    subject: str
    type: str


def find_sessions(access: Access, project: str) -> list[Found]:
    """Return the imaging sessions of a project in the order of labels.

    Raises
    ------
    ServerError
        Where the server gives no list.
    """
    import pandas as pd

    interface = access.interface()
    try:
        table = interface.array.experiments(
            project_id=project,
            experiment_type=_TYPE,
            columns=["ID", "label", "subject_label", "xsiType"],
        )
        frame = pd.DataFrame(list(table.data))
    except Exception as error:  # pyxnat raises errors of many kinds, and plain ones of requests
        raise ServerError(
            f"{access.server} gives no list of the sessions of {project}.",
            hint="Check the project and the user's rights.",
        ) from error
    finally:
        interface.disconnect()
    if frame.empty:
        return []
    frame = frame.rename(columns=str.lower).fillna("").drop_duplicates("id").sort_values("label")
    return [
        Found(str(row.id), str(row.label), str(row.subject_label), str(row.xsitype))
        for row in frame.itertuples(index=False)
    ]


def session_id(access: Access, project: str, named: str) -> str:
    """Return the ID of a session that a person named by ID or label.

    Raises
    ------
    NothingUsableError
        Where the project has none.
    """
    found = find_sessions(access, project)
    for one in found:
        if named in (one.id, one.label):
            return one.id
    labels = ", ".join(one.label for one in found[:20]) or "none"
    raise NothingUsableError(f"{project} has no session {named}.", hint=f"It has these: {labels}.")
