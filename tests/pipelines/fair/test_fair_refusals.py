"""What cannot be exported is refused or left out in words, and nothing half-written stays."""

import json
import shutil

import pydicom
import pytest

from pipelines.fair import study as fair_study
from pipelines.fair.about import read_about
from pipelines.fair.derived import inside
from pipelines.fair.names import Labels, label
from xnat_config import load_config
from xnat_pic.errors import CorruptDataError, NothingUsableError, WrongCallError


@pytest.fixture
def small(study, tmp_path):
    """A copy of one series and of the result."""
    [scan] = study.rglob("30001_*")
    shutil.copytree(scan, tmp_path / "study" / "scan")
    shutil.copytree(study / "results" / "t2", tmp_path / "study" / "t2")
    return tmp_path / "study"


def test_wrong_calls(study, about, tmp_path, command):
    out = tmp_path / "out"
    assert command("P1", out, "--from", study).exit_code == 2  # no licence, no creators
    assert "licence" in command("P1", out, "--from", study, "--ro-crate").output
    assert "publisher" in command("P1", out, "--from", study, "--datacite").output
    assert command("P/1", out, "--from", study, "--bids").exit_code == 2
    assert command("P1", out, "--from", study, "--server", "https://x").exit_code == 2
    assert command("P1", out, "--from", tmp_path / "none", "--bids").exit_code == 3
    (tmp_path / "empty").mkdir()
    assert command("P1", out, "--from", tmp_path / "empty", "--bids").exit_code == 3
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_what_is_there_is_not_replaced_unasked(small, tmp_path, command):
    out = tmp_path / "out"
    assert command("P1", out, "--from", small, "--bids").exit_code == 0
    before = sorted(p.name for p in out.rglob("*"))
    assert command("P1", out, "--from", small, "--bids").exit_code == 2
    assert command("P1", out, "--from", small, "--bids", "--overwrite").exit_code == 0
    assert sorted(p.name for p in out.rglob("*")) == before
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("x", encoding="utf-8")
    assert command("P1", foreign, "--from", small, "--bids", "--overwrite").exit_code == 2
    assert [p.name for p in foreign.iterdir()] == ["thesis.txt"]


def test_without_a_timepoint_the_date_names_the_session(small, tmp_path, command):
    out = tmp_path / "out"
    done = command("P1", out, "--from", small, "--bids", "--json")
    assert done.exit_code == 0, done.output
    assert (out / "sub-m01" / "ses-20240109").is_dir()
    assert json.loads(done.stdout)["results"] == 1
    assert not (out / "ro-crate-metadata.json").exists()


def test_a_damaged_image_ends_the_export(small, tmp_path, command):
    path = next((small / "scan").glob("*.dcm"))
    path.write_bytes(path.read_bytes()[:-100])
    done = command("P1", tmp_path / "out", "--from", small, "--bids")
    assert done.exit_code == 4
    assert "damaged" in done.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study"]


def test_a_missing_slice_keeps_the_dicom_and_leaves_out_nothing_silently(small, tmp_path, command):
    next((small / "scan").glob("*.dcm")).unlink()
    done = command("P1", tmp_path / "out", "--from", small, "--bids")
    assert done.exit_code == 0, done.output
    assert "Images are missing" in done.output
    kept = list((tmp_path / "out" / "sourcedata").rglob("*.dcm"))
    assert len(kept) == len(list((small / "scan").glob("*.dcm")))


def test_a_table_that_leads_out_of_its_folder(small, tmp_path, command):
    secret = tmp_path / "secret.nii.gz"
    secret.write_bytes(b"secret")
    table = small / "t2" / "maps.json"
    content = json.loads(table.read_text(encoding="utf-8"))
    last = list(content["maps"])[-1]
    assert last != "T2map"
    content["maps"][last]["nifti"] = "../../secret.nii.gz"
    table.write_text(json.dumps(content), encoding="utf-8")
    done = command("P1", tmp_path / "out", "--from", small, "--bids")
    assert done.exit_code == 8
    assert "outside of its folder" in done.output
    assert all(p.read_bytes() != b"secret" for p in (tmp_path / "out").rglob("*") if p.is_file())
    # All of a result or nothing: the map that was copied before is gone too.
    assert not list((tmp_path / "out" / "derivatives").rglob("*.nii.gz"))


@pytest.mark.parametrize("text", ["{", "[]", '{"maps": 3}', '{"maps": {"a": 1}}', "\x00"])
def test_a_table_that_is_none(small, tmp_path, command, text):
    (small / "t2" / "maps.json").write_text(text, encoding="utf-8")
    done = command("P1", tmp_path / "out", "--from", small, "--bids")
    assert done.exit_code == 8
    assert "left out: t2" in done.output
    assert not list((tmp_path / "out").rglob("*T2map.nii.gz"))


def test_a_map_whose_images_are_not_there(small, tmp_path, command):
    for path in (small / "scan").glob("*.dcm"):
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID = "1.2.3"
        ds.save_as(path)
    done = command("P1", tmp_path / "out", "--from", small, "--bids")
    assert done.exit_code == 8
    assert "images it was made from" in done.output


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "..\\a"])
def test_inside(tmp_path, name):
    with pytest.raises(CorruptDataError):
        inside(tmp_path, name)


@pytest.mark.parametrize(("files", "words"), [(3, "no DICOM image"), (4, "more than 3 files")])
def test_a_folder_of_too_many_files_is_refused(tmp_path, monkeypatch, files, words):
    monkeypatch.setattr(fair_study, "_MOST_FILES", 3)
    for number in range(files):
        (tmp_path / f"{number}.txt").write_text("x")
    with pytest.raises(NothingUsableError, match=words):
        fair_study.read_folder(tmp_path, "P1", load_config(environ={}).variables)


@pytest.mark.parametrize(("size", "refused"), [(1 << 20, False), ((1 << 20) + 1, True)])
def test_what_a_person_says_of_a_study_takes_at_most_a_mib(tmp_path, size, refused):
    path = tmp_path / "about.toml"
    path.write_bytes(b'title = "Mice"\n#'.ljust(size, b"x"))
    if refused:
        with pytest.raises(WrongCallError, match="larger than 1 MiB"):
            read_about(path)
    else:
        assert read_about(path).title == "Mice"


def test_a_label_has_at_most_forty_letters():
    assert label("a-" * 50) == "a" * 40


def test_labels_never_meet():
    labels = Labels()
    given = [labels.of(text, "unknown") for text in ("m-1", "m1", "M1", "m_1", "", "unknown", "µ")]
    assert given[:2] == ["m1", "m1x2"]
    assert len({one.casefold() for one in given}) == len(given)
    assert all(one == label(one) and one for one in given)
    assert labels.of("m-1", "unknown") == "m1"
