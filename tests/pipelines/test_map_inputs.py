"""Images by their meaning: whoever wrote them and in whatever order, the same T is found."""

import json
import shutil

import mr_series as series
import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.fitting.methods import MAP_METHODS
from pipelines.inputs.load import load_images

SLICES, ROWS, COLUMNS = 3, 12, 9
TE = np.arange(1, 9) * 12.0
TI = np.array([60.0, 150.0, 320.0, 640.0, 1100.0, 1800.0, 3000.0])
TR = 9000.0


def truth(low, high):
    """A value per voxel that no flip or swap of axes leaves as it is."""
    k, r, c = np.indices((SLICES, ROWS, COLUMNS))
    return low + (high - low) * (k * 100 + r * 9 + c) / (SLICES * 100)


def decay():
    return 20000 * np.exp(-TE[:, None, None, None] / truth(30, 80))


def recovery(times, t1, inversion=1.9):
    late = np.exp(-TR / t1)
    return 10000 * (1 - inversion * np.exp(-times / t1) + (inversion - 1) * late)


def run(command, source, out, *words):
    wanted = [command, str(source), str(out), "--sigma", "0", "--json", "--format", "nifti", *words]
    return CliRunner().invoke(main, ["map", *wanted])


def values(done, name):
    assert done.exit_code == 0, done.output
    image = nib.load(json.loads(done.stdout)["maps"][name]["nifti"])
    np.testing.assert_allclose(image.affine, series.affine(), atol=1e-4)
    return np.asarray(image.dataobj).transpose(2, 1, 0)


def mask(path):
    cells = np.ones((COLUMNS, ROWS, SLICES), np.uint8)
    nib.save(nib.Nifti1Image(cells, series.affine()), path)
    return str(path)


def echo(n):
    return {"EchoTime": str(TE[n]), "RepetitionTime": "3000"}


@pytest.fixture
def everywhere(tmp_path):
    return "--mask", mask(tmp_path / "mask.nii.gz")


def check_t2(done):
    np.testing.assert_allclose(values(done, "T2map"), truth(30, 80), rtol=2e-3)


def test_classic_in_any_order_with_a_slope_for_each_image(tmp_path, everywhere):
    slopes = 0.4 + 0.1 * np.arange(8)
    folder = series.write_classic(
        tmp_path / "in", decay(), list(map(echo, range(8))), slopes=slopes
    )
    check_t2(run("t2", folder, tmp_path / "out", *everywhere, "--skip-echoes", "0"))


def test_enhanced_frames_in_any_order_with_a_slope_for_each(tmp_path, everywhere):
    order = np.random.default_rng(3).permutation(8 * SLICES)
    path = series.write_enhanced(
        tmp_path / "e.dcm",
        decay(),
        lambda n: {"MREchoSequence": {"EffectiveEchoTime": float(TE[n])}},
        order=order,
        slopes=0.4 + 0.1 * np.arange(8),
    )
    check_t2(run("t2", path, tmp_path / "out", *everywhere, "--skip-echoes", "0"))


def test_many_slices_of_a_volume(tmp_path):
    data = np.repeat(decay(), 9, axis=1)[:, ::-1]
    folder = series.write_classic(tmp_path / "in", data, list(map(echo, range(8))))
    images = load_images(folder, MAP_METHODS["t2"].requirement)
    assert images.grid == (27, ROWS, COLUMNS)
    np.testing.assert_allclose(images.affine, series.affine(), atol=1e-5)
    np.testing.assert_allclose(images.data, data, atol=0.26)


def test_second_scale_of_one_maker(tmp_path, everywhere):
    """Its stored values are (signal * scale slope) whatever the slope for the screen."""
    folder = tmp_path / "in"
    scales = np.array([0.5, 1.0, 2.0, 0.8, 1.5, 0.7, 1.1, 0.9])
    slopes = 0.5 + 0.05 * np.arange(8)
    data = decay() * (scales * slopes)[:, None, None, None]
    series.write_classic(folder, data, list(map(echo, range(8))), slopes=slopes)

    def change(ds):
        block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        index = int(np.argmin(np.abs(TE - float(ds.EchoTime))))
        block.add_new(0x0E, "FL", float(scales[index]))

    series.edit(folder, change)
    check_t2(run("t2", folder, tmp_path / "out", *everywhere, "--skip-echoes", "0"))


