"""Collections of regions, stored and read as the viewer's plugin does."""

from pathlib import Path

import pytest
import requests
from archive_server import Served
from dicoms import Study, encode, make_object, make_study, make_zip
from filled import STUDY, add_user, fill
from pydicom.dataset import Dataset

from sandbox.archive import roi_files
from sandbox.archive.refusals import Refused

IMAGES = make_study(STUDY)
AIM_NAMESPACE = "gme://caCORE.caCORE/4.4/edu.northwestern.radiology.AIM"


def _rtstruct(images: list[Dataset], study: str = STUDY.uid) -> bytes:
    dataset = make_object(
        STUDY, 99, sop_class="1.2.840.10008.5.1.4.1.1.481.3", modality="RTSTRUCT", PixelData=None
    )
    dataset.StructureSetLabel = "Tumour"
    dataset.StructureSetDate, dataset.StructureSetTime = "20240201", "111213"
    roi = Dataset()
    roi.ROINumber, roi.ROIName = 1, "core é"
    dataset.StructureSetROISequence = [roi]
    by_series: dict[str, list[Dataset]] = {}
    for image in images:
        reference = Dataset()
        reference.ReferencedSOPClassUID = image.SOPClassUID
        reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
        by_series.setdefault(image.SeriesInstanceUID, []).append(reference)
    series = []
    for uid, references in by_series.items():
        one = Dataset()
        one.SeriesInstanceUID, one.ContourImageSequence = uid, references
        series.append(one)
    above, frame = Dataset(), Dataset()
    above.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    above.ReferencedSOPInstanceUID = study
    above.RTReferencedSeriesSequence = series
    frame.FrameOfReferenceUID = "1.2.3"
    frame.RTReferencedStudySequence = [above]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.SpecificCharacterSet = "ISO_IR 192"
    return encode(dataset)


def _seg(images: list[Dataset]) -> bytes:
    dataset = make_object(
        STUDY, 98, sop_class="1.2.840.10008.5.1.4.1.1.66.4", modality="SEG", PixelData=None
    )
    series, segment = Dataset(), Dataset()
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    references = []
    for image in images:
        one = Dataset()
        one.ReferencedSOPInstanceUID = image.SOPInstanceUID
        references.append(one)
    series.ReferencedInstanceSequence = references
    segment.SegmentNumber, segment.SegmentLabel = 1, "kidney"
    dataset.ReferencedSeriesSequence, dataset.SegmentSequence = [series], [segment]
    return encode(dataset)


def _aim(image: Dataset) -> bytes:
    return (
        f'<ImageAnnotationCollection xmlns="{AIM_NAMESPACE}" aimVersion="AIMv4_0"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<uniqueIdentifier root="2.25.7"/><dateTime value="20240203101112"/>'
        '<description value="Drawn"/><imageAnnotations><ImageAnnotation>'
        '<uniqueIdentifier root="2.25.8"/><name value="tumour"/><markupEntityCollection>'
        '<MarkupEntity xsi:type="TwoDimensionPolyline"/></markupEntityCollection>'
        "<imageReferenceEntityCollection><ImageReferenceEntity><imageStudy>"
        f'<instanceUid root="{image.StudyInstanceUID}"/><imageSeries>'
        f'<instanceUid root="{image.SeriesInstanceUID}"/><imageCollection><Image>'
        f'<sopInstanceUid root="{image.SOPInstanceUID}"/></Image></imageCollection>'
        "</imageSeries></imageStudy></ImageReferenceEntity></imageReferenceEntityCollection>"
        "</ImageAnnotation></imageAnnotations></ImageAnnotationCollection>"
    ).encode()


def _store(
    served: Served, session: str, body: bytes, label: str = "R1", **params: str
) -> requests.Response:
    return served.put(
        f"/xapi/roi/projects/P1/sessions/{session}/collections/{label}",
        params={"type": "RTSTRUCT", **params},
        data=body,
        headers={"Content-Type": "application/octet-stream"},
    )


def test_rtstruct_becomes_an_assessor(served: Served) -> None:
    session, body = fill(served), _rtstruct(IMAGES)
    answer = _store(served, session, body)
    assert answer.status_code == 200, answer.text
    collection = answer.text
    path = f"/data/experiments/{session}/assessors/{collection}"
    item = served.get(path, params={"format": "json"}).json()["items"][0]
    about = item["data_fields"]
    assert item["meta"]["xsi:type"] == "icr:roiCollectionData"
    assert (about["collectionType"], about["name"]) == ("RTSTRUCT", "Tumour")
    assert (about["date"], about["label"]) == ("2024-02-01", "R1")
    assert about["imageSession_ID"] == session
    references = next(one for one in item["children"] if one["field"] == "references/seriesUID")
    assert {one["data_fields"]["seriesUID"] for one in references["items"]} == {
        image.SeriesInstanceUID for image in IMAGES
    }
    files = served.rows(path + "/files")
    assert [(one["Name"], one["collection"]) for one in files] == [("R1.dcm", "RTSTRUCT")]
    assert served.get(files[0]["URI"]).content == body
    assert served.get(f"/xapi/roi/projects/P1/collections/{collection}").content == body


