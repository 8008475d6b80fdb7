"""What the archive refuses, with the status that XNAT gives."""


class Refused(Exception):
    """A request that is answered with an error.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
        One sentence, as it stands in the first heading of XNAT's error page.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def not_found(what: str) -> Refused:
    """Return the refusal of an item that does not exist or may not be read."""
    return Refused(404, f"Unable to find the specified {what}.")
