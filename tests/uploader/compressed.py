"""Images in the transfer syntaxes that scanners and archives use, made by another encoder."""

import io
from copy import deepcopy

import gdcm
import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from small_dicom import SC, dataset

_GDCM = {
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
    JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
    RLELossless: gdcm.TransferSyntax.RLELossless,
}
LOSSLESS = (
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    *_GDCM,
)
LOSSY = (JPEGBaseline8Bit, JPEG2000)


def grey(frames=1, size=24, bits=12, signed=False, **values):
    """Return an object of noise, its frames and pixels."""
    random = np.random.default_rng(7)
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    kind = ("i" if signed else "u") + ("1" if bits <= 8 else "2")
    pixels = random.integers(low, high, (frames, size, size)).astype(kind)
    ds = dataset(pixels=False, **values)
    ds.Rows = ds.Columns = size
    ds.BitsAllocated = 8 * pixels.itemsize
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelRepresentation = int(signed)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    if frames > 1:
        ds.NumberOfFrames = frames
    ds.PixelData = pixels.tobytes()
    return ds


def colour(size=16, **values):
    """Return an object of smooth colours, by colour and pixel."""
    across = np.linspace(0, 255, size).astype(np.uint8)
    pixels = np.stack(
        [
            np.tile(across, (size, 1)),
            np.tile(across[:, None], (1, size)),
            np.full((size, size), 90),
        ],
        -1,
    ).astype(np.uint8)
    ds = grey(size=size, bits=8, sop=SC, **values)
    ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    ds.PhotometricInterpretation = "RGB"
    ds.PixelData = pixels.tobytes()
    return ds


def write_as(ds, path, syntax):
    """Write an object in a transfer syntax; return the path."""
    out = deepcopy(ds)
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax in _GDCM:
        plain = path.with_suffix(".plain")
        out.save_as(plain, enforce_file_format=True)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(_GDCM[syntax]))
        change.SetInput(reader.GetImage())
        assert change.Change(), syntax.name
        element = change.GetOutput().GetDataElement()
        fragments = element.GetSequenceOfFragments()
        packed = [
            fragments.GetFragment(place)
            .GetByteValue()
            .GetBuffer()
            .encode("utf-8", "surrogateescape")
            for place in range(fragments.GetNumberOfFragments())
        ]
        out.PixelData = encapsulate(packed)
        out["PixelData"].VR, out["PixelData"].is_undefined_length = "OB", True
        plain.unlink()
    elif syntax in LOSSY:
        _pack(out, syntax)
    elif syntax == ExplicitVRBigEndian and out.BitsAllocated == 16:
        out.PixelData = np.frombuffer(out.PixelData, "<u2").astype(">u2").tobytes()
    out.file_meta.TransferSyntaxUID = syntax
    out.save_as(path, enforce_file_format=True)
    return path


def _pack(out, syntax):
    samples = out.SamplesPerPixel
    shape = (out.Rows, out.Columns, 3) if samples == 3 else (out.Rows, out.Columns)
    image = Image.fromarray(np.frombuffer(out.PixelData, np.uint8)[: np.prod(shape)].reshape(shape))
    packed = io.BytesIO()
    if syntax == JPEGBaseline8Bit:
        image.save(packed, "JPEG", quality=80)
    else:
        image.save(packed, "JPEG2000", irreversible=True, quality_layers=[20], no_jp2=True)
    out.PixelData = encapsulate([packed.getvalue()])
    out["PixelData"].VR = "OB"
    out["PixelData"].is_undefined_length = True
    if samples == 3:
        out.PhotometricInterpretation = "YBR_FULL_422" if syntax == JPEGBaseline8Bit else "YBR_ICT"
