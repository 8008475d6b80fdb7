"""Make a source's header fit to be copied: real files lack attributes, or hold what none allows."""

import re
import warnings

from pydicom.dataset import Dataset

# What every object has, be it empty, and the values that it may have.
_ALLOWED = {
    "PatientName": r".*",
    "PatientID": r".*",
    "PatientBirthDate": r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
    "PatientSex": r"[MFO]",
    "StudyID": r".{0,16}",
    "StudyDate": r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
    "StudyTime": r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?",
    "AccessionNumber": r".{0,16}",
    "ReferringPhysicianName": r".*",
}


def sanitise_identity(header: Dataset) -> Dataset:
    """Return the header with what identifies patient and study allowed, or empty.

    Programs that remove names write such things as a sex of ``0`` or a date of ``00000000``.

    Parameters
    ----------
    header : pydicom.Dataset
        Changed in place.

    Returns
    -------
    pydicom.Dataset
        The same.
    """
    for keyword, pattern in _ALLOWED.items():
        value = str(header.get(keyword) or "").strip()
        if not value or not re.fullmatch(pattern, value, re.DOTALL):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                setattr(header, keyword, "")
    return header
