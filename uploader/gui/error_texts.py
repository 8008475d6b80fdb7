"""What went wrong, as a message with a next step."""

import errno

from .translation import translate

# Letters of a foreign error that a message can carry.
_LONGEST = 160


def error_text(error: BaseException) -> str:
    """Return what an exception means to a person.

    The errors of `mri2dicom` and `uploader` bring their own message. A full disk, a file that is
    gone and the like get theirs here; anything else is named as a fault of the program.
    """
    own = getattr(error, "sentence", None)
    if callable(own):
        return str(own())
    if isinstance(error, ChildProcessError):
        return translate("failure.process")
    if isinstance(error, OSError):
        return _system_text(error)
    what = " ".join(f"{type(error).__name__}: {error}".rstrip(": ").split())
    return translate(
        "failure.unknown", what=what if len(what) <= _LONGEST else f"{what[:_LONGEST]}…"
    )


def _system_text(error: OSError) -> str:
    place = str(error.filename or translate("failure.some_file"))
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return translate("failure.disk_full", place=place)
    if isinstance(error, FileNotFoundError):
        return translate("failure.gone", place=place)
    if isinstance(error, PermissionError):
        return translate("failure.not_allowed", place=place)
    return translate("failure.system", place=place, reason=error.strerror or str(error))