def t1_of(done):
    np.testing.assert_allclose(values(done, "T1map"), truth(500, 1500), rtol=2e-3)


def test_one_series_for_each_inversion_time(tmp_path, everywhere):
    folder = tmp_path / "in"
    for n, ti in enumerate(TI[::-1]):
        plane = np.abs(recovery(ti, truth(500, 1500)))[None]
        row = {"InversionTime": str(ti), "RepetitionTime": str(TR)}
        series.write_classic(
            folder / f"s{n}", plane, [row], series=f"ti{n}", slopes=[0.3 + 0.1 * n]
        )
    t1_of(run("t1ir", folder, tmp_path / "out", *everywhere))


@pytest.mark.parametrize(("count", "fitted"), [(5, False), (6, True)])
def test_the_inversion_is_fitted_from_six_times_on(tmp_path, everywhere, count, fitted):
    """Fewer leave too little for a third parameter: the inversion is then taken for whole."""
    data = np.abs(recovery(TI[:count, None, None, None], truth(500, 1500)))
    path = nifti(tmp_path / "x.nii.gz", data, {"InversionTime": (TI[:count] / 1000).tolist()})
    done = run("t1ir", path, tmp_path / "out", *everywhere)
    assert ("kmap" in json.loads(done.stdout)["maps"]) is fitted


@pytest.mark.parametrize(("count", "cut"), [(2, False), (3, True)])
def test_an_image_is_cut_off_above_two_thousandths_of_its_pixels(tmp_path, count, cut):
    data = np.repeat(np.repeat(decay()[..., :1], 10, axis=-1), 9, axis=2)[:, :, :100]
    assert data[0, 0].size == 1000
    data[0, 0, :count, 0] = 65535 * 0.5  # of 16 bits, at the slope that is written
    folder = series.write_classic(tmp_path / "in", data, list(map(echo, range(8))))
    images = load_images(folder, MAP_METHODS["t2"].requirement)
    assert np.count_nonzero(np.isnan(images.data)) == (count if cut else 0)


def slice_times(k):
    return TI + 35.0 * k  # slices are read one after the other


def test_inversion_times_of_each_slice(tmp_path, everywhere):
    data = np.abs(
        np.stack(
            [
                [recovery(slice_times(k)[n], truth(500, 1500)[k]) for k in range(SLICES)]
                for n in range(len(TI))
            ]
        )
    )
    rows = [
        [
            {"InversionTime": f"{slice_times(k)[n]:g}", "RepetitionTime": "9000"}
            for k in range(SLICES)
        ]
        for n in range(len(TI))
    ]
    folder = series.write_classic(tmp_path / "in", data, rows)
    t1_of(run("t1ir", folder, tmp_path / "out", *everywhere))


def test_inversion_times_of_each_slice_in_a_sidecar(tmp_path, everywhere):
    data = np.abs(
        np.stack(
            [
                [recovery(slice_times(k)[n], truth(500, 1500)[k]) for k in range(SLICES)]
                for n in range(len(TI))
            ]
        )
    )
    lists = [(slice_times(k) / 1000).tolist() for k in range(SLICES)]
    path = nifti(tmp_path / "ir.nii.gz", data, {"InversionTime": lists})
    t1_of(run("t1ir", path, tmp_path / "out", *everywhere))


