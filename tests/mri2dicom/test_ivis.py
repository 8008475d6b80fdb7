"""IVIS click folders: what becomes of their images, against numbers worked out by hand."""

import contextlib
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cases import files_below
from hypothesis import given, settings
from hypothesis import strategies as st
from ivis_clicks import BIAS, PER_COUNT, scene, text, tiff_bytes, write_click
from programs import need_program

import mri2dicom
from mri2dicom.readers.ivis.click import open_click, parse_date, parse_time
from mri2dicom.readers.ivis.clickinfo import parse
from mri2dicom.readers.ivis.radiance import classify_scale, radiance_per_count
from mri2dicom.readers.ivis.reader import IvisReader
from mri2dicom.readers.ivis.table import image_row, limit
from mri2dicom.readers.ivis.tiff import read_tiff, tiff_source
from mri2dicom.series.model import Confidence
from xnat_pic.errors import CorruptDataError

SIDE_MM = 240 * 22.4 / 1920 * 8 / 240 * 10  # 0.0933 cm of reference, in mm


def convert(folder, out, **options):
    report = mri2dicom.convert(folder, out, **options)
    found = {one.protocol: one for one in report.series}
    files = {
        protocol: pydicom.dcmread(files_below(Path(one.path))[0])
        for protocol, one in found.items()
        if one.status == "converted"
    }
    return report, found, files


def test_photograph_and_counts_keep_every_value(tmp_path):
    _, counts = write_click(tmp_path / "in")
    report, _, files = convert(tmp_path / "in", tmp_path / "out")
    assert report.exit_code == 0
    photo, light = files["photograph"], files["luminescence_counts"]
    assert photo.SOPClassUID.name == "Secondary Capture Image Storage"
    assert light.SOPClassUID.name == "Multi-frame Grayscale Word Secondary Capture Image Storage"
    expected = (np.arange(960 * 960, dtype=np.uint32).reshape(960, 960) % 4001).astype(np.uint16)
    assert np.array_equal(photo.pixel_array, expected)
    assert np.array_equal(light.pixel_array, counts)
    assert light.Modality == photo.Modality == "OI"
    assert np.allclose(light.PixelSpacing, SIDE_MM, atol=1e-6)
    assert np.allclose(photo.PixelSpacing, SIDE_MM / 4, atol=1e-6)  # the ratio of the binnings
    assert (light.RescaleSlope, light.RescaleIntercept) == (1, 0)
    assert "FrameOfReferenceUID" not in light


def test_identity_and_description(tmp_path):
    write_click(tmp_path / "in")
    _, _, files = convert(tmp_path / "in", tmp_path / "out")
    light = files["luminescence_counts"]
    assert (light.PatientID, light.PatientSex, light.StrainDescription) == ("m07", "F", "BALB/c")
    assert (light.StudyDate, light.StudyTime) == ("20220105", "114235")
    assert light.StudyDescription == "Tumour growth µ"
    assert light.ManufacturerModelName == "IVIS Lumina"
    assert light.DeviceSerialNumber == "XC1234"
    assert light.SeriesDescription == "luminescence counts, 40 s, bioluminescence"
    assert light.ExposureTimeInms == 40000
    assert light.DetectorTemperature == pytest.approx(-89.8)
    assert light.SeriesNumber == 10000 * (11 * 3600 + 42 * 60 + 35) + 2
    # The operator is nowhere in the files.
    assert "AB" not in [str(e.value) for e in light.iterall() if e.VR in ("PN", "LO", "SH")]


def test_radiance_is_computed_where_the_metadata_are_complete(tmp_path):
    assert radiance_per_count(40, 8, 7.223e5) == pytest.approx(PER_COUNT, rel=1e-12)
    _, counts = write_click(tmp_path / "in")
    _, found, files = convert(tmp_path / "in", tmp_path / "out")
    ds = files["radiance"]
    assert ds.SOPClassUID.name == "Parametric Map Storage"
    pixels = np.frombuffer(ds.FloatPixelData, "<f4").reshape(240, 240)
    expected = (counts.astype(float) - BIAS) * PER_COUNT
    assert np.allclose(pixels, expected, rtol=1e-6, atol=1e-2)
    assert pixels.min() < 0  # noise below the bias is kept
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "{ph}/s/cm2/sr"
    assert ds.ImageType[0] == "DERIVED"
    measures = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert np.allclose(measures.PixelSpacing, SIDE_MM, atol=1e-6)
    place = ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
    assert np.allclose(place, [-119.5 * SIDE_MM, -119.5 * SIDE_MM, 0], atol=1e-4)
    assert any("flat field" in note for note in found["radiance"].warnings)


