"""What a person adds: options, and side files beside and above the studies."""

from pathlib import Path

import pytest
from cases import converted, datasets, small_study

from mri2dicom import Overrides
from mri2dicom.conversion.settings import (
    SIDE_FILE,
    merge_overrides,
    read_side_file,
    read_side_files,
)
from mri2dicom.dicom.overrides import normalize_overrides
from xnat_pic.errors import WrongCallError


def side(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SIDE_FILE).write_text(text, encoding="utf-8")


def test_the_nearest_file_wins_and_the_call_wins_over_all(tmp_path):
    study = tmp_path / "root" / "group" / "study"
    side(tmp_path, 'species = "fish"')  # above the input: not looked at
    side(tmp_path / "root", 'species = "mouse"\nstrain = "A"\nstudy_label = "all"')
    side(study, 'strain = "B"\nsubject_id = "m9"')
    values = read_side_files(study, tmp_path / "root")
    assert values == {
        "species": "mouse",
        "strain": "B",
        "study_label": "all",
        "subject_id": "m9",
    }
    overrides = merge_overrides(values, Overrides(strain="C"))
    assert (overrides.strain, overrides.species, overrides.subject_id) == ("C", "mouse", "m9")


def test_the_studys_own_file_counts_where_a_scan_is_the_input(tmp_path):
    side(tmp_path / "study", 'species = "rat"')
    assert read_side_files(tmp_path / "study", tmp_path / "study" / "3") == {"species": "rat"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("species = mouse", "no valid TOML"),
        ('spezies = "mouse"', "'spezies', which means nothing here. Known keys: "),
        ("species = 3", "species must be a text in quotes"),
        ("[species]\nname = 'mouse'", "must be a text in quotes"),
    ],
)
def test_files_that_make_no_sense(tmp_path, text, said):
    side(tmp_path, text)
    with pytest.raises(WrongCallError) as caught:
        read_side_file(tmp_path / SIDE_FILE)
    assert said in caught.value.sentence()
    assert caught.value.path == tmp_path / SIDE_FILE


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / SIDE_FILE).write_bytes(b"\xff\xfe\x00species")
    with pytest.raises(WrongCallError, match="no valid TOML"):
        read_side_file(tmp_path / SIDE_FILE)


def test_terms_are_written_as_the_standard_does():
    found = normalize_overrides(
        Overrides(anatomical_orientation="quadruped", subject_position="hfp")
    )
    assert (found.anatomical_orientation, found.subject_position) == ("QUADRUPED", "HFP")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (Overrides(anatomical_orientation="sideways"), "quadruped or biped"),
        (Overrides(subject_position="Head_Prone"), "HFS, HFP"),
    ],
)
def test_terms_that_dicom_does_not_know(overrides, said):
    with pytest.raises(WrongCallError, match=said):
        normalize_overrides(overrides)


def test_all_values_reach_the_files(tmp_path):
    study = small_study(tmp_path / "study", scans=1, slices=1)
    side(study, 'species = "Mouse"\nstrain = "C57BL/6J"\nstudy_label = "Pilot"')
    given = Overrides(subject_id="m 7", anatomical_orientation="BIPED", subject_position="FFS")
    (one,) = converted(study, tmp_path / "out", overrides=given).series
    (ds,) = datasets(one.path)
    assert (str(ds.PatientName), ds.PatientID) == ("m 7", "m 7")
    assert ds.PatientSpeciesDescription == "Mouse"
    assert ds.PatientSpeciesCodeSequence[0].CodeMeaning == "Mus musculus"
    assert ds.StrainDescription == "C57BL/6J"
    assert ds.StudyDescription == "Pilot"
    assert ds.AnatomicalOrientationType == "BIPED"
    assert ds.PatientPosition == "FFS"
    assert one.subject == "m 7"


def test_the_position_is_a_label_and_moves_nothing(tmp_path):
    study = small_study(tmp_path / "study", scans=1)
    (plain,) = converted(study, tmp_path / "a").series
    given = Overrides(subject_position="FFDL")
    (other,) = converted(study, tmp_path / "b", overrides=given).series
    for one, two in zip(datasets(plain.path), datasets(other.path), strict=True):
        assert (one.PatientPosition, two.PatientPosition) == ("HFP", "FFDL")
        assert one.ImagePositionPatient == two.ImagePositionPatient
        assert one.ImageOrientationPatient == two.ImageOrientationPatient


def test_a_broken_side_file_stops_its_study_alone(tmp_path):
    small_study(tmp_path / "in" / "good", scans=1)
    side(small_study(tmp_path / "in" / "bad", scans=1), "what = ever")
    import mri2dicom

    report = mri2dicom.convert(tmp_path / "in", tmp_path / "out")
    by_study = {one.study: one for one in report.series}
    assert by_study["good"].status == "converted"
    assert by_study["bad"].status == "failed"
    assert SIDE_FILE in by_study["bad"].reason
    assert report.exit_code == 8