@pytest.mark.parametrize("mixed", [False, True])
def test_real_images_keep_their_sign(tmp_path, everywhere, mixed):
    """Beside magnitude and phase the real images are taken, because they have a sign."""
    data = recovery(TI[:, None, None, None], truth(500, 1500))
    rows = [{"InversionTime": str(ti), "RepetitionTime": str(TR)} for ti in TI]
    folder = tmp_path / "in"
    series.write_classic(folder, data, rows, component="REAL")
    if mixed:
        wrong = np.full_like(data, 100.0)
        series.write_classic(folder, wrong, rows, component="M", series="m", first=500)
        series.write_classic(folder, wrong, rows, component="P", series="p", first=800)
    t1_of(run("t1ir", folder, tmp_path / "out", *everywhere))


def test_phase_images_are_left_out(tmp_path, everywhere):
    folder = tmp_path / "in"
    series.write_classic(folder, decay(), list(map(echo, range(8))))
    phase = np.random.default_rng(0).uniform(0, 4000, decay().shape)
    series.write_classic(folder, phase, list(map(echo, range(8))), component="P", first=500)
    check_t2(run("t2", folder, tmp_path / "out", *everywhere, "--skip-echoes", "0"))


def test_phase_alone_is_refused(tmp_path):
    phase = np.random.default_rng(0).uniform(0, 4000, decay().shape)
    folder = series.write_classic(tmp_path / "in", phase, list(map(echo, range(8))), component="P")
    done = run("t2", folder, tmp_path / "out")
    assert done.exit_code == 3
    assert "only phase images" in done.stderr


ENHANCED = {
    "inversion times of a list": (
        "t1ir",
        "T1map",
        lambda n: {
            "MRModifierSequence": {"InversionTimes": [float(TI[n])]},
            "MRTimingAndRelatedParametersSequence": {"RepetitionTime": TR},
        },
        lambda: np.abs(recovery(TI[:, None, None, None], truth(500, 1500))),
        (500, 1500),
    ),
    "flip angles": (
        "t1vfa",
        "T1map",
        lambda n: {
            "MRTimingAndRelatedParametersSequence": {
                "RepetitionTime": 15.0,
                "FlipAngle": float((3, 8, 14, 20)[n]),
            }
        },
        lambda: spoiled((3, 8, 14, 20), truth(500, 1500)),
        (500, 1500),
    ),
    "b-values": (
        "dwi",
        "ADC",
        lambda n: {"MRDiffusionSequence": {"DiffusionBValue": float((0, 200, 500, 800)[n])}},
        lambda: (
            20000
            * np.exp(-1e-3 * np.array([0, 200, 500, 800])[:, None, None, None] * truth(0.5, 1.5))
        ),
        (0.5, 1.5),
    ),
}


def spoiled(angles, t1):
    a = np.radians(np.array(angles, float))[:, None, None, None]
    e = np.exp(-15.0 / t1)
    return 200000 * np.sin(a) * (1 - e) / (1 - np.cos(a) * e)


@pytest.mark.parametrize("kind", ENHANCED)
def test_functional_groups_of_clinical_scanners(tmp_path, everywhere, kind):
    command, name, groups, data, ends = ENHANCED[kind]
    made = data()
    order = np.random.default_rng(1).permutation(len(made) * SLICES)
    path = series.write_enhanced(tmp_path / "e.dcm", made, groups, order=order)
    done = run(command, path, tmp_path / "out", *everywhere)
    np.testing.assert_allclose(values(done, name), truth(*ends), rtol=5e-3)


def nifti(path, data, sidecar):
    axes = np.moveaxis(data, 0, -1).transpose(2, 1, 0, 3) if data.ndim == 4 else data.transpose()
    nib.save(nib.Nifti1Image(axes.astype(np.float32), series.affine()), path)
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    path.with_name(f"{name}.json").write_text(json.dumps(sidecar), encoding="utf-8")
    return path


def test_nifti_with_a_list(tmp_path, everywhere):
    order = np.random.default_rng(5).permutation(8)
    times = (TE[order] / 1000).tolist()
    path = nifti(tmp_path / "x.nii.gz", decay()[order], {"EchoTime": times})
    check_t2(run("t2", path, tmp_path / "out", *everywhere, "--skip-echoes", "0"))