def test_minutes_are_not_seconds(tmp_path):
    write_click(tmp_path / "in", exposure="2", unit="min")
    _, _, files = convert(tmp_path / "in", tmp_path / "out")
    pixels = np.frombuffer(files["radiance"].FloatPixelData, "<f4").reshape(240, 240)
    light = files["luminescence_counts"]
    net = light.pixel_array.astype(float) - BIAS
    assert np.allclose(pixels, net * 7.223e5 / (120 * 64), rtol=1e-6, atol=1e-2)
    assert light.ExposureTimeInms == 120000


@pytest.mark.parametrize(
    ("gone", "word"),
    [
        ({"fov": None}, "field of view"),
        ({"bias": None}, "read bias"),
        ({"exposure": None}, "exposure"),
        ({"unit": "fortnights"}, "exposure"),
        ({"stop": "2"}, "C-ccd at FOV 22.4, f2"),
        ({"fov": "13.2"}, "C-ccd at FOV 13.2"),
    ],
)
def test_without_complete_metadata_there_is_no_radiance(tmp_path, gone, word):
    write_click(tmp_path / "in", **gone)
    report, found, files = convert(tmp_path / "in", tmp_path / "out")
    assert "radiance" not in files
    assert found["radiance"].status == "skipped"
    assert word in found["radiance"].reason
    assert not found["radiance"].damaged
    assert report.exit_code == 0
    assert "luminescence_counts" in files


@pytest.mark.parametrize("kind", ["radiance", "counts"])
def test_the_vendors_corrected_image_is_preferred_and_its_scale_classified_by_the_counts(
    tmp_path, kind
):
    """The sample's corrected image holds radiance although it is described as counts."""
    write_click(tmp_path / "in", corrected=kind)
    _, found, files = convert(tmp_path / "in", tmp_path / "out")
    assert found["radiance"].procno == 3
    ds = files["radiance"]
    pixels = np.frombuffer(ds.FloatPixelData, "<f4").reshape(240, 240)
    assert np.allclose(pixels, 1.05 * PER_COUNT * scene(), rtol=1e-5, atol=0.1)
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "{ph}/s/cm2/sr"


@pytest.mark.parametrize(
    ("pixels", "value", "ratio", "scale"),
    [
        (12, 1000, 1.0, "counts"),
        (11, 1000, 1.0, "unknown"),
        (12, 1000, 50.0, "radiance"),
        (12, 12, 1.0, "counts"),  # eight robust standard deviations of 1.4826 above the median
        (12, 11, 1.0, "unknown"),
        (12, 1000, 1.9, "counts"),
        (12, 1000, 2.1, "unknown"),
        (12, 1000, 0.51, "counts"),
        (12, 1000, 0.49, "unknown"),
    ],
)
def test_a_scale_is_told_from_twelve_bright_pixels(pixels, value, ratio, scale):
    net = np.resize([-1.0, 1.0, 0.0], (40, 40))
    net[0, :pixels] = value
    assert classify_scale(net * ratio, net, 50.0)[0] == scale


def test_a_corrected_image_of_unknown_scale_claims_no_unit(tmp_path):
    click, _ = write_click(tmp_path / "in", bias=None, corrected="radiance")
    _, found, files = convert(tmp_path / "in", tmp_path / "out")
    ds = files["luminescence_corrected"]
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "[arb'U]"
    assert "read bias" in found["luminescence_corrected"].warnings[0]
    # Seventeen times the counts is neither counts nor radiance.
    (click / "ClickInfo.txt").write_bytes(text().encode("latin-1"))
    odd = (17 * scene()).astype(np.float32)
    (click / "luminescentFloatCorrected.TIF").write_bytes(tiff_bytes(odd))
    _, found, _ = convert(tmp_path / "in", tmp_path / "out2")
    assert "17 x the counts" in found["luminescence_corrected"].warnings[0]


