"""Broken and hostile images: a sentence each, and the study goes on."""

import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from cases import files_below
from click.testing import CliRunner
from inveon_images import CT, PET, dynamic_frames, frame, ramp, write_image

import mri2dicom
from mri2dicom.cli import main


def _cut_image(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _grow_image(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(480))


def _empty_image(path: Path) -> None:
    path.write_bytes(b"")


def _lose_image(path: Path) -> None:
    path.unlink()


def _cut_header(path: Path) -> None:
    header = path.with_name(path.name + ".hdr")
    text = header.read_text("latin-1")
    header.write_text(text[: text.index("scale_factor")], encoding="latin-1")


def _set(key: str, value: str):
    def change(path: Path) -> None:
        header = path.with_name(path.name + ".hdr")
        lines = header.read_text("latin-1").splitlines()
        found = [k for k, line in enumerate(lines) if line.split(" ")[0] == key]
        lines[found[-1]] = f"{key} {value}"
        header.write_text("\n".join(lines) + "\n", encoding="latin-1")

    return change


DAMAGE = {
    "cut image": (_cut_image, "cut off: 2 frames of 480 bytes need 960 bytes, and it has 959"),
    "grown image": (_grow_image, "has 1440 bytes and its header describes 960"),
    "empty image": (_empty_image, "and it has 0"),
    "no image": (_lose_image, "bad.img is not beside it"),
    "half a header": (_cut_header, "ends within frame 0"),
    "unknown type": (_set("data_type", "9"), "data_type is 9"),
    "no type": (_set("data_type", ""), "data_type is nothing"),
    "no columns": (_set("x_dimension", "0"), "x_dimension is 0"),
    "negative rows": (_set("y_dimension", "-5"), "y_dimension is -5"),
    "huge": (_set("z_dimension", "99999999999"), "z_dimension is 99999999999"),
    "half the rows": (_set("y_dimension", "2"), "do not belong together"),
    "no voxel size": (_set("pixel_size_x", "0"), "how large a voxel is along x"),
    "a size that is none": (_set("pixel_size_z", "nan"), "pixel_size_z in the main section"),
    "a scale that is none": (_set("scale_factor", "inf"), "scale_factor in frame 1 is 'inf'"),
    "frames that overlap": (_set("data_file_pointer", "0 100"), "overlap"),
    "a frame behind the end": (_set("data_file_pointer", "7 0"), "a frame ends at byte"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_reported_and_the_study_continues(tmp_path, name):
    change, said = DAMAGE[name]
    source = tmp_path / "in"
    write_image(source / "good.img")
    bad = write_image(source / "bad.img", frames=dynamic_frames([60.0, 60.0]))
    change(bad)
    result = CliRunner().invoke(main, ["convert", str(source), str(tmp_path / "out")])
    assert result.exit_code == 8
    assert said in result.stderr
    assert "damaged" in result.stderr
    assert len(files_below(tmp_path / "out")) == 4
    assert not [path for path in (tmp_path / "out").rglob(".*")]


@pytest.mark.parametrize(
    ("side", "said"), [("65535", "too short|shorter|bytes"), ("65536", "no number of voxels")]
)
def test_an_image_has_at_most_65535_voxels_along_an_axis(tmp_path, side, said):
    path = write_image(tmp_path / "a.img")
    _set("x_dimension", side)(path)
    (skipped,) = mri2dicom.read(tmp_path)
    assert re.search(said, skipped.reason)


def test_only_damage(tmp_path):
    _cut_image(write_image(tmp_path / "in" / "a.img"))
    result = CliRunner().invoke(main, ["convert", str(tmp_path / "in"), str(tmp_path / "out")])
    assert result.exit_code == 4
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.dcm"))


def test_raw_files_alone_are_nothing_usable(tmp_path):
    write_image(tmp_path / "in" / "a.lst", file_type="1")
    result = CliRunner().invoke(main, ["convert", str(tmp_path / "in"), str(tmp_path / "out")])
    assert result.exit_code == 3
    assert "list-mode data" in result.stderr


def test_a_header_too_large(tmp_path, monkeypatch):
    from mri2dicom.readers.inveon import header

    monkeypatch.setattr(header, "MAX_BYTES", 2**20)
    path = write_image(tmp_path / "a.img").with_name("a.img.hdr")
    with path.open("a") as file:
        file.write("#" * 2**20)
    (skipped,) = mri2dicom.read(tmp_path)
    assert "larger than 1 MiB" in skipped.reason


def test_too_many_frames(tmp_path, monkeypatch):
    from mri2dicom.readers.inveon import header

    monkeypatch.setattr(header, "MAX_FRAMES", 2)
    write_image(tmp_path / "a.img", voxels=ramp(1, 3), frames=[frame()] * 3, data_type=1)
    (skipped,) = mri2dicom.read(tmp_path)
    assert "more than 2 frames" in skipped.reason


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J\x07", "a\\b^c=d", "x" * 5000, "../../../etc", "CON", "%s{0}", "[[bold]]", "\x85\x1c"],
)
def test_hostile_text(tmp_path, text):
    """Texts of a header are text: no name leaves the folder and no sign steers a terminal."""
    source = tmp_path / "in"
    write_image(
        source / "a.img",
        file_name=text,
        subject_identifier=text,
        study=text,
        injected_compound=text,
    )
    result = CliRunner().invoke(main, ["convert", str(source), str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    assert "\x1b" not in result.stderr
    files = files_below(tmp_path / "out")
    assert len(files) == 4
    assert all(path.is_relative_to(tmp_path / "out") for path in files)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


@pytest.mark.parametrize("key", ["frame_start", "frame_duration", "isotope_half_life"])
@pytest.mark.parametrize("value", ["-1", "1e300", "1e-300", ""])
def test_implausible_times(tmp_path, key, value):
    path = write_image(tmp_path / "in" / "a.img")
    _set(key, value)(path)
    report = mri2dicom.convert(tmp_path / "in", tmp_path / "out")
    assert report.count("converted") == 1


def test_an_image_that_changes_during_the_run(tmp_path):
    """What is cut after it was read leaves no files behind."""
    source = tmp_path / "in"
    path = write_image(source / "a.img")
    calls = []

    def cancelled() -> bool:
        calls.append(1)
        if len(calls) == 2:
            path.write_bytes(b"")
        return False

    write_image(source / "b.img", PET, ramp(4) + 1)
    report = mri2dicom.convert(source, tmp_path / "out", cancelled=cancelled)
    statuses = sorted(one.status for one in report.series)
    assert statuses in (
        ["converted", "converted"],
        ["converted", "failed"],
        ["converted", "skipped"],
    )
    for one in report.series:
        if one.status == "converted":
            assert len(list(Path(one.path).glob("*.dcm"))) == 4


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives(tmp_path, kind):
    write_image(tmp_path / "in" / "m1" / "a.pet.img")
    write_image(tmp_path / "in" / "m1" / "raw.lst", file_type="1")
    archive = tmp_path / f"study.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted((tmp_path / "in").rglob("*.*")):
                file.write(path, path.relative_to(tmp_path / "in"))
    else:
        with tarfile.open(archive, "w:gz") as file:
            file.add(tmp_path / "in" / "m1", "m1")
    report = mri2dicom.convert(archive, tmp_path / "out")
    assert report.count("converted") == 1
    assert report.count("skipped") == 1
    plain = mri2dicom.convert(tmp_path / "in", tmp_path / "plain")
    one, other = (next(s for s in r.series if s.files) for r in (report, plain))
    first, second = (Path(s.path) / "0001.dcm" for s in (one, other))
    assert first.read_bytes() == second.read_bytes()


def test_nothing_of_the_source_changes(tmp_path):
    source = tmp_path / "in"
    write_image(source / "a.img")
    write_image(source / "b.ct.img", CT, data_type=4)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in source.iterdir()}
    mri2dicom.convert(source, tmp_path / "out")
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in source.iterdir()} == before


def test_a_second_run_keeps_and_workers_agree(tmp_path):
    source = tmp_path / "in"
    write_image(source / "a.img", frames=dynamic_frames([60.0, 60.0]))
    first = mri2dicom.convert(source, tmp_path / "out")
    again = mri2dicom.convert(source, tmp_path / "out")
    assert (first.count("converted"), again.count("kept")) == (1, 1)
    workers = mri2dicom.convert(source, tmp_path / "workers", jobs=2)
    assert workers.count("converted") == 1
    ours, theirs = (files_below(tmp_path / name) for name in ("out", "workers"))
    assert [p.read_bytes() for p in ours] == [p.read_bytes() for p in theirs]


@pytest.mark.parametrize("mistake", [TypeError, ValueError, KeyError, AttributeError])
def test_a_mistake_of_the_reader_is_not_called_damage(tmp_path, monkeypatch, mistake):
    def wrong(*_):
        raise mistake("of ours")

    write_image(tmp_path / "in" / "a.pet.img")
    monkeypatch.setattr("mri2dicom.readers.inveon.reader.plane_geometry", wrong)
    (series,) = mri2dicom.convert(tmp_path / "in", tmp_path / "out").series
    assert (series.status, series.damaged) == ("failed", False)
    assert "of ours" in series.reason
    assert "please report" in series.reason
