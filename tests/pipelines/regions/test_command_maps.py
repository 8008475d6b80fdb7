"""Maps in every form that a fit writes: the same regions get the same numbers."""

import json
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from pipelines.cli import main


def run(*words):
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture(scope="module")
def fit(mouse, tmp_path_factory):
    """A T2 fit of the digital mouse, and a mask of its tissues on the images' grid."""
    folder = tmp_path_factory.mktemp("fit")
    done = run("map", "t2", mouse.series("t2"), folder / "PROCESSED_T2", "--sigma", "0")
    assert done.exit_code == 0, done.output
    file = next((folder / "PROCESSED_T2").glob("*m01_T2map.nii.gz"))
    image = nib.load(file)
    truth = mouse.true_map("3_t2map_T2_ms", image.affine, image.shape)
    times, counts = np.unique(truth[truth > 0].round(2), return_counts=True)
    two = times[np.argsort(counts)[-2:]]
    labels = np.zeros(image.shape, np.uint8)
    for number, time in enumerate(two, 1):
        labels[np.abs(truth - time) < 0.01] = number
    nib.save(nib.Nifti1Image(labels, image.affine), folder / "labels.nii.gz")
    return folder, mouse.series("t2"), labels, truth


def measure(fit, out, *maps, words=(), roi="labels.nii.gz", code=0):
    folder, images, _, _ = fit
    options = [word for one in maps for word in ("--map", one)]
    roi = roi if isinstance(roi, type(folder)) else folder / roi
    done = run("mask-average", "--image", images, "--roi", roi, *options, out, "--json", *words)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if done.stdout else done.stderr


def test_maps_are_found_through_their_table_of_contents(fit, tmp_path):
    folder, _, labels, truth = fit
    contents = json.loads((folder / "PROCESSED_T2" / "maps.json").read_text(encoding="utf-8"))
    said = measure(fit, tmp_path / "out", folder / "PROCESSED_T2")
    scalar = {name for name, row in contents["maps"].items() if row["median"] is not None}
    assert {row["map"] for row in said["rois"][0]["maps"]} == scalar
    assert len(scalar) > 1
    for one in said["rois"]:
        row = next(row for row in one["maps"] if row["map"] == "T2map")
        assert row["unit"] == "ms"
        assert row["reciprocal"]["map"] == "R2map"
        assert one["image_voxels"] == np.count_nonzero(labels == one["number"])
        assert row["whole"]["voxels"] == one["image_voxels"]
        true = truth[labels == one["number"]].mean()
        assert row["whole"]["median"] == pytest.approx(true, rel=0.02)
        assert row["reciprocal"]["whole"]["median"] == pytest.approx(1000 / true, rel=0.02)
    sr = pydicom.dcmread(tmp_path / "out" / "dicom" / "SR.dcm")
    assert "126394" in str(sr)  # R2
    assert "113065" in str(sr)  # T2


def test_every_form_of_a_map_gives_the_same_numbers(fit, tmp_path):
    folder = fit[0] / "PROCESSED_T2"
    forms = {
        "nifti": next(folder.glob("*m01_T2map.nii.gz")),
        "dicom": folder / "dicom" / "T2map.dcm",
        "series": folder / "dicom" / "T2map_int16",
    }
    found = {}
    for name, file in forms.items():
        said = measure(fit, tmp_path / name, file, words=("--format", "none"))
        (row,) = said["rois"][0]["maps"]
        assert (row["map"], row["unit"]) == ("T2map", "ms")
        found[name] = row["whole"]
    assert found["dicom"] == found["nifti"]
    step = pydicom.dcmread(next(forms["series"].iterdir())).RescaleSlope
    for key in ("mean", "median", "sd", "min", "max"):
        assert found["series"][key] == pytest.approx(found["nifti"][key], abs=0.51 * float(step))
    for key in ("voxels", "valid", "nan", "flagged"):
        assert found["series"][key] == found["nifti"][key]


