"""What can go wrong, by what the administrator has to do about it."""


class AdminError(Exception):
    """Base of all errors of this package; the text is a sentence for a person."""

    exit_code = 6


class WishError(AdminError):
    """The installation file or the folder of pipelines cannot be used: correct it."""

    exit_code = 2


class LoginRefusedError(AdminError):
    """The server does not accept the login: check user and password."""

    exit_code = 5


class ServerFaultError(AdminError):
    """The server does not answer, is at fault, or is no XNAT: try again later."""


class RefusedError(AdminError):
    """The server understood and refused.

    Parameters
    ----------
    status : int
        HTTP status of its answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
