"""Each version's files: what they hold, how many values, how they agree with each other."""

import re

import numpy as np
import pytest

PARAMETER_FILES = {"subject", "acqp", "method", "visu_pars", "reco", "id"}


def files_of(sample):
    return [p for p in sample.study.path.rglob("*") if p.name in PARAMETER_FILES]


def test_every_sized_value_has_the_declared_number_of_items(versioned, parse):
    checked = 0
    for path in files_of(versioned):
        for name, parameter in parse(path).items():
            if parameter.dims is None:
                continue
            count = int(np.prod(parameter.dims))
            items = parameter.items
            if items and items[0].startswith("<"):  # the last dimension is the string length
                assert all(len(i) - 2 < parameter.dims[-1] for i in items), (path, name)
                count //= parameter.dims[-1]
            assert len(items) == count, (path.name, name)
            checked += 1
    assert checked > 500


def test_lines_are_short_and_files_end_properly(versioned):
    version = versioned.truth["paravision"]
    for path in files_of(versioned):
        lines = path.read_text(encoding="utf-8").split("\n")
        assert max(len(line) for line in lines if not line.startswith("$$")) <= 80, path
        assert lines[-1] == ""
        assert lines[-2 if version == "5.1" else -3] == "##END="
        assert b"\r" not in path.read_bytes()


@pytest.mark.parametrize("expno", [1, 2, 3, 4, 5, 6, 7])
def test_file_size_frames_and_groups_agree(versioned, expno):
    reco = versioned.reco(expno)
    frames = len(reco.real)
    groups = [item[1:-1].split(", ") for item in reco.visu["VisuFGOrderDesc"].items]
    assert np.prod([int(group[0]) for group in groups]) == frames
    assert frames == versioned.scan(expno)["frames"]
    dependents = reco.visu["VisuGroupDepVals"].items
    for group in groups:
        first, count = int(group[3]), int(group[4])
        for entry in dependents[first : first + count]:
            name = re.match(r"\(<(\w+)>, 0\)", entry)[1]
            parameter = reco.visu[name]
            assert parameter.dims[0] == int(group[0]), (expno, name)


def test_group_order_is_the_scanners(versioned):
    def names(expno, procno=1):
        text = versioned.reco(expno, procno).visu["VisuFGOrderDesc"].text
        return re.findall(r"<(FG_\w+)>", text)

    diffusion = "FG_MOVIE" if versioned.truth["paravision"] == "5.1" else "FG_DIFFUSION"
    assert names(1) == ["FG_SLICE"]
    assert names(3) == ["FG_ECHO", "FG_SLICE"]
    assert names(3, 2) == ["FG_ISA", "FG_SLICE"]
    assert names(4) == ["FG_SLICE", "FG_MOVIE"]
    assert names(5) == names(6) == ["FG_SLICE", diffusion]
    assert names(7) == ["FG_SLICE", "FG_CYCLE"]


def test_facts_that_tell_the_versions_apart(versioned):
    version = versioned.truth["paravision"]
    old, new = version == "5.1", version == "360.3.6"
    visu = versioned.reco(3).visu
    text = (versioned.study.path / "3/pdata/1/visu_pars").read_text(encoding="utf-8")
    assert visu["VisuVersion"].text == {"5.1": "1", "360.3.6": "8"}.get(version, "3")
    assert ("@" in visu["VisuCoreDataSlope"].text) == new
    assert (visu["VisuCoreFrameType"].dims is None) == old
    assert ("VisuCoreSlicePacksDef" in visu) == (not old)
    assert ("VisuAcqImagePhaseEncDir" in visu) == old
    assert ("VisuAcqGradEncoding" in visu) == (not old)
    assert ("VisuSubjectType" in visu) == (not old)
    assert ("VisuMagneticFieldStrength" in visu) == new
    assert ("VisuSeriesFrameOfReferenceUid" in visu) == new
    assert ("VisuSeriesUid" in visu) == new
    assert visu.get("VisuExperimentNumber") is None if old else True
    if old:
        assert visu["VisuSeriesNumber"].text == str(3 * 65536 + 1)
        assert visu["VisuAcqSequenceName"].strings == ["MSME (pvm)"]
        assert re.fullmatch(r"<\d\d:\d\d:\d\d [ \d]\d \w{3} \d{4}>", visu["VisuStudyDate"].text)
    else:
        assert visu["VisuAcqSequenceName"].strings == ["Bruker:MSME"]
        stamp = r"<\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}\+0100>"
        assert re.fullmatch(stamp, visu["VisuStudyDate"].text)
    assert ("ParaVision" in text.split("\n")[0]) == (not old)


