"""Draw ROIs on a scan of the archive and store them as the viewer's plugin does."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from region_files import Scan, aim_text, centres_inside, circle, write_rtstruct, write_seg


@dataclass
class Drawn:
    """A disc on some slices of a scan, known voxel by voxel."""

    scan: Scan
    rows: int
    columns: int
    centre: tuple[float, float]
    radius: float
    slices: tuple[int, ...]

    @property
    def line(self):
        return circle(*self.centre, self.radius)

    @property
    def plane(self):
        return centres_inside([self.line], (self.rows, self.columns))

    def values(self, path):
        """Return the values of a NIfTI map inside, through patient positions."""
        image = nib.load(path)
        data = np.asarray(image.dataobj)
        found = []
        for k in self.slices:
            row, column = np.nonzero(self.plane)
            lps = self.scan.mm(np.column_stack([column, row]), k)
            ras = np.column_stack([lps * (-1, -1, 1), np.ones(len(lps))])
            index = np.linalg.solve(image.affine, ras.T)[:3]
            assert np.abs(index - np.rint(index)).max() < 1e-3
            found.append(data[tuple(np.rint(index).astype(int))])
        return np.concatenate(found)


def draw(folder: Path, centre=None, radius=0.0) -> Drawn:
    """Return a disc inside the animal of a series, on its two middle slices."""
    heads = [pydicom.dcmread(one) for one in sorted(folder.glob("*.dcm"))]
    first = min(float(one.get("EchoTime", 0)) for one in heads)
    heads = [one for one in heads if float(one.get("EchoTime", 0)) == first]
    row, column = np.split(np.array(heads[0].ImageOrientationPatient, float), 2)
    normal = np.cross(row, column)
    # One image of each position: the others differ in what is varied, not in where they lie.
    at = {tuple(map(float, one.ImagePositionPatient)): one for one in reversed(heads)}
    heads = [at[place] for place in sorted(at, key=lambda place: np.dot(normal, place))]
    places = [np.array(one.ImagePositionPatient, float) for one in heads]
    scan = Scan(
        shape=(len(heads), heads[0].Rows, heads[0].Columns),
        spacing=tuple(map(float, heads[0].PixelSpacing)),
        step=float(np.dot(normal, places[1] - places[0])),
        orientation=(*row, *column),
        origin=tuple(places[0]),
        frame_uid=heads[0].FrameOfReferenceUID,
        study_uid=heads[0].StudyInstanceUID,
        series_uid=heads[0].SeriesInstanceUID,
        uids=[one.SOPInstanceUID for one in heads],
    )
    middle = len(heads) // 2
    bright = np.argwhere(heads[middle].pixel_array > heads[middle].pixel_array.max() / 4)
    where = centre or (bright[:, 1].mean() + 0.31, bright[:, 0].mean() + 0.17)
    radius = radius or 0.25 * np.ptp(bright, axis=0).min()
    slices = (middle - 1, middle)
    return Drawn(scan, heads[0].Rows, heads[0].Columns, where, radius, slices)


def static_series(mouse_dicom, modality, slices=3):
    """Return the folder of a series of single images, as many as a static volume has or more."""
    for folder in sorted({one.parent for one in mouse_dicom.rglob("*.dcm")}):
        files = sorted(folder.glob("*.dcm"))
        head = pydicom.dcmread(files[0], stop_before_pixels=True)
        if head.Modality == modality and len(files) >= slices and "RescaleSlope" in head:
            return folder
    raise AssertionError(f"no static series of {modality}")


def aim(drawn: Drawn, name="tumour é") -> bytes:
    """AIM, with the references to the images that the viewer writes."""
    scan = drawn.scan
    text = aim_text({name: [(scan.uids[k], 1, drawn.line) for k in drawn.slices]})
    images = "".join(
        f'<Image><sopInstanceUid root="{scan.uids[k]}"/></Image>' for k in drawn.slices
    )
    references = (
        "<imageReferenceEntityCollection><ImageReferenceEntity><imageStudy>"
        f'<instanceUid root="{scan.study_uid}"/><imageSeries>'
        f'<instanceUid root="{scan.series_uid}"/><imageCollection>{images}</imageCollection>'
        "</imageSeries></imageStudy></ImageReferenceEntity></imageReferenceEntityCollection>"
    )
    return text.replace("</ImageAnnotation>", f"{references}</ImageAnnotation>").encode()


def rtstruct(drawn: Drawn, folder: Path, name="tumour é") -> bytes:
    scan = drawn.scan
    lines = [(scan.mm(drawn.line, k), scan.uids[k]) for k in drawn.slices]
    path = write_rtstruct(folder / "rt.dcm", scan, {name: lines})
    dataset = pydicom.dcmread(path)
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID, series.ContourImageSequence = scan.series_uid, []
    for k in drawn.slices:
        one = Dataset()
        one.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        one.ReferencedSOPInstanceUID = scan.uids[k]
        series.ContourImageSequence.append(one)
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID, study.RTReferencedSeriesSequence = scan.study_uid, [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = scan.frame_uid, [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.decode()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    return _bytes(dataset)


def seg(drawn: Drawn, folder: Path, name="tumour é") -> bytes:
    scan = drawn.scan
    frames = [(1, k, drawn.plane) for k in drawn.slices]
    dataset = pydicom.dcmread(write_seg(folder / "seg.dcm", scan, frames, labels={1: name}))
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = scan.series_uid, []
    for k in drawn.slices:
        one = Dataset()
        one.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        one.ReferencedSOPInstanceUID = scan.uids[k]
        series.ReferencedInstanceSequence.append(one)
    dataset.ReferencedSeriesSequence = [series]
    dataset.decode()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    return _bytes(dataset)


def _bytes(dataset: Dataset) -> bytes:
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def store(bench, kind: str, body: bytes, label: str, session: str = "") -> str:
    """Store a collection as the viewer does and return the ID of its assessor."""
    answer = bench.served.put(
        f"/xapi/roi/projects/P1/sessions/{session or bench.mr}/collections/{label}",
        params={"type": kind, "overwrite": "true"},
        data=body,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 200, answer.text
    return answer.text
