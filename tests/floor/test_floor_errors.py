"""One family of errors: text, exit code, and the way across a process boundary."""

import errno
import pickle
from pathlib import Path

import pytest

from xnat_pic import errors
from xnat_pic.errors import ServerError, XnatPicError, describe, exit_code_of

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, XnatPicError)
]


class PlacedError(ServerError):
    """A kind of a package, whose constructor asks for more."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message, hint="Look there.", status=404)
        self.place = place


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_survives_pickling_with_its_fields(kind):
    error = kind("It broke.", path=Path("a/b"), hint="Mend it.")
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is kind
    assert vars(other) == vars(error)
    assert other.args == error.args
    assert str(other) == "It broke."


def test_a_kind_with_another_constructor_survives_pickling():
    other = pickle.loads(pickle.dumps(PlacedError("here", "It broke.")))
    assert (other.place, other.status, other.sentence()) == ("here", 404, "It broke. Look there.")


def test_exit_codes_are_the_documented_ones():
    codes = {kind.__name__: kind.exit_code for kind in KINDS}
    assert codes == {
        "XnatPicError": 2,
        "WrongCallError": 2,
        "OutputError": 2,
        "NothingUsableError": 3,
        "CorruptDataError": 4,
        "LoginError": 5,
        "ServerError": 6,
        "CancelledError": 8,
    }
    assert exit_code_of(PlacedError("here", "x")) == 6
    assert exit_code_of(OSError("x")) == 2


def test_describe_is_one_printable_line(tmp_path):
    said = describe(XnatPicError("A\x1b[31m\nB", hint="C"))
    assert said == "A [31m B C"
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "no").read_bytes()
    text = describe(caught.value)
    assert text.startswith(str(tmp_path / "no"))
    assert text.endswith("cannot be read or written: No such file or directory.")
    full = OSError(errno.ENOSPC, "No space left on device")
    assert describe(full) == "A file cannot be written: the disk is full. Make room on it."
    assert describe(ZeroDivisionError("by zero")) == "ZeroDivisionError: by zero"
