"""What the files of a server are called in a folder of the work."""

import pytest

from pipelines.xnat.files import local_names
from xnat_config.server.files import RemoteFile


def _files(*names):
    return [RemoteFile(one, f"/data/x/{one}", 1, "", "DICOM") for one in names]


def test_harmless_names_are_kept():
    names = ["2.25.7.dcm", "MR0001.DCM", "sub/folder/a_b-c.dcm", "map.nii.gz"]
    assert local_names(_files(*names)) == ["2.25.7.dcm", "MR0001.DCM", "a_b-c.dcm", "map.nii.gz"]


@pytest.mark.parametrize(
    "name",
    [
        "..", "../x.dcm/..", ".hidden.dcm", "a b.dcm", "é.dcm", "x.exe", "no_ending", "-x.dcm",
        "a\n.dcm", "a" * 121 + ".dcm", "file-000001.dcm", "a;b.dcm", "c:d.dcm", "",
    ],
)  # fmt: skip
def test_other_names_are_numbered(name):
    assert local_names(_files("one.dcm", name))[1].startswith("file-000001.")


def test_the_same_name_twice_is_numbered_both_times():
    assert local_names(_files("a/1.dcm", "b/1.dcm", "C/1.DCM", "2.dcm")) == [
        "file-000000.dcm", "file-000001.dcm", "file-000002.dcm", "2.dcm",
    ]  # fmt: skip
    assert len({one.casefold() for one in local_names(_files("A.dcm", "a.dcm"))}) == 2
