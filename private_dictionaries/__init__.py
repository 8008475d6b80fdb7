"""Private DICOM tags as data, and their loader.

Importing this package loads neither pydicom nor any numerics; `reading` imports pydicom.
"""

from .block import encode_block, format_ds, write_block, write_functional_group
from .dictionary import Layout, PrivateDictionary, PrivateElement, load, register

__all__ = [
    "Layout",
    "PrivateDictionary",
    "PrivateElement",
    "encode_block",
    "format_ds",
    "load",
    "register",
    "write_block",
    "write_functional_group",
]
