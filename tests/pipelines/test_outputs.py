"""Parametric maps name their sources slice by slice; pictures show the values of the map."""

import io
from pathlib import Path

import matplotlib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from pipelines.inputs.frames import SeriesRequirement
from pipelines.inputs.load import load_images
from pipelines.outputs.catalogue import colours
from pipelines.outputs.parametric_map import make_references, read_header, write_parametric_map
from pipelines.outputs.pictures import as_png, map_figure

SLICES, ECHOES, ROWS, COLUMNS = 4, 3, 6, 5


@pytest.fixture(params=[1.0, -1.0], ids=["upwards", "downwards"])
def images(tmp_path: Path, request):
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for index in range(SLICES * ECHOES):
        k, echo = divmod(index, ECHOES)
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "MR", 3, index + 1
        ds.PatientID = ds.PatientName = "m01"
        ds.PatientBirthDate = ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
        ds.PatientSex, ds.StudyDate, ds.StudyTime = "M", "20260101", "101010"
        ds.ImageType, ds.EchoTime = ["ORIGINAL", "PRIMARY", "M"], 10.0 * (echo + 1)
        ds.ImagePositionPatient = [0, 0, request.param * 2 * k]
        ds.ImageOrientationPatient, ds.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.3, 0.3]
        ds.SliceThickness, ds.Rows, ds.Columns = 2, ROWS, COLUMNS
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 0
        ds.PixelData = np.full((ROWS, COLUMNS), 100 * (k + 1), "<u2").tobytes()
        ds.save_as(tmp_path / f"{index:03d}.dcm", enforce_file_format=True)
    return load_images(tmp_path, SeriesRequirement("echo_time_ms", 3))


def test_every_frame_names_the_images_of_its_own_slice(images, tmp_path):
    values = images.data[0].copy()
    header = read_header(images.files[0])
    path = tmp_path / "map.dcm"
    references = make_references(images)
    write_parametric_map(
        path, "T2map", values, "ms", images, header, references, number=1, key="k", version="1"
    )
    sources = {}
    for file in images.files:
        ds = pydicom.dcmread(file)
        sources[ds.SOPInstanceUID] = (list(ds.ImagePositionPatient), float(ds.pixel_array[0, 0]))
    made = pydicom.dcmread(path)
    pixels = np.frombuffer(made.FloatPixelData, "<f4").reshape(SLICES, ROWS, COLUMNS)
    named = set()
    for plane, group in zip(pixels, made.PerFrameFunctionalGroupsSequence, strict=True):
        place = list(group.PlanePositionSequence[0].ImagePositionPatient)
        rows = group.DerivationImageSequence[0].SourceImageSequence
        assert len(rows) == ECHOES
        for row in rows:
            position, value = sources[row.ReferencedSOPInstanceUID]
            assert position == place
            assert np.all(plane == value)
            named.add(row.ReferencedSOPInstanceUID)
    assert named == set(sources)
    assert {s.ReferencedSOPInstanceUID for s in made.SourceImageSequence} == named
    (series,) = made.ReferencedSeriesSequence
    assert {s.ReferencedSOPInstanceUID for s in series.ReferencedInstanceSequence} == named


def opened(picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(as_png(picture))).convert("RGB"))


def test_a_picture_shows_each_value_in_its_colour_and_gaps_in_black():
    values = np.full((1, 8, 8), np.nan, np.float32)
    values[0, :4] = 0.0
    values[0, 4:6] = 120.0
    shown = opened(map_figure("T2map", values, "ms", 1.0, (0.0, 120.0)))
    colours = {tuple(c) for c in shown.reshape(-1, 3)}
    lowest, highest = (68, 1, 84), (253, 231, 37)  # the ends of viridis
    assert {lowest, highest, (0, 0, 0)} <= colours
    size = 640 // 8
    block = shown[30 : 30 + 8 * size, 8 : 8 + 8 * size]
    assert np.all(block[: 4 * size] == lowest)
    assert np.all(block[4 * size : 6 * size] == highest)
    assert np.all(block[6 * size :] == 0)


def test_voxels_twice_as_high_are_drawn_twice_as_high():
    values = np.zeros((1, 10, 10), np.float32)
    square = opened(map_figure("T2map", values, "ms", 1.0))
    tall = opened(map_figure("T2map", values, "ms", 2.0))
    assert square.shape[0] - 38 == 640
    assert tall.shape[0] - 38 == 860
    assert (tall == 84).any()


def test_the_same_map_gives_the_same_picture():
    values = np.random.default_rng(0).normal(40, 9, (2, 9, 9)).astype(np.float32)
    first, second = (as_png(map_figure("T2map", values, "ms", 1.0)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "name", ["gray", "viridis", "cividis", "inferno", "plasma", "coolwarm", "jet"]
)
def test_colours_are_those_of_the_plotting_library(name):
    theirs = matplotlib.colormaps[name](np.arange(256) / 255.0)[:, :3]
    np.testing.assert_allclose(colours(name) / 255.0, theirs, atol=0.5 / 255 + 1e-9)
    assert colours(name).shape == (256, 3)
