"""Speed and memory of the sandbox archive: listings of a large project, imports, uploads.

Run ``python benchmarks/archive.py [--sessions N] [--scans N] [--size MIB] [--work DIR]``. It makes
a project of that many sessions with that many scans each, serves it in a process of its own, asks
for listings (the median of five), then imports a DICOM study of about that size as one zip, uploads
and downloads it as one file, and prints tables in Markdown.
"""

import argparse
import hashlib
import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import requests
from measure import machine
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from sandbox.archive import items
from sandbox.archive.archive import Archive

ASKED = 5
MIB = 2**20
PAGE_COLUMNS = "ID,project,label,date,xnat:mrSessionData/fields/field[name=timepoint]/field"
SCAN_COLUMNS = "ID,project,xnat:imageSessionData/subject_id,xnat:imageScanData/ID"
LISTINGS = {
    "subjects of the project": "/data/projects/BIG/subjects?format=json",
    "sessions of the project": "/data/projects/BIG/experiments?format=json",
    "sessions with a custom variable": f"/data/projects/BIG/experiments?columns={PAGE_COLUMNS}",
    "sessions of a type, as CSV": (
        "/data/projects/BIG/experiments?xsiType=xnat:mrSessionData&format=csv"
    ),
    "all scans of all sessions": (
        "/data/experiments?xsiType=xnat:imageSessionData&project=BIG&format=csv"
        f"&columns={SCAN_COLUMNS}"
    ),
    "one session by label": "/data/projects/BIG/experiments?label=s01000_MR&format=json",
    "scans of one session": "/data/projects/BIG/experiments/s01000_MR/scans?format=json",
    "one session as JSON": "/data/projects/BIG/experiments/s01000_MR?format=json",
    "projects": "/data/projects?format=json",
    "page of the project": "/projects/BIG",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--scans", type=int, default=10, help="scans of each session")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the study")
    parser.add_argument("--work", type=Path, default=None, help="folder for the data")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-", dir=options.work))
    try:
        print(machine() + "\n")
        fill(work / "archive", options.sessions, options.scans)
        with served(work / "archive") as (url, process):
            measure_listings(url)
            measure_files(url, process.pid, work, options.size)
    finally:
        shutil.rmtree(work)