def test_nifti_one_file_for_each_echo(tmp_path, everywhere):
    folder = tmp_path / "bids"
    folder.mkdir()
    for n, te in enumerate(TE):
        side = {"EchoTime": te / 1000}
        name = f"sub-01_echo-{n + 1}_part-mag_MESE.nii.gz"
        nifti(folder / name, decay()[n], side)
        nifti(folder / name.replace("mag", "phase"), decay()[n] * 0 + 3, side)
    check_t2(run("t2", folder, tmp_path / "out", *everywhere, "--skip-echoes", "0"))


def test_nifti_files_of_two_grids_are_refused(tmp_path):
    folder = tmp_path / "bids"
    folder.mkdir()
    for n, te in enumerate(TE):
        data = decay()[n] if n else decay()[n][:, :, :-1]
        nifti(folder / f"e{n}.nii.gz", data, {"EchoTime": te / 1000})
    done = run("t2", folder, tmp_path / "out")
    assert done.exit_code == 2
    assert "not on the same grid" in done.stderr


def test_nifti_with_a_list_too_short(tmp_path):
    path = nifti(tmp_path / "x.nii.gz", decay(), {"EchoTime": (TE[:-1] / 1000).tolist()})
    done = run("t2", path, tmp_path / "out")
    assert done.exit_code == 2
    assert "lists 7 values for 8 volumes" in done.stderr


def test_nifti_without_values(tmp_path):
    path = nifti(tmp_path / "x.nii.gz", decay(), {"Manufacturer": "x"})
    done = run("t2", path, tmp_path / "out")
    assert done.exit_code == 3
    assert "EchoTime with 8 values" in done.stderr


def test_inversion_times_in_the_wrong_order_are_refused(tmp_path, everywhere):
    shuffled = TI[[3, 0, 5, 1, 6, 2, 4]]
    data = np.abs(recovery(TI[:, None, None, None], truth(900, 1100)))
    path = nifti(tmp_path / "x.nii.gz", data, {"InversionTime": (shuffled / 1000).tolist()})
    done = run("t1ir", path, tmp_path / "out", *everywhere)
    assert done.exit_code == 3
    assert "another order" in done.stderr


def test_an_image_without_its_time_is_refused(tmp_path):
    rows = [echo(n) if n != 4 else {"RepetitionTime": "3000"} for n in range(8)]
    folder = series.write_classic(tmp_path / "in", decay(), rows)
    done = run("t2", folder, tmp_path / "out")
    assert done.exit_code == 3
    assert "3 images do not say their echo times" in done.stderr


def test_a_missing_inversion_series_of_one_slice_is_refused(tmp_path):
    folder = tmp_path / "in"
    for n, ti in enumerate(TI):
        plane = np.abs(recovery(ti, truth(500, 1500)))[None]
        row = {"InversionTime": str(ti), "RepetitionTime": str(TR)}
        series.write_classic(folder / f"s{n}", plane, [row], series=f"ti{n}")
    shutil.rmtree(folder / "s6")
    next((folder / "s5").iterdir()).unlink()
    done = run("t1ir", folder, tmp_path / "out")
    assert done.exit_code == 3
    assert "get the complete series" in done.stderr


@pytest.mark.parametrize(("kind", "recovers"), [("SE", True), ("GR", False)])
def test_long_echo_time_of_spin_echoes_counts(tmp_path, everywhere, kind, recovers):
    """TR - TE / 2 where a refocusing pulse starts the recovery anew, TR where none does."""
    times = np.array([120.0, 300.0, 700.0, 1500.0, 3000.0, 6000.0])
    late = times - (40.0 if recovers else 0.0)
    data = 20000 * -np.expm1(-late[:, None, None, None] / truth(500, 1500))
    rows = [{"RepetitionTime": f"{t:g}", "EchoTime": "80", "ScanningSequence": kind} for t in times]
    folder = series.write_classic(tmp_path / "in", data, rows)
    t1_of(run("t1sr", folder, tmp_path / "out", *everywhere))