def test_subject_file(versioned):
    subject = versioned.parameters("subject")
    new = versioned.truth["paravision"] == "360.3.6"
    assert subject["SUBJECT_id"].strings == [versioned.study.subject]
    assert ("SUBJECT_gender" in subject) == new
    assert ("SUBJECT_sex" in subject) == (not new)
    assert ("SUBJECT_study_instrument_position" in subject) == new
    assert ("SUBJECT_entry" in subject) == (not new)
    assert subject["SUBJECT_study_instance_uid"].strings == [versioned.truth["study_uid"]]


@pytest.mark.parametrize("expno", [5, 6])
def test_b_matrices_agree_in_all_their_axes(versioned, expno):
    reco = versioned.reco(expno)
    method = versioned.parameters(str(expno), "method")
    gradient, image, patient = (method[f"PVM_DwBMat{part}"].array for part in ("", "Imag", "Pat"))
    axes = reco.axes[0]
    rows = np.stack([-axes[0], -axes[1], axes[2]])  # read, phase, slice of an untransposed frame
    np.testing.assert_allclose(rows.T @ gradient @ rows, patient, atol=1e-8)
    np.testing.assert_allclose(axes.T @ image @ axes, patient, atol=1e-8)
    effective = method["PVM_DwEffBval"].array
    np.testing.assert_allclose(np.trace(patient, axis1=1, axis2=2), effective)
    a0, directions, each = (
        int(method[f"PVM_Dw{n}"].text) for n in ("AoImages", "NDiffDir", "NDiffExpEach")
    )
    assert len(effective) == a0 + directions * each
    assert effective[:a0] == pytest.approx(25.2, abs=0.1)
    nominal = np.tile(method["PVM_DwBvalEach"].array, directions)
    np.testing.assert_allclose(effective[a0:], nominal, rtol=0.6)
    unit = method["PVM_DwDir"].array
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1)
    for index, b_matrix in enumerate(gradient[a0:]):
        principal = np.linalg.eigh(b_matrix)[1][:, -1]
        if nominal[index] >= 450:
            assert abs(principal @ unit[index // each]) > 0.99
    if versioned.truth["paravision"] == "5.1":
        assert "VisuAcqDiffusionBMatrix" not in reco.visu
    else:
        visu = reco.visu["VisuAcqDiffusionBMatrix"].array.reshape(-1, 3, 3)
        np.testing.assert_allclose(visu, patient, atol=1e-8)


def test_saturation_offsets_are_where_the_version_keeps_them(versioned):
    method, acqp = versioned.parameters("7", "method"), versioned.parameters("7", "acqp")
    offsets = versioned.scan(7)["offset_ppm"]
    frequency = method["PVM_FrqWork"].array[0]
    played = [o for o in offsets if o is not None]
    version = versioned.truth["paravision"]
    if version == "360.3.6":
        assert offsets[0] is None
        assert method["PVM_SatTransRefScan"].text == "On"
        assert int(method["PVM_SatTransRepetitions"].text) == len(offsets)
        assert method["PVM_SatTransPowerList"].array[0] == 0
        np.testing.assert_allclose(method["PVM_SatTransFreqValues"].array, played)
        hertz = method["PVM_SatTransFL"].array
    elif version == "5.1":
        hertz = acqp["ACQ_O2_list"].array
        assert len(method["PVM_MagTransFL"].items) == 1
    else:
        hertz = method["PVM_MagTransFL"].array
    np.testing.assert_allclose(hertz / frequency, played)
    if version != "360.3.6":
        assert offsets[0] == offsets[-1] == -100
    off = versioned.parameters("3", "method")
    assert "Off" in (off.get("PVM_SatTransOnOff") or off["PVM_MagTransOnOff"]).text


def test_localizer_has_three_orthogonal_packages(versioned):
    axes = versioned.reco(1).axes
    np.testing.assert_allclose(np.linalg.det(axes), 1)
    normals = axes[:, 2]
    np.testing.assert_allclose(np.abs(normals @ normals.T), np.eye(3), atol=1e-12)


def test_slices_step_against_their_normal_in_360_only(versioned):
    reco = versioned.reco(3)
    step = (reco.positions[1] - reco.positions[0]) @ reco.axes[0, 2]
    expected = -1 if versioned.truth["paravision"] == "360.3.6" else 1
    assert step == pytest.approx(expected)


def test_non_square_oblique_and_orthonormal_frames(versioned):
    assert versioned.reco(2).real.shape[1] != versioned.reco(2).real.shape[2]
    for expno in range(1, 8):
        axes = versioned.reco(expno).axes
        np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1) - np.eye(3), 0, atol=1e-11)
        np.testing.assert_allclose(np.linalg.det(axes), 1)
    assert 0.1 < abs(versioned.reco(5).axes[0, 2, 1]) < 0.2