def fill(folder: Path, sessions: int, scans: int) -> None:
    """Make a project with subjects, sessions, variables and scans."""
    archive = Archive(folder)
    with archive.database.write() as connection:
        common = {"project": "BIG", "user": "admin"}
        project = items.create(
            connection,
            "project",
            label="BIG",
            xsi_type="xnat:projectData",
            identifier="BIG",
            parent=None,
            project="",
            user="admin",
        )
        for number in range(sessions):
            label = f"s{number:05d}"
            subject = items.create(
                connection,
                "subject",
                label=label,
                xsi_type="xnat:subjectData",
                parent=project,
                **common,
            )
            session = items.create(
                connection,
                "experiment",
                label=f"{label}_MR",
                xsi_type="xnat:mrSessionData",
                parent=subject,
                **common,
            )
            variable = {"fields/field[name=timepoint]/field": f"t{number % 5}"}
            items.set_fields(connection, session, {"date": "2024-01-31", **variable})
            for scan in range(1, scans + 1):
                made = items.create(
                    connection,
                    "scan",
                    label=str(scan),
                    xsi_type="xnat:mrScanData",
                    identifier=str(scan),
                    parent=session,
                    **common,
                )
                items.set_fields(connection, made, {"type": "T2", "series_description": "T2"})


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Serve a folder in a process of its own."""
    command = [sys.executable, "-m", "sandbox.cli", "serve", "--port", "0", "--json"]
    with subprocess.Popen(
        [*command, "--data", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"], process
        finally:
            process.kill()


def log_in(url: str) -> requests.Session:
    """Return a session that is logged in."""
    session = requests.Session()
    session.trust_env = False
    form = {"username": "admin", "password": "admin"}
    session.post(url + "/data/services/auth", data=form, timeout=60).raise_for_status()
    return session


def measure_listings(url: str) -> None:
    """Print how long listings take."""
    session = log_in(url)
    print("| listing | rows | KB | seconds |\n| --- | ---: | ---: | ---: |")
    for name, path in LISTINGS.items():
        times = []
        for _ in range(ASKED):
            start = time.perf_counter()
            answer = session.get(url + path, timeout=600)
            times.append(time.perf_counter() - start)
            answer.raise_for_status()
        size = len(answer.content) / 1000
        print(f"| {name} | {rows(answer)} | {size:.0f} | {statistics.median(times):.2f} |")
    print()


def rows(answer: requests.Response) -> str:
    """Return how many rows a listing has; empty for what is no listing."""
    kind = answer.headers["content-type"]
    if kind.startswith("text/csv"):
        return str(answer.text.count("\n") - 1)
    found = answer.json().get("ResultSet") if kind.startswith("application/json") else None
    return str(len(found["Result"])) if found else ""


def measure_files(url: str, pid: int, work: Path, size: int) -> None:
    """Print rates of import, upload and download, and the server's memory after each."""
    archive = work / "study.zip"
    count = write_study(archive, size)
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    session = log_in(url)
    print(f"One study of {count} files, {archive.stat().st_size / MIB:.0f} MiB.\n")
    print("| what | seconds | MiB/s | files/s | server's peak MiB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    print(f"| (before) | | | | {peak_mib(pid):.0f} |")
    where = "/archive/projects/BIG/subjects/new/experiments/new_MR"
    upload = "/data/projects/BIG/resources/RAW/files/study.zip?overwrite=true"
    steps = {
        "import as one zip": ("POST", f"/data/services/import?dest={where}", count),
        "upload as one file": ("PUT", upload, 1),
        "download as one file": ("GET", upload.partition("?")[0], 1),
        "download the session as zip": (
            "GET",
            "/data/projects/BIG/experiments/new_MR/scans/ALL/files?format=zip",
            count,
        ),
    }
    for name, (method, path, files) in steps.items():
        start = time.perf_counter()
        moved, found = transfer(session, method, url + path, archive)
        took = time.perf_counter() - start
        if name == "download as one file" and found != digest:
            raise RuntimeError("what came back is not what was sent")
        rate = f"{moved / MIB / took:.0f} | {files / took:.0f}"
        print(f"| {name} | {took:.1f} | {rate} | {peak_mib(pid):.0f} |")


def transfer(session: requests.Session, method: str, url: str, body: Path) -> tuple[int, str]:
    """Send or fetch; return how many bytes moved, and the MD5 of what was fetched."""
    if method != "GET":
        with body.open("rb") as file:
            headers = {"Content-Type": "application/zip"}
            answer = session.request(method, url, data=file, headers=headers, timeout=3600)
        answer.raise_for_status()
        return body.stat().st_size, ""
    moved, digest = 0, hashlib.md5(usedforsecurity=False)
    with session.get(url, stream=True, timeout=3600) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_content(MIB):
            moved += len(chunk)
            digest.update(chunk)
    return moved, digest.hexdigest()


def peak_mib(pid: int) -> float:
    """Return the largest resident memory a process had, in MiB; 0 where it cannot be read."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text("ascii").splitlines() if status.exists() else []
    found = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(found.split()[1]) / 1024


def write_study(path: Path, size: int) -> int:
    """Write a zip of MR images of 256 x 256 pixels in series of 200; return how many."""
    count = max(1, size * MIB // (256 * 256 * 2))
    random = np.random.default_rng(1)
    study = generate_uid()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(count):
            if number % 200 == 0:
                series = generate_uid()
                pixels = random.integers(0, 4096, (256, 256), np.uint16)
            image = make_image(study, series, number, pixels + np.uint16(number % 200))
            buffer = io.BytesIO()
            image.save_as(buffer, enforce_file_format=True)
            archive.writestr(f"{number // 200 + 1}/{number % 200 + 1:04d}.dcm", buffer.getvalue())
    return count


def make_image(study: str, series: str, number: int, pixels: "np.ndarray") -> Dataset:
    """Return one MR image."""
    image = pydicom.Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    image.SeriesNumber, image.InstanceNumber = number // 200 + 1, number % 200 + 1
    image.Modality, image.SeriesDescription = "MR", "T2"
    image.PatientName = image.PatientID = "new"
    image.StudyDate, image.StudyTime = "20240131", "101112"
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = 0
    image.PixelData = pixels.astype(np.uint16).tobytes()
    return image


if __name__ == "__main__":
    main()
