"""Files and folders: complete or not at all."""

import errno
import hashlib
import os
import stat
import tempfile

import pytest

from xnat_pic.errors import OutputError, WrongCallError
from xnat_pic.files import (
    bytes_digest,
    check_writable,
    file_digest,
    replacing_folder,
    write_file,
)


def test_write_file_replaces_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "below" / "a.txt"
    write_file(path, "one\n")
    assert write_file(path, [b"t", b"wo\n"]) == path
    assert path.read_bytes() == b"two\n"
    assert [one.name for one in path.parent.iterdir()] == ["a.txt"]


def test_a_fault_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_file(path, "old")

    def blocks():
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, blocks())
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_private_file_is_its_owners_alone(tmp_path):
    path = write_file(tmp_path / "key", b"secret", private=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    other = write_file(tmp_path / "plain", b"x")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(other.stat().st_mode) == 0o666 & ~mask


def test_replacing_folder_swaps_only_when_all_went_well(tmp_path):
    out = tmp_path / "out"
    with replacing_folder(out, False, "maps.json") as folder:
        (folder / "maps.json").write_text("1")
        assert not out.exists()
    with pytest.raises(IsADirectoryError), replacing_folder(out, True, "maps.json") as folder:
        folder.read_bytes()
    assert (out / "maps.json").read_text() == "1"
    with replacing_folder(out, True, "maps.json") as folder:
        (folder / "maps.json").write_text("3")
    assert (out / "maps.json").read_text() == "3"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("name", "overwrite", "said"),
    [("maps.json", False, "--overwrite"), ("other", True, "another folder")],
)
def test_replacing_folder_refuses_what_it_may_not_replace(tmp_path, name, overwrite, said):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("x")
    with (
        pytest.raises(WrongCallError) as caught,
        replacing_folder(tmp_path / "out", overwrite, "maps.json"),
    ):
        pass
    assert said in caught.value.hint
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_digests_are_hashlibs(tmp_path, algorithm):
    content = b"x" * 300_000
    (tmp_path / "a").write_bytes(content)
    expected = hashlib.new(algorithm, content).hexdigest()
    assert file_digest(tmp_path / "a", algorithm) == expected
    assert bytes_digest(content, algorithm) == expected


def test_a_folder_that_cannot_be_written_is_told_with_what_to_do(tmp_path):
    check_writable(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()
    assert not any((tmp_path / "new" / "folder").iterdir())
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(OutputError, match="Nothing can be written") as caught:
        check_writable(tmp_path / "file" / "folder")
    assert caught.value.hint == "Name another folder."


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        check_writable(tmp_path)
    assert "Free space" in caught.value.hint
