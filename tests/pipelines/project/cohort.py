"""A project of digital mice on a served archive, with the truth of every animal."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from archive_server import Served
from drawn import draw
from pydicom.dataset import Dataset
from region_files import write_seg

import mri2dicom
from pipelines.xnat.client import Access
from sandbox.archive.archive import Archive, Settings
from sandbox.mouse import MouseOptions, write_mice
from uploader import Journal, UploadOptions, build_plan, scan_folder, upload
from xnat_config import load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login
from xnat_config.server.retry import RetryPolicy

RETRY = RetryPolicy(attempts=4, first_wait_s=0.05, longest_wait_s=0.5)
PROJECT = "P1"
T2_SCAN = "3"
ROIS = ("tumour", "brain", "kidney")


@dataclass
class Cohort:
    """A folder of an archive with uploaded sessions, to be copied and served."""

    folder: Path
    dicom: Path
    studies: dict = field(default_factory=dict)  # by session label


@dataclass
class Bench:
    """A served copy."""

    served: Served
    access: Access
    cohort: Cohort

    @property
    def sessions(self):
        """IDs by label."""
        rows = self.served.rows(f"/data/projects/{PROJECT}/experiments")
        return {row["label"]: row["ID"] for row in rows}

    def files(self, path):
        """Return the digest of every file below an item by resource and path."""
        answer = self.served.get(f"{path}/files", params={"format": "json"})
        if answer.status_code == 404:
            return {}
        found = {}
        for row in answer.json()["ResultSet"]["Result"]:
            name = f"{row['collection']}/{row['URI'].partition('/files/')[2]}"
            assert name not in found, f"{name} is there twice"
            found[name] = row["digest"]
        return found

    def results(self):
        """Return the files of every subject."""
        rows = self.served.rows(f"/data/projects/{PROJECT}/subjects")
        return {row["label"]: self.files(f"/data/subjects/{row['ID']}") for row in rows}

    def summary(self, outcome, name):
        path = f"/data/projects/{PROJECT}/resources/{outcome.resource}/files"
        answer = self.served.get(f"{path}/{outcome.folder}/{name}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def fault(self, *rules):
        answer = self.served.session.post(f"{self.served.url}/sandbox/faults", json=list(rules))
        assert answer.status_code == 200, answer.text


def make_cohort(folder, serving, *, animals=3, doses=("dose1", "dose2"), matrix=None):
    """Write mice of the default seed and noise, convert their T2 series and upload them."""
    options = MouseOptions(size="SMALL", matrix=matrix, traps=False, animals=animals, doses=doses)
    studies = write_mice(folder / "raw", options)
    config = load_config(environ={"XNAT_PIC_HOME": str(folder / "home")})
    (folder / "home").mkdir()
    for one in list((folder / "raw").rglob("pdata")):
        if one.parent.name != T2_SCAN:
            _remove(one.parent)
    mri2dicom.convert(folder / "raw", folder / "dicom", jobs=1)
    made = Cohort(folder / "data", folder / "dicom")
    with serving(Archive(made.folder, Settings(faults=True))) as served:
        assert served.put(f"/data/projects/{PROJECT}").status_code == 200
        plan = build_plan(scan_folder(made.dicom, config), PROJECT, config)
        login = password_login("admin", "admin")
        with (
            Journal(folder / "home/j") as journal,
            XnatClient(Connection(served.url), login) as client,
        ):
            assert upload(plan, client, journal, config, UploadOptions(settle_s=20)).exit_code == 0
    made.studies = {f"{one.subject}_{one.timepoint}_MR": one for one in studies}
    return made


def _remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def bench_of(served, cohort):
    """Return access to a served copy by a fresh token."""
    token = served.get("/data/services/tokens/issue").json()
    access = Access(served.url, token["alias"], token["secret"], retry=RETRY)
    return Bench(served, access, cohort)


def truth_of(study):
    """Return T2 in ms by tissue, and the number of each in the image of labels."""
    content = json.loads((_truth_folder(study) / "truth.json").read_text(encoding="utf-8"))
    tissues = content["tissues"]
    return (
        {name: one["T2_ms"] for name, one in tissues.items()},
        {name: one["label"] for name, one in tissues.items()},
    )


def _truth_folder(study):
    path = Path(study.truth)
    return path if path.is_dir() else path.parent


def true_median(study):
    """Return the median T2 in ms over all tissue of the T2 series, and how many voxels that is."""
    image = nib.load(_truth_folder(study) / f"{T2_SCAN}_t2map_label.nii.gz")
    labels = np.asarray(image.dataobj)
    values, numbers = truth_of(study)
    t2 = np.concatenate([np.full((labels == numbers[k]).sum(), values[k]) for k in values])
    return float(np.median(t2)), len(t2)


def maps_agree_with_the_truth(cohort, rows, sessions):
    """The rows of the T2 maps of whole sessions hold what the animals have."""
    rows = [row for row in rows if row["quantity"] == "T2map" and not row["roi"]]
    assert sorted(row["session"] for row in rows) == sorted(sessions)
    for row in rows:
        study = cohort.studies[row["session"]]
        median, voxels = true_median(study)
        assert row["unit"] == "ms"
        assert abs(float(row["median"]) - median) < 0.02 * median, (row, median)
        assert abs(int(row["valid"]) - voxels) < 0.05 * voxels, (row, voxels)
        assert (row["group"], row["timepoint"]) == (study.group, study.timepoint)


def series_of(cohort, study):
    """Return the folder of the converted T2 series of a study."""
    parts = [f"/{study.subject}/", f"/{study.timepoint}/"]
    found = [
        one
        for one in cohort.dicom.rglob("30001_*")
        if one.is_dir() and all(part in f"{one.as_posix()}/" for part in parts)
    ]
    assert len(found) == 1, found
    return found[0]


def collection(bench, label, tmp_path):
    """Store the true outlines of tissues as a SEG, as the viewer's plugin does."""
    study = bench.cohort.studies[label]
    drawn = draw(series_of(bench.cohort, study))
    image = nib.load(_truth_folder(study) / f"{T2_SCAN}_t2map_label.nii.gz")
    labels = np.asarray(image.dataobj)
    _, numbers = truth_of(study)
    frames, scan = [], drawn.scan
    row, column = np.indices((drawn.rows, drawn.columns)).reshape(2, -1)
    for k in range(scan.shape[0]):
        lps = scan.mm(np.column_stack([column, row]), k)
        ras = np.column_stack([lps * (-1, -1, 1), np.ones(len(lps))])
        index = np.linalg.solve(image.affine, ras.T)[:3]
        assert np.abs(index - np.rint(index)).max() < 1e-2
        found = labels[tuple(np.rint(index).astype(int))].reshape(drawn.rows, drawn.columns)
        for n, name in enumerate(ROIS, start=1):
            if (found == numbers[name]).any():
                frames.append((n, k, found == numbers[name]))
    names = dict(enumerate(ROIS, start=1))
    path = write_seg(
        tmp_path / f"{label}.dcm", scan, sorted(frames, key=lambda f: f[0]), labels=names
    )
    dataset = pydicom.dcmread(path)
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = scan.series_uid, []
    for uid in scan.uids:
        one = Dataset()
        one.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        one.ReferencedSOPInstanceUID = uid
        series.ReferencedInstanceSequence.append(one)
    dataset.ReferencedSeriesSequence = [series]
    dataset.save_as(path, enforce_file_format=True)
    answer = bench.served.put(
        f"/xapi/roi/projects/{PROJECT}/sessions/{bench.sessions[label]}/collections/R_{label}",
        params={"type": "SEG", "overwrite": "true"},
        data=path.read_bytes(),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 200, answer.text


def break_session(bench, label):
    """Cut an image of a session in its middle, as a fault of a disk would."""
    scan = f"/data/experiments/{bench.sessions[label]}/scans/30001"
    files = f"{scan}/resources/DICOM/files"
    name = bench.served.rows(files)[3]["Name"]
    body = bench.served.get(f"{files}/{name}").content
    answer = bench.served.put(
        f"{files}/{name}",
        params={"inbody": "true", "overwrite": "true"},
        data=body[: len(body) // 2],
    )
    assert answer.status_code == 200, answer.text
    assert bench.served.get(f"{files}/{name}").content == body[: len(body) // 2]
