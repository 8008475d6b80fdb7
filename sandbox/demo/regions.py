"""Outline the tissues of a digital mouse from its truth, and store them as the viewer does."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pydicom

from xnat_config.server.client import XnatClient
from xnat_config.server.paths import path_of
from xnat_pic.errors import XnatPicError
from xnat_pic.warning_filters import ignore_warnings

Labels = npt.NDArray[np.uint8]
_OFF_GRID = 0.05  # of a voxel: positions of DICOM are rounded to a few digits


# Number of the DICOM series that is drawn on, and the true tissue of each of its voxels.
SERIES, TRUTH = "30001", "3_t2map_label.nii.gz"
# What the treatment changes, and what it does not.
TISSUES = ("tumour", "kidney")


def draw(series: Path, truth: Path) -> bytes:
    """Return a DICOM Segmentation of tissues on a converted series.

    The outline stays one voxel inside the edge in each image, as one draws to keep other tissue
    out, so that it also serves a map of another grid.

    Parameters
    ----------
    series : Path
        Folder of the series.
    truth : Path
        Folder of the truth of its study.

    Raises
    ------
    XnatPicError
        If the series does not lie where the truth says.
    """
    images = _one_of_each_position(series)
    tissues = json.loads((truth / "truth.json").read_text(encoding="utf-8"))["tissues"]
    found = _sample(images, truth / TRUTH)
    drawn = [(name, _inside(found == tissues[name]["label"])) for name in TISSUES]
    if not all(mask.any() for _, mask in drawn):
        raise XnatPicError(
            f"The voxels of {series.name} are too large to outline a tissue inside its edge.",
            hint="Ask for a larger --matrix.",
        )
    return _segmentation(images, drawn)


def store(server: XnatClient, project: str, session: str, label: str, body: bytes) -> None:
    """Store a collection of regions at the address of the viewer's plugin.

    Parameters
    ----------
    session : str
        ID of the session.
    label : str
        Of the collection; one of the same label is replaced.
    """
    server.send(
        "PUT",
        path_of(
            *("xapi", "roi", "projects", project, "sessions", session, "collections", label),
        ),
        params={"type": "SEG", "overwrite": "true"},
        body=lambda: body,
        content_type="application/octet-stream",
    )


def _one_of_each_position(series: Path) -> list[pydicom.Dataset]:
    """Return one image of each slice, along the normal: echoes and directions share a position."""
    at: dict[tuple[float, ...], pydicom.Dataset] = {}
    for path in sorted(series.glob("*.dcm")):
        image = pydicom.dcmread(path)
        at.setdefault(tuple(map(float, image.ImagePositionPatient)), image)
    if not at:
        raise XnatPicError(f"{series} holds no images.", hint="Run the stage convert again.")
    first = next(iter(at.values()))
    row, column = np.split(np.array(first.ImageOrientationPatient, float), 2)
    normal = np.cross(row, column)
    return [at[position] for position in sorted(at, key=lambda one: float(np.dot(normal, one)))]


def _sample(images: Sequence[pydicom.Dataset], truth: Path) -> Labels:
    """Return the true tissue at the centre of each voxel, shape (slices, rows, columns)."""
    image = nib.Nifti1Image.from_filename(truth)
    labels = np.asarray(image.dataobj)
    to_index = np.linalg.inv(image.affine)
    planes = []
    for one in images:
        row, column = np.split(np.array(one.ImageOrientationPatient, float), 2)
        down, right = map(float, one.PixelSpacing)
        j, i = np.mgrid[: one.Rows, : one.Columns]
        lps = (
            np.array(one.ImagePositionPatient, float)
            + i[..., None] * right * row
            + j[..., None] * down * column
        )
        ras = lps * (-1, -1, 1)
        index = ras @ to_index[:3, :3].T + to_index[:3, 3]
        whole = np.rint(index).astype(int)
        if np.abs(index - whole).max() > _OFF_GRID or (whole < 0).any():
            raise XnatPicError(
                f"The images of {truth.name} do not lie where the truth has them.",
                hint="The conversion is wrong: please report it.",
            )
        planes.append(labels[whole[..., 0], whole[..., 1], whole[..., 2]])
    return np.stack(planes).astype(np.uint8)


def _inside(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the voxels whose four neighbours in the image are of the mask too."""
    near = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    up, down = near[:, :-2, 1:-1], near[:, 2:, 1:-1]
    left, right = near[:, 1:-1, :-2], near[:, 1:-1, 2:]
    inside: npt.NDArray[np.bool_] = mask & up & down & left & right
    return inside


def _segmentation(
    images: Sequence[pydicom.Dataset], drawn: Sequence[tuple[str, npt.NDArray[np.bool_]]]
) -> bytes:
    import highdicom as hd

    tissue = hd.sr.CodedConcept("85756007", "SCT", "Tissue")
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=tissue,
            segmented_property_type=tissue,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, (label, _) in enumerate(drawn, start=1)
    ]
    # A subject id is a name of one component.
    with ignore_warnings(message=".*person ?name"):
        made: Any = hd.seg.Segmentation(
            source_images=images,
            pixel_array=np.stack([mask for _, mask in drawn], axis=-1).astype(np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=hd.UID(),
            series_number=900,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="XNAT-PIC",
            manufacturer_model_name="digital mouse",
            software_versions="1",
            device_serial_number="none",
            content_label="ROIS",
            content_description="The true outlines of a digital mouse",
        )
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()
