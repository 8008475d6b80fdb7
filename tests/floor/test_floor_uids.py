"""UIDs: valid, derived, and the same as those already given."""

import uuid

from hypothesis import given
from hypothesis import strategies as st
from pydicom import config
from pydicom.uid import UID

from xnat_pic.uids import derived_uid, is_uid


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_derived_uids_are_valid_uuids_of_version_8(parts):
    uid = derived_uid(*parts)
    assert is_uid(uid)
    assert UID(uid).is_valid
    assert uid == derived_uid(*parts)
    found = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    assert (found.version, found.variant) == (8, uuid.RFC_4122)


def test_parts_do_not_run_together():
    assert derived_uid("a", "bc") != derived_uid("ab", "c")


def test_a_uid_given_before_stays():
    """What was uploaded once must be recognised for ever."""
    assert derived_uid("study", "1") == "2.25.239019797524248483926548329631965691230"


@given(st.text(alphabet="0123456789.", max_size=70))
def test_is_uid_agrees_with_pydicom(text):
    by_pydicom = UID(text, validation_mode=config.IGNORE).is_valid
    assert is_uid(text) == (by_pydicom and text.count(".") > 1)