def test_a_dark_image_is_subtracted_only_where_it_can_be_believed(tmp_path):
    dark = np.random.default_rng(1).integers(0, 4, (240, 240)).astype(np.uint16)
    _, counts = write_click(tmp_path / "good", dark=dark)
    _, found, files = convert(tmp_path / "good", tmp_path / "a")
    pixels = np.frombuffer(files["radiance"].FloatPixelData, "<f4").reshape(240, 240)
    net = counts.astype(float) - BIAS - dark
    assert np.allclose(pixels, net * PER_COUNT, rtol=1e-6, atol=1e-2)
    assert "background" in found
    assert found["background"].status == "skipped"
    for name, image, word in (
        ("constant", np.full((240, 240), 65534, np.uint16), "65534 everywhere"),
        ("small", dark[:120, :120], "another size"),
        ("bright", dark + np.uint16(900), "brighter"),
    ):
        write_click(tmp_path / name, dark=image)
        _, found, files = convert(tmp_path / name, tmp_path / f"{name}_out")
        pixels = np.frombuffer(files["radiance"].FloatPixelData, "<f4").reshape(240, 240)
        assert np.allclose(pixels, (counts - float(BIAS)) * PER_COUNT, rtol=1e-6, atol=1e-2)
        assert any(word in note for note in found["radiance"].warnings), name


def test_saturation_is_flagged(tmp_path):
    click, counts = write_click(tmp_path / "in")
    counts[10:13, 20] = 61000
    counts[10:13, 21] = 60999
    (click / "luminescent.TIF").write_bytes(tiff_bytes(counts))
    _, found, _ = convert(tmp_path / "in", tmp_path / "out")
    assert "3 pixels reach 61000 counts" in found["luminescence_counts"].warnings[0]


@pytest.mark.parametrize(("rows", "refused"), [(4096, False), (4097, True)])
def test_an_image_has_at_most_4096_by_4096_pixels(tmp_path, rows, refused):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(np.zeros((rows, 4096), np.uint16)))
    if refused:
        with pytest.raises(CorruptDataError, match="more than any camera has"):
            tiff_source(path)
    else:
        assert tiff_source(path).shape == (1, 4096, 4096)


def test_several_animals_in_one_image_are_a_group(tmp_path):
    write_click(tmp_path / "in", animal="m07, m08,m09")
    _, _, files = convert(tmp_path / "in", tmp_path / "out")
    for ds in files.values():
        assert ds.PatientID == "m07_m08_m09"
        group = ds.GroupOfPatientsIdentificationSequence
        assert [item.PatientID for item in group] == ["m07", "m08", "m09"]
    assert "not confirmed: m07, m08, m09" in files["luminescence_counts"].ImageComments


def test_a_sequence_is_one_study(tmp_path):
    folder = tmp_path / "in" / "AB20220105_SEQ"
    write_click(folder, name="AB20220105114235")
    click, _ = write_click(folder, name="AB20220105115000")
    later = text().replace("11:42:35", "11:50:00").encode("latin-1")
    (click / "ClickInfo.txt").write_bytes(later)
    _report, _, _ = convert(tmp_path / "in", tmp_path / "out")
    files = [pydicom.dcmread(p) for p in files_below(tmp_path / "out")]
    assert len(files) == 6
    assert len({ds.StudyInstanceUID for ds in files}) == 1
    assert len({ds.SeriesInstanceUID for ds in files}) == 6
    assert len({ds.SeriesNumber for ds in files}) == 6
    assert (tmp_path / "out" / "AB20220105_SEQ").is_dir()


def test_twice_gives_the_same_bytes_and_the_folder_name_does_not_matter(tmp_path):
    write_click(tmp_path / "a")
    write_click(tmp_path / "b", name="renamed")
    convert(tmp_path / "a", tmp_path / "x")
    convert(tmp_path / "b", tmp_path / "y")
    one, two = ([p.read_bytes() for p in files_below(tmp_path / n)] for n in "xy")
    assert one == two
    assert len(one) == 3