def test_uids_are_valid_and_belong_to_one_thing_each(versioned, parse):
    recos = [
        parse(p)["VisuUid"].strings[0] for p in versioned.study.path.glob("*/pdata/*/visu_pars")
    ]
    assert len(set(recos)) == len(recos) == 9
    for uid in [*recos, versioned.truth["study_uid"]]:
        assert re.fullmatch(r"2\.25\.[1-9]\d{1,38}", uid)


def test_traps(versioned):
    path = versioned.study.path
    spectrum = versioned.parameters("8", "pdata", "1", "visu_pars")
    assert spectrum["VisuCoreDimDesc"].text == "spectroscopic"
    assert (path / "8/pdata/1/2dseq").stat().st_size == 4 * 2048
    assert (path / "9/pdata/1/2dseq").stat().st_size == 0
    assert not (path / "9/pdata/1/visu_pars").exists()
    assert (path / "9/acqp").exists()


def test_labels_are_utf8_in_360_and_ascii_before(versioned):
    text = (versioned.study.path / "3/pdata/2/visu_pars").read_text(encoding="utf-8")
    assert text.isascii() == (versioned.truth["paravision"] != "360.3.6")


def test_positions_follow_from_the_centre_of_the_field_of_view(versioned):
    """The centre (given in the protocol) is at index N/2; offsets run against the image axes."""
    version = versioned.truth["paravision"]
    axial = [19.5, 14.5, -13.2] if version == "360.3.6" else [-16.5, -12.5, -13.2]
    np.testing.assert_allclose(versioned.reco(2).positions[0], axial)
    first = 5.0 if version == "360.3.6" else 3.0  # 360 steps towards the belly
    np.testing.assert_allclose(versioned.reco(3).positions[0], [-16.5, first, 37.0])
    for expno, read in ((2, 0), (3, 1), (7, 0)):
        reco, method = versioned.reco(expno), versioned.parameters(str(expno), "method")
        half = reco.visu["VisuCoreExtent"].array / 2
        axes = reco.axes[0]
        centre = reco.positions[0] + half[0] * axes[0] + half[1] * axes[1]
        assert method["PVM_EffReadOffset"].array[0] == pytest.approx(-centre @ axes[read])
        assert method["PVM_EffPhase1Offset"].array[0] == pytest.approx(-centre @ axes[1 - read])
        assert abs(method["PVM_EffSliceOffset"].array[0]) == pytest.approx(abs(centre @ axes[2]))
