"""Private DICOM tags as data, what reads and writes them, and which decoder reads pixels.

Importing this package loads neither pydicom nor any numerics; `read_block` and `read_frames` load
pydicom.
"""

from typing import TYPE_CHECKING

from xnat_pic.public import lazy_names

if TYPE_CHECKING:
    from xnat_pic.version import version

    from .block import encode_block, format_ds, write_block, write_functional_group
    from .cest import CestParameters
    from .cest_offsets import find_m0_images, hz_from_ppm, mirrored_pairs, ppm_from_hz
    from .dictionary import Layout, PrivateDictionary, PrivateElement, load, register
    from .reading import read_block, read_frames

    __version__ = version()

__all__ = [
    "CestParameters",
    "Layout",
    "PrivateDictionary",
    "PrivateElement",
    "__version__",
    "encode_block",
    "find_m0_images",
    "format_ds",
    "hz_from_ppm",
    "load",
    "mirrored_pairs",
    "ppm_from_hz",
    "read_block",
    "read_frames",
    "register",
    "write_block",
    "write_functional_group",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CestParameters": "cest",
        "Layout": "dictionary",
        "PrivateDictionary": "dictionary",
        "PrivateElement": "dictionary",
        "encode_block": "block",
        "find_m0_images": "cest_offsets",
        "format_ds": "block",
        "hz_from_ppm": "cest_offsets",
        "load": "dictionary",
        "mirrored_pairs": "cest_offsets",
        "ppm_from_hz": "cest_offsets",
        "read_block": "reading",
        "read_frames": "reading",
        "register": "dictionary",
        "write_block": "block",
        "write_functional_group": "block",
    },
)
