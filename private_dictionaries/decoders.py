"""Which decoder of pydicom reads a transfer syntax.

pydicom asks GDCM first where it is installed, and GDCM ends the whole program on some damaged
data. The decoders named here raise instead. GDCM is left what no other reads: JPEG Lossless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DECODERS = {
    "1.2.840.10008.1.2.5": "pydicom",  # RLE Lossless
    "1.2.840.10008.1.2.4.50": "pillow",  # JPEG Baseline, 8 bits
    "1.2.840.10008.1.2.4.80": "pyjpegls",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81": "pyjpegls",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90": "pylibjpeg",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91": "pylibjpeg",  # JPEG 2000
}


def find_decoder(transfer_syntax: str) -> str:
    """Return the ``decoding_plugin`` for a Transfer Syntax UID; empty leaves it to pydicom."""
    return _DECODERS.get(str(transfer_syntax), "")


def decode_dataset(dataset: Dataset) -> Any:
    """Return the stored values of all frames.

    Parameters
    ----------
    dataset : pydicom.Dataset
        As read from a file: its file meta information names the transfer syntax.

    Returns
    -------
    ndarray
        As ``Dataset.pixel_array`` has them, shape ([frames,] rows, columns[, samples]).

    Raises
    ------
    Exception
        What pydicom and its decoders raise of pixels that are missing, damaged or in a transfer
        syntax without a decoder.
    """
    syntax = dataset.file_meta.get("TransferSyntaxUID", "")
    dataset.pixel_array_options(decoding_plugin=find_decoder(syntax))
    return dataset.pixel_array
