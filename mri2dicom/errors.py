"""What can go wrong here alone; all other kinds are those of the whole suite."""

from xnat_pic.errors import WrongCallError


class AmbiguousFormatError(WrongCallError):
    """Two readers are equally sure of one input: name the reader."""