def test_sniff_is_cheap_and_never_raises(tmp_path):
    reader = IvisReader()
    assert reader.sniff(tmp_path) is Confidence.NO
    assert reader.sniff(tmp_path / "absent") is Confidence.NO
    (tmp_path / "clickinfo.TXT").write_bytes(b"\0" * 99)
    assert reader.sniff(tmp_path) is Confidence.NO
    write_click(tmp_path / "deep" / "er")
    assert reader.sniff(tmp_path) is Confidence.SURE


class TestText:
    def test_grammar(self):
        sections = parse(text())
        names = [s.name for s in sections if s.name]
        assert names[0] == "ClickNumber"
        assert sections[1].value == "AB20220105114235"
        light = next(s for s in sections if s.name == "luminescent image")
        assert light.get("f number") == "1"
        label = next(s for s in sections if s.name.startswith("User Label"))
        assert label.get("Comment1") == "cage #3"  # a sign of the person, and no comment
        camera = next(s for s in sections if s.name.startswith("Camera"))
        assert camera.get("Coef C-ccd at FOV 22.4, f1") == "722300"

    def test_a_key_belongs_to_its_section(self, tmp_path):
        click = open_click(write_click(tmp_path)[0])
        assert click.quantity("binning", image_row("photograph")) == 2
        assert click.quantity("binning", image_row("luminescent")) == 8

    def test_dates_without_the_locale(self):
        assert parse_date("Wednesday, January 5, 2022").isoformat() == "2022-01-05"
        assert parse_date("Dec 31, 1999").isoformat() == "1999-12-31"
        assert parse_date("Mittwoch, 5. Januar 2022") is None
        assert parse_time("2:05:10 PM").isoformat() == "14:05:10"
        assert parse_time("25:00:00") is None

    def test_the_clock_is_checked_against_the_seconds(self, tmp_path):
        # 2022-01-05 11:42:35 lies 3 724 227 755 s after 1904-01-01.
        _, found, _ = convert(write_click(tmp_path / "a")[0], tmp_path / "x")
        assert not [w for w in found["photograph"].warnings if "1904" in w]
        click, _ = write_click(tmp_path / "b", seconds="3724000000")
        _, found, _ = convert(click, tmp_path / "y")
        assert "contradict" in found["luminescence_counts"].warnings[0]

    @settings(max_examples=60, deadline=None)
    @given(st.text(max_size=400))
    def test_any_text_parses(self, anything):
        for section in parse(anything):
            assert isinstance(section.get("Binning"), str)


