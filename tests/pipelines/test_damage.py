"""Each element of an object damaged in turn is damage; a mistake of this program is none."""

import contextlib
import copy
from types import SimpleNamespace

import mr_series
import numpy as np
import pet_series
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ParametricMapStorage

from pipelines.inputs.damage import find_damage
from pipelines.inputs.dicom import read_files
from pipelines.inputs.extra import read_extra
from pipelines.inputs.pet import load_pet
from pipelines.regions.run_maps_dicom import read_dicom_map
from xnat_pic.errors import XnatPicError


def _classic(folder):
    folder = mr_series.write_classic(folder, np.ones((1, 1, 4, 3)), [{"EchoTime": "12"}])
    return next(folder.iterdir())


def _enhanced(folder):
    folder.mkdir()
    echo = {"MREchoSequence": {"EffectiveEchoTime": 12.0}}
    return mr_series.write_enhanced(folder / "e.dcm", np.ones((1, 2, 4, 3)), lambda _: echo)


def _parametric(folder):
    path = _enhanced(folder)
    ds = pydicom.dcmread(path)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ParametricMapStorage
    ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = [_mapping()]
    ds.save_as(path)
    return path


def _mapping():
    mapping, unit = Dataset(), Dataset()
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.5, 0.0
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "ms", "UCUM", "ms"
    mapping.MeasurementUnitsCodeSequence = [unit]
    return mapping


def _pet(folder):
    return next(pet_series.write_pet(folder, np.ones((1, 4, 3))).iterdir())


GRID = SimpleNamespace(grid=(2, 4, 3), affine=mr_series.affine())
READERS = {
    "classic": (_classic, lambda path: read_files([path], cest=True)),
    "enhanced": (_enhanced, lambda path: read_files([path], cest=True)),
    "map": (_parametric, read_dicom_map),
    "extra": (_parametric, lambda path: read_extra(path, "t1", GRID)),
    "pet": (_pet, lambda path: load_pet(path.parent)),
}


def _places(ds):
    """Yield the path of each element: tags, and 0 for the first item of a sequence."""
    for element in ds:
        yield (element.tag,)
        if element.VR == "SQ":
            yield from ((element.tag, 0, *rest) for rest in _places(element.value[0]))


def _damaged(whole):
    """Yield an object for each element that is missing, empty, or of another kind or number."""
    for place in _places(whole):
        if place == (0x00080016,):  # says what the object is: without it the file is another
            continue
        for harm in ("missing", "empty", "another kind", "one value too many"):
            ds = copy.deepcopy(whole)
            *way, tag = place
            holder = ds
            for step in way:
                holder = holder[step].value if step else holder[0]
            element = holder[tag]
            del holder[tag]
            if harm == "empty":
                holder.add_new(tag, element.VR, None)
            elif harm == "another kind":
                holder[tag] = DataElement(tag, "LO", "rubbish")
            elif harm == "one value too many":
                values = element.value if element.VM > 1 else [element.value]
                if element.VR in ("SQ", "OW"):
                    continue
                holder.add_new(tag, element.VR, [*values, values[0]])
            yield ds


@pytest.mark.filterwarnings("ignore")  # pydicom tells of each wrong value that it writes and reads
@pytest.mark.parametrize("kind", READERS)
def test_an_object_with_any_element_damaged_is_read_or_refused(tmp_path, kind):
    make, read = READERS[kind]
    path = make(tmp_path / "in")
    whole = pydicom.dcmread(path)
    tried = 0
    for ds in _damaged(whole):
        ds.file_meta = copy.deepcopy(whole.file_meta)
        ds.save_as(path, enforce_file_format=True)
        tried += 1
        with contextlib.suppress(XnatPicError):
            read(path)
    assert tried > 100


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        ("classic", "pipelines.inputs.dicom.attributes.frame_vector"),
        ("enhanced", "pipelines.inputs.dicom.attributes.frame_vector"),
        ("map", "pipelines.regions.run_maps_dicom._plane"),
        ("extra", "pipelines.inputs.extra._of"),
        ("pet", "pipelines.inputs.pet.Frame"),
    ],
)
@pytest.mark.parametrize("mistake", [TypeError, ValueError, KeyError, AttributeError])
def test_a_mistake_of_ours_is_not_called_damage(tmp_path, monkeypatch, kind, ours, mistake):
    def wrong(*_, **__):
        raise mistake("of ours")

    make, read = READERS[kind]
    path = make(tmp_path / "in")
    monkeypatch.setattr(ours, wrong)
    with pytest.raises(mistake, match="of ours"):
        read(path)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"PixelSpacing": [1, 1]}, ""),
        ({"PixelSpacing": [1, 1, 1]}, "PixelSpacing has 3 values"),
        ({"ImageType": ["A", "B", "C", "D"]}, ""),
        ({"ImageType": "A"}, "ImageType has 1 values"),
        ({"PatientName": "a"}, ""),
        ({"PixelSpacing": None}, ""),
    ],
)
def test_damage_is_found_by_the_dictionary(values, found):
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    assert find_damage(ds) == found
