"""What to say where a session on the server is another animal's, and how to undo it there."""

from collections.abc import Collection, Iterable

from xnat_config.server.client import XnatClient
from xnat_config.server.paths import data_path

from .listing import RemoteSession, read_subjects


def subject_made(project: str, subject: str) -> str:
    """Return what the journal says of a subject that an upload made."""
    return f"Made the subject {subject} in {project}."


def empty_subjects(
    client: XnatClient, projects: Iterable[str], planned: Collection[str], made: Collection[str]
) -> list[str]:
    """Return a message for each subject that an upload of a plan made and that holds nothing.

    Parameters
    ----------
    planned : collection of str
        Subjects of the plan as it stands, in lower case: they are not told of.
    made : collection of str
        What the journal says that was made.
    """
    found = []
    for project in projects:
        if not any(text.endswith(f" in {project}.") for text in made):
            continue
        experiments = client.rows(
            data_path("projects", project, "experiments"),
            {"xsiType": "xnat:subjectAssessorData", "columns": "ID,subject_label"},
        )
        holding = {str(row.get("subject_label", "")).casefold() for row in experiments}
        for subject in read_subjects(client, project, ()):
            name = subject.label.casefold()
            if subject_made(project, subject.label) in made and name not in {*holding, *planned}:
                found.append(
                    f"The subject {subject.label} of {project} was made by an upload of this plan, "
                    "which does not name it any more, and it holds no session. If it was made by "
                    "mistake, open its page in XNAT and choose Delete under Actions."
                )
    return found


def undo_advice(session: RemoteSession, subject: str) -> str:
    """Return what a person can do where plan and server disagree on whose session it is.

    Parameters
    ----------
    subject : str
        The subject of the plan's row.
    """
    return (
        f"Where the server is right, correct the column subject to {session.subject}. Where it is "
        f"wrong, nothing here moves it: open the page of {session.label} in XNAT, choose Delete "
        f"under Actions, upload this plan again as {subject}, then verify. Delete the subject "
        f"{session.subject} in the same way if it then holds nothing and nobody needs it."
    )