def test_other_kinds_of_files(served: Served) -> None:
    session = fill(served)
    assert _store(served, session, _aim(IMAGES[0]), "A1", type="AIM").status_code == 200
    assert _store(served, session, _seg(IMAGES[:3]), "G1", type="SEG").status_code == 200
    files = served.rows(f"/data/experiments/{session}/assessors/A1/files")
    assert [(one["Name"], one["collection"]) for one in files] == [("A1.xml", "AIM")]


def test_label_is_overwritten_only_when_asked(served: Served) -> None:
    session = fill(served)
    first = _store(served, session, _rtstruct(IMAGES)).text
    assert _store(served, session, _rtstruct(IMAGES)).status_code == 422
    body = _rtstruct(IMAGES[:3])
    again = _store(served, session, body, overwrite="true")
    assert (again.status_code, again.text) == (200, first)
    assert served.get("/xapi/roi/projects/P1/collections/R1").content == body
    item = served.get(f"/data/experiments/{first}?format=json").json()["items"][0]
    references = next(one for one in item["children"] if one["field"] == "references/seriesUID")
    assert len(references["items"]) == 1
    blobs = list(served.archive.folder.glob("blobs/*/*/R1.dcm"))
    assert len(blobs) == 1


def test_label_of_another_session_is_a_conflict(served: Served) -> None:
    session = fill(served)
    _store(served, session, _rtstruct(IMAGES))
    other = Study()
    served.post(
        "/data/services/import",
        params={"dest": "/archive/projects/P1/subjects/S1/experiments/S1_MR2"},
        data=make_zip(make_study(other)),
        headers={"Content-Type": "application/zip"},
    )
    second = next(
        row["ID"]
        for row in served.rows("/data/projects/P1/experiments")
        if row["label"] == "S1_MR2"
    )
    body = _aim(make_object(other))
    assert _store(served, second, body, type="AIM", overwrite="true").status_code == 409


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (_rtstruct(IMAGES, study="1.2.3.4"), "RTSTRUCT"),
        (_rtstruct([make_object(STUDY, 7)]), "RTSTRUCT"),
        (_rtstruct([make_object(STUDY, 1, 9)]), "RTSTRUCT"),
        (_rtstruct([]), "RTSTRUCT"),
        (_rtstruct(IMAGES), "SEG"),
        (encode(IMAGES[0]), "RTSTRUCT"),
        (b"no DICOM", "RTSTRUCT"),
        (b"<ImageAnnotationCollection/>", "AIM"),
        (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>', "AIM"),
        (_rtstruct(IMAGES), "NIFTI"),
    ],
    ids=[
        "study",
        "series",
        "image",
        "no-series",
        "other-kind",
        "an-image",
        "no-dicom",
        "no-aim",
        "entity",
        "kind-unknown",
    ],
)
def test_wrong_collection_leaves_no_trace(served: Served, body: bytes, kind: str) -> None:
    session = fill(served)
    blobs = sorted(served.archive.folder.glob("blobs/*/*/*"))
    answer = _store(served, session, body, type=kind)
    assert answer.status_code == 422, answer.text
    assert served.rows(f"/data/experiments/{session}/assessors") == []
    assert sorted(served.archive.folder.glob("blobs/*/*/*")) == blobs
    assert list(served.archive.folder.glob("incoming/*")) == []


def test_measurements_are_not_stored_and_that_is_said(served: Served) -> None:
    answer = _store(served, fill(served), b"{}", type="MEAS")
    assert (answer.status_code, "does not store measurements" in answer.text) == (501, True)


def test_session_is_named_by_its_id(served: Served) -> None:
    fill(served)
    assert _store(served, "S1_MR", _rtstruct(IMAGES)).status_code == 404


def test_rights(served: Served) -> None:
    session = fill(served)
    reader = add_user(served, "reader", "Collaborators")
    assert _store(reader, session, _rtstruct(IMAGES)).status_code == 403
    _store(served, session, _rtstruct(IMAGES))
    path = "/xapi/roi/projects/P1/collections/R1"
    assert reader.get(path).status_code == 200
    assert reader.delete(path).status_code == 403
    assert served.delete(path).status_code == 200
    assert served.get(path).status_code == 404


@pytest.mark.parametrize(("name", "kind"), [("liver.dcm", "SEG"), ("23x38x3/seg/label.seg", "SEG")])
def test_real_segmentations_are_read(shared_data: Path, name: str, kind: str) -> None:
    path = shared_data / "roi" / "dcmqi" / "data" / "segmentations" / name
    read = roi_files.read_collection(path, kind)
    assert len(read.studies) == 1
    assert read.series


def test_aim_of_version_3_is_refused(shared_data: Path) -> None:
    with pytest.raises(Refused, match="AIM 4"):
        roi_files.read_collection(shared_data / "roi" / "ncip_aim3_0022BaselineA.xml", "AIM")
