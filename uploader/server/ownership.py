"""What to say where a session on the server is another animal's, and how to undo it there."""

from .listing import RemoteSession


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
