"""UIDs and hashes of results: the same maps get the same UIDs."""

import json
from typing import Any

from xnat_pic.files import bytes_digest
from xnat_pic.uids import derived_uid

from .nifti import jsonable


def result_uid(*parts: str) -> str:
    """Return the UID of an object that is made of parts: the same parts give the same UID."""
    return derived_uid("XNAT-PIC maps", *parts)


def parameter_hash(content: Any) -> str:
    """Return the SHA-256 of parameters, as hexadecimal text."""
    text = json.dumps(jsonable(content), sort_keys=True, separators=(",", ":"))
    return bytes_digest(text.encode())