def test_a_map_alone_says_its_name_and_unit_itself(fit, tmp_path):
    """Away from maps.json: the sidecar, the codes and the description of the series."""
    folder = fit[0] / "PROCESSED_T2"
    files = [next(folder.glob("*m01_T2map.nii.gz")), next(folder.glob("*m01_T2map.json"))]
    for file in files:
        shutil.copy(file, tmp_path)
    shutil.copy(folder / "dicom" / "T2map.dcm", tmp_path)
    shutil.copytree(folder / "dicom" / "T2map_int16", tmp_path / "int16")
    for number, place in enumerate((files[0].name, "T2map.dcm", "int16")):
        out = tmp_path / f"out{number}"
        said = measure(fit, out, tmp_path / place, words=("--format", "none"))
        (row,) = said["rois"][0]["maps"]
        assert (row["map"], row["unit"], row["whole"]["flagged"]) == ("T2map", "ms", 0)


def test_flagged_voxels_are_counted_and_left_out(fit, tmp_path):
    """Flags beside a lone map, turned and flipped against it, hit the voxels they were set in."""
    folder, _, labels, _ = fit
    source = next((folder / "PROCESSED_T2").glob("*m01_T2map.nii.gz"))
    shutil.copy(source, tmp_path / "sub-x_T2map.nii.gz")
    image = nib.load(source)
    values = np.asarray(image.dataobj)
    inside = np.argwhere((labels == 1) & np.isfinite(values))
    chosen = inside[:: max(len(inside) // 7, 1)]
    flags = np.zeros(image.shape, np.uint8)
    flags[tuple(chosen.T)] = 16
    flags[tuple(np.argwhere(labels == 2)[0])] = 32
    turned = nib.as_closest_canonical(nib.Nifti1Image(flags, image.affine))
    flipped = turned.as_reoriented(np.array([[0, -1], [1, 1], [2, -1]]))
    nib.save(flipped, tmp_path / "sub-x_desc-flags_mask.nii.gz")
    words = ("--format", "none", "--unit", "ms")
    said = measure(fit, tmp_path / "out", tmp_path / "sub-x_T2map.nii.gz", words=words)
    one, two = (roi["maps"][0]["whole"] for roi in said["rois"])
    assert (one["flagged"], two["flagged"]) == (len(chosen), 1)
    kept = values[(labels == 1) & np.isfinite(values) & (flags == 0)].astype(np.float64)
    assert one["valid"] == kept.size
    assert one["mean"] == pytest.approx(kept.mean(), rel=1e-9)
    assert one["valid"] + one["nan"] + one["flagged"] == one["voxels"]
    said = measure(
        fit, tmp_path / "all", tmp_path / "sub-x_T2map.nii.gz", words=(*words, "--keep-flagged")
    )
    assert said["rois"][0]["maps"][0]["whole"]["flagged"] == 0


def test_several_maps_at_once(fit, tmp_path):
    folder = fit[0] / "PROCESSED_T2"
    shutil.copytree(folder, tmp_path / "again")
    said = measure(fit, tmp_path / "out", folder, tmp_path / "again" / "dicom" / "T2map.dcm")
    names = [row["map"] for row in said["rois"][0]["maps"]]
    assert names.count("T2map") == 2
    labels = sorted(p.name for p in (tmp_path / "out").glob("labels_T2map*.nii.gz"))
    assert len(labels) == 2  # neither overwrites the other
    assert "T2map" in (tmp_path / "out" / "statistics.txt").read_text(encoding="utf-8")


def test_another_frame_of_reference_needs_to_be_allowed(fit, tmp_path):
    folder = fit[0] / "PROCESSED_T2"
    moved = pydicom.dcmread(folder / "dicom" / "T2map.dcm")
    moved.FrameOfReferenceUID = "1.2.3.4"
    moved.save_as(tmp_path / "moved.dcm")
    told = measure(fit, tmp_path / "out", tmp_path / "moved.dcm", code=2)
    assert "--assume-aligned" in told
    assert not (tmp_path / "out").exists()
    words = ("--assume-aligned", "--format", "none")
    said = measure(fit, tmp_path / "out", tmp_path / "moved.dcm", words=words)
    assert said["settings"]["assume_aligned"]
    assert "1.2.3.4" in " ".join(said["rois"][0]["maps"][0]["warnings"])
    assert "1.2.3.4" in (tmp_path / "out" / "statistics.txt").read_text(encoding="utf-8")


def test_results_of_several_fits_are_not_mixed(fit, tmp_path):
    folder = fit[0] / "PROCESSED_T2"
    for name in ("a", "b"):
        (tmp_path / "all" / name).mkdir(parents=True)
        shutil.copy(folder / "maps.json", tmp_path / "all" / name)
    told = measure(fit, tmp_path / "out", tmp_path / "all", code=2)
    assert "2 fits: a, b" in told


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("no json", 4),
        ('{"maps": []}', 4),
        ('{"maps": {"T2map": {"nifti": "../../labels.nii.gz", "median": 1, "unit": "ms"}}}', 3),
        ('{"maps": {"T2map": {"nifti": "gone.nii.gz", "median": 1}}}', 3),
    ],
)
def test_a_table_of_contents_is_not_believed(fit, tmp_path, content, code):
    place = tmp_path / "maps"
    place.mkdir()
    (place / "maps.json").write_text(content, encoding="utf-8")
    measure(fit, tmp_path / "out", place, code=code)
    assert not (tmp_path / "out").exists()


