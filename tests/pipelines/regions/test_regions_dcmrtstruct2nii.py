"""The older way of filling, as its users know it, kept apart from our own."""

import sys

import numpy as np
import pytest
from region_files import Scan, aim_text, box, oblique, write_enhanced, write_rtstruct, write_series

from pipelines.regions.rasterize import rasterize
from pipelines.regions.rasterize_dcmrtstruct2nii import rasterize_with_dcmrtstruct2nii
from pipelines.regions.readers import read_regions
from pipelines.regions.volume import read_image
from xnat_pic.errors import WrongCallError

SQUARE = box(3.5, 3.5, 9.5, 9.5)


def _both(path, folder):
    image = read_image(folder)
    drawn = read_regions(path, image)
    theirs = rasterize_with_dcmrtstruct2nii(path, folder, drawn, image)
    return theirs, [rasterize(region, image) for region in drawn.regions]


def test_it_gives_the_published_mask_too(shared_data, capfd):
    folder = shared_data / "roi/ibsi/ibsi_validation/dicom/STS_001/PET"
    (theirs,), (ours,) = _both(folder / "mask/RS.dcm", folder / "image")
    assert theirs.voxels == 5095
    assert np.array_equal(theirs.mask, ours.mask)
    assert capfd.readouterr().out == "", "its banner would spoil --json"


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, -1, 0), oblique()])
def test_its_masks_come_back_in_our_order_of_slices(tmp_path, orientation):
    scan = Scan(shape=(4, 16, 20), spacing=(0.5, 0.8), orientation=orientation)
    folder = write_series(tmp_path / "image", scan, backwards=True)
    lines = {"A": [(scan.mm(SQUARE + k, k), None) for k in range(3)], "empty": []}
    path = write_rtstruct(tmp_path / "r.dcm", scan, lines)
    theirs, ours = _both(path, folder)
    assert np.array_equal(theirs[0].mask, ours[0].mask)
    assert theirs[0].warnings == ("Filled by dcmrtstruct2nii, which follows rules of its own.",)
    assert "made no mask" in theirs[1].unusable


def test_its_faults_are_kept_and_ours_differ(tmp_path):
    """A contour below the volume wraps to its far end there; that is what older results hold."""
    scan = Scan(shape=(5, 16, 16))
    folder = write_series(tmp_path / "image", scan)
    lines = {"A": [(scan.mm(SQUARE, k), None) for k in (-1, 0)]}
    (theirs,), (ours,) = _both(write_rtstruct(tmp_path / "r.dcm", scan, lines), folder)
    assert theirs.mask.any(axis=(1, 2)).tolist() == [True, False, False, False, True]
    assert ours.mask.any(axis=(1, 2)).tolist() == [True, False, False, False, False]


def test_what_it_cannot_read_is_said(tmp_path):
    scan = Scan(shape=(2, 16, 16))
    folder = write_series(tmp_path / "image", scan)
    aim = tmp_path / "a.xml"
    aim.write_text(aim_text({"A": [(scan.uids[0], 1, SQUARE)]}), encoding="utf-8")
    with pytest.raises(WrongCallError, match=r"reads RTSTRUCT only, and a\.xml is AIM"):
        _both(aim, folder)
    write_enhanced(tmp_path / "enhanced/one.dcm", scan)
    path = write_rtstruct(tmp_path / "r.dcm", scan, {"A": [(scan.mm(SQUARE, 0), None)]})
    with pytest.raises(WrongCallError, match="single-frame"):
        _both(path, tmp_path / "enhanced")


def test_where_it_is_not_installed_a_sentence_says_what_to_choose(tmp_path, monkeypatch):
    for name in [one for one in sys.modules if one.partition(".")[0] == "dcmrtstruct2nii"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dcmrtstruct2nii", None)
    scan = Scan(shape=(2, 16, 16))
    folder = write_series(tmp_path / "image", scan)
    path = write_rtstruct(tmp_path / "r.dcm", scan, {"A": [(scan.mm(SQUARE, 0), None)]})
    with pytest.raises(WrongCallError, match="cannot be loaded") as caught:
        _both(path, folder)
    assert caught.value.hint.startswith("Choose ours, or install it")