class TestDamage:
    def reason(self, tmp_path):
        report = mri2dicom.convert(tmp_path / "in", tmp_path / "out")
        bad = [one for one in report.series if one.damaged]
        assert bad
        assert report.exit_code in (4, 8)
        assert not list((tmp_path / "out").rglob("*.part"))
        return " ".join(one.reason for one in bad)

    @pytest.mark.parametrize(
        ("content", "word"),
        [
            (lambda c: tiff_bytes(c)[: c.nbytes // 2], "no whole TIFF"),
            (lambda c: tiff_bytes(c, tags={256: (4, 1, 240), 257: (4, 1, 2**31)}), "announces"),
            (lambda c: tiff_bytes(c, tags={256: (4, 1, 60000), 257: (4, 1, 60000)}), "announces"),
            (lambda c: tiff_bytes(c, tags={257: (4, 1, 4000), 278: (4, 1, 4000)}), ""),
            (lambda c: tiff_bytes(c, tags={259: (3, 1, 5 << 16)}), "compressed"),
            (lambda c: tiff_bytes(c, tags={273: (4, 1, 2**32 - 9)}), ""),
            (lambda c: tiff_bytes(c, tags={258: (3, 2**30, 8)}), ""),
            (lambda c: tiff_bytes(c.astype("f4")), "counts"),
            (lambda c: b"", "no whole TIFF"),
            (lambda c: b"MM\0*" + b"\xff" * 64, "no whole TIFF"),
            (lambda c: b"not a picture at all", "no whole TIFF"),
        ],
    )
    def test_a_hostile_or_broken_image(self, tmp_path, content, word):
        click, counts = write_click(tmp_path / "in")
        (click / "luminescent.TIF").write_bytes(content(counts))
        assert word in self.reason(tmp_path)
        # The photograph is written all the same.
        assert len(files_below(tmp_path / "out")) == 1

    def test_a_loop_of_pages_ends(self, tmp_path):
        whole = bytearray(tiff_bytes(np.zeros((8, 8), np.uint16)))
        whole[-4:] = (8 + 128).to_bytes(4, "big")  # the next page is this page
        (tmp_path / "loop.tif").write_bytes(whole)
        with contextlib.suppress(CorruptDataError):
            assert read_tiff(tmp_path / "loop.tif").shape == (8, 8)

    def test_missing_images(self, tmp_path):
        click, _ = write_click(tmp_path / "in", photograph=False)
        report = mri2dicom.convert(tmp_path / "in", tmp_path / "out")
        assert report.exit_code == 0
        (click / "luminescent.TIF").unlink()
        assert "no luminescent.TIF" in self.reason(tmp_path)

    def test_half_written_text(self, tmp_path):
        click, _ = write_click(tmp_path / "in")
        (click / "ClickInfo.txt").write_bytes(b"")
        write_click(tmp_path / "in", name="good")
        report = mri2dicom.convert(tmp_path / "in", tmp_path / "out")
        assert report.exit_code == 8
        assert "empty or half-written" in " ".join(one.reason for one in report.series)

    def test_a_huge_text(self, tmp_path):
        click, _ = write_click(tmp_path / "in")
        with (click / "ClickInfo.txt").open("ab") as file:
            file.truncate(limit("text_bytes") + 1)
        assert "far more" in self.reason(tmp_path)

    def test_a_name_that_points_outside(self, tmp_path):
        click, _ = write_click(tmp_path / "in")
        (tmp_path / "secret.TIF").write_bytes(tiff_bytes(np.ones((4, 4), np.uint16)))
        body = text().replace("image:\tluminescent.TIF", "image:\t..\\..\\secret.TIF")
        (click / "ClickInfo.txt").write_bytes(body.encode("latin-1"))
        found = open_click(click).image_file(image_row("luminescent"))
        assert found == click / "luminescent.TIF"

    def test_a_mistake_of_the_reader_is_not_called_damage(self, tmp_path, monkeypatch):
        def wrong(*_):
            raise TypeError("of ours")

        (tmp_path / "a.tif").write_bytes(tiff_bytes(np.zeros((4, 4), np.uint16)))
        monkeypatch.setattr("mri2dicom.readers.ivis.tiff._check", wrong)
        with pytest.raises(TypeError, match="of ours"):
            read_tiff(tmp_path / "a.tif")

    @settings(max_examples=40, deadline=None)
    @given(st.binary(max_size=300), st.integers(0, 127))
    def test_any_bytes_are_an_image_or_a_sentence(self, tmp_path_factory, junk, place):
        path = tmp_path_factory.mktemp("t") / "a.tif"
        whole = bytearray(tiff_bytes(np.zeros((4, 4), np.uint16)))
        whole[place : place + len(junk)] = junk
        path.write_bytes(whole)
        with contextlib.suppress(CorruptDataError):
            assert read_tiff(path).ndim == 2


@pytest.mark.tool
def test_the_validator_finds_no_error(tmp_path):
    tool = need_program("dciodvfy")
    dark = np.random.default_rng(1).integers(0, 4, (240, 240)).astype(np.uint16)
    write_click(tmp_path / "in", animal="m07, m08", dark=dark)
    write_click(tmp_path / "in", corrected="radiance", name="second")
    write_click(tmp_path / "in", bias=None, corrected="counts", fov="13.2", name="third")
    mri2dicom.convert(tmp_path / "in", tmp_path / "out")
    kinds = set()
    for path in files_below(tmp_path / "out"):
        done = subprocess.run([tool, path], capture_output=True, text=True, check=False)
        lines = (done.stderr + done.stdout).splitlines()
        kinds |= {"SCImage", "MultiframeGrayscaleWordSCImage", "ParametricMap"} & set(lines)
        assert [line for line in lines if line.startswith("Error")] == []
    assert len(kinds) == 3
