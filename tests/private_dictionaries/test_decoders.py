"""The decoder that is asked for a transfer syntax, with GDCM installed as here."""

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGLosslessSV1, RLELossless

from private_dictionaries.decoders import decode_dataset, find_decoder

# One of pydicom's own files for each transfer syntax that archives use.
FILES = {
    "1.2.840.10008.1.2.5": "MR_small_RLE.dcm",
    "1.2.840.10008.1.2.4.50": "SC_rgb_jpeg_dcmtk.dcm",
    "1.2.840.10008.1.2.4.80": "MR_small_jpeg_ls_lossless.dcm",
    "1.2.840.10008.1.2.4.90": "MR_small_jp2klossless.dcm",
    "1.2.840.10008.1.2.4.91": "JPEG2000.dcm",
}


@pytest.mark.parametrize("syntax", FILES)
def test_the_decoder_named_reads_it_and_is_not_gdcm(syntax):
    decoder = get_decoder(syntax)
    asked_first = "gdcm" in decoder.available_plugins
    assert asked_first or syntax == RLELossless, "else this test shows nothing"
    name = find_decoder(syntax)
    assert name != "gdcm"
    assert name in decoder.available_plugins
    dataset = pydicom.dcmread(get_testdata_file(FILES[syntax]))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    values = decode_dataset(dataset)
    if FILES[syntax].startswith("MR_small"):
        plain = pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array
        np.testing.assert_array_equal(values, plain)
    assert values.shape[:2] == (dataset.Rows, dataset.Columns)


@pytest.mark.parametrize("syntax", FILES)
def test_a_damaged_image_raises_in_that_decoder(syntax):
    """The name is handed on: no other decoder is asked after it, nor before."""
    dataset = pydicom.dcmread(get_testdata_file(FILES[syntax]))
    dataset.PixelData = dataset.PixelData[:40] + bytes(len(dataset.PixelData) - 40)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - decoders raise what they like
        decode_dataset(dataset)
    assert "gdcm" not in str(caught.value)


def test_what_no_other_reads_is_left_to_gdcm():
    assert get_decoder(JPEGLosslessSV1).available_plugins == ("gdcm",)
    assert find_decoder(JPEGLosslessSV1) == ""