def test_planes_that_are_no_volume_are_refused(fit, tmp_path):
    series = fit[0] / "PROCESSED_T2" / "dicom" / "T2map_int16"
    shutil.copytree(series, tmp_path / "gap")
    files = sorted((tmp_path / "gap").iterdir())
    ds = pydicom.dcmread(files[1])
    ds.ImagePositionPatient = [v + 0.3 for v in ds.ImagePositionPatient]
    ds.save_as(files[1])
    assert "not evenly spaced" in measure(fit, tmp_path / "out", tmp_path / "gap", code=4)


@pytest.mark.parametrize(("part", "code"), [(0.019, 0), (0.021, 4)])
def test_a_plane_lies_within_a_fiftieth_of_a_step_of_its_place(fit, tmp_path, part, code):
    series = fit[0] / "PROCESSED_T2" / "dicom" / "T2map_int16"
    shutil.copytree(series, tmp_path / "moved")
    files = sorted((tmp_path / "moved").iterdir())
    places = [np.array(pydicom.dcmread(file).ImagePositionPatient, float) for file in files[:2]]
    ds = pydicom.dcmread(files[1])
    moved = places[1] + part * (places[1] - places[0])
    ds.ImagePositionPatient = [f"{v:.8f}" for v in moved]
    ds.save_as(files[1])
    said = measure(fit, tmp_path / "out", tmp_path / "moved", code=code)
    assert ("not evenly spaced" in str(said)) == bool(code)


@pytest.mark.parametrize(("slanted", "code"), [(0.9e-3, 0), (1.1e-3, 4)])
def test_planes_are_parallel_within_a_thousandth(fit, tmp_path, slanted, code):
    series = fit[0] / "PROCESSED_T2" / "dicom" / "T2map_int16"
    shutil.copytree(series, tmp_path / "turned")
    file = sorted((tmp_path / "turned").iterdir())[1]
    ds = pydicom.dcmread(file)
    axes = np.array(ds.ImageOrientationPatient, float)
    turned = [*axes[:3] * np.cos(slanted) + axes[3:] * np.sin(slanted), *axes[3:]]
    ds.ImageOrientationPatient = [f"{v:.8f}" for v in turned]
    ds.save_as(file)
    said = measure(fit, tmp_path / "out", tmp_path / "turned", code=code)
    assert ("not parallel" in str(said)) == bool(code)


@pytest.mark.parametrize(("wider", "code"), [(0.9e-3, 0), (1.1e-3, 4)])
def test_planes_are_of_one_size_within_a_thousandth(fit, tmp_path, wider, code):
    series = fit[0] / "PROCESSED_T2" / "dicom" / "T2map_int16"
    shutil.copytree(series, tmp_path / "wider")
    file = sorted((tmp_path / "wider").iterdir())[1]
    ds = pydicom.dcmread(file)
    ds.PixelSpacing = [ds.PixelSpacing[0], f"{float(ds.PixelSpacing[1]) * (1 + wider):.8f}"]
    ds.save_as(file)
    said = measure(fit, tmp_path / "out", tmp_path / "wider", code=code)
    assert ("not of one size" in str(said)) == bool(code)


def test_the_standard_error_is_not_taken_for_the_map(fit, tmp_path):
    file = next((fit[0] / "PROCESSED_T2").glob("*desc-se_T2map.nii.gz"))
    said = measure(fit, tmp_path / "out", file, words=("--format", "none"))
    assert said["rois"][0]["maps"][0]["map"] == "desc-se_T2map"
