"""The envelope of a DICOM file: preamble and file meta information (PS3.10)."""

from .encode import encode, join
from .header import sop_class
from .uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, Form

_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def file_bytes(form: Form, instance_uid: str, body: list[bytes]) -> list[bytes]:
    """Return a whole file as parts to be written one after the other."""
    meta = join(
        encode(
            {
                "FileMetaInformationVersion": b"\0\1",
                "MediaStorageSOPClassUID": sop_class(form),
                "MediaStorageSOPInstanceUID": instance_uid,
                "TransferSyntaxUID": _EXPLICIT_LITTLE_ENDIAN,
                "ImplementationClassUID": IMPLEMENTATION_CLASS_UID,
                "ImplementationVersionName": IMPLEMENTATION_VERSION,
            }
        )
    )
    length = join(encode({"FileMetaInformationGroupLength": len(meta)}))
    return [b"\0" * 128 + b"DICM" + length + meta, *body]
