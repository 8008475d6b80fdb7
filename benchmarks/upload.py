"""Upload of a large study beside posting the same zips with requests; scan of many files.

Run ``python benchmarks/upload.py [--size MIB] [--files N] [--work DIR]``. It makes a study of that
size (sessions of eight series), serves an empty sandbox archive in a process of its own, and
measures ``xnat-pic-uploader upload`` as a whole process, headers read and everything counted, and
as its peer a program that only posts zips made beforehand and archives, as many at a time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
from archive import served
from measure import Cost, machine, run
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from scan import FILES, make_files, time_scan

MIB = 2**20
SERIES = 8
FILES_IN_SERIES = 32
MATRIX = 512  # 512 KiB a file
JOBS = 4
_SESSION_MIB = SERIES * FILES_IN_SERIES * MATRIX * MATRIX * 2 // MIB


def write_study(folder: Path, size: int) -> int:
    """Write sessions of about that many MiB together; return their number."""
    dataset = _header()
    noise = np.random.default_rng(1)
    sessions = max(size // _SESSION_MIB, 1)
    for session in range(sessions):
        for series in range(SERIES):
            place = folder / f"m{session:03}" / f"{series + 1}"
            place.mkdir(parents=True)
            for instance in range(FILES_IN_SERIES):
                dataset.PatientID = dataset.PatientName = f"m{session:03}"
                dataset.StudyInstanceUID = f"2.25.4{session:04}"
                dataset.SeriesInstanceUID = f"2.25.5{session:04}{series:02}"
                dataset.SeriesNumber = series + 1
                uid = f"2.25.6{session:04}{series:02}{instance:05}"
                dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
                dataset.InstanceNumber = instance + 1
                dataset.PixelData = noise.bytes(MATRIX * MATRIX * 2)
                dataset.save_as(place / f"{uid}.dcm", enforce_file_format=True)
    return sessions


def _header() -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MRImageStorage
    dataset.Modality = "MR"
    dataset.StudyDate = "20240109"
    dataset.StudyTime = "080000"
    dataset.SeriesDescription = "benchmark"
    dataset.Rows = dataset.Columns = MATRIX
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    return dataset


def write_zips(study: Path, zips: Path) -> None:
    """Write one stored zip for each series, as the peer posts them."""
    for series in sorted(study.glob("*/*")):
        path = zips / series.parent.name / f"{series.name}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(series.iterdir()):
                archive.write(file, file.name)


def post_all(url: str, zips: Path, project: str) -> None:
    """Post every zip and archive every session: what the peer does, and nothing else."""
    session = requests.Session()
    session.auth = ("admin", "admin")
    session.put(f"{url}/data/projects/{project}").raise_for_status()

    def post(folder: Path) -> None:
        target = f"/prearchive/projects/{project}"
        names = {"project": project, "subject": folder.name, "session": f"{folder.name}_MR"}
        for path in sorted(folder.iterdir()):
            with path.open("rb") as body:
                answer = session.post(
                    f"{url}/data/services/import",
                    params={"dest": target, **names},
                    data=body,
                    headers={"Content-Type": "application/zip"},
                )
            answer.raise_for_status()
            target = answer.text.strip().removeprefix("/data")
        session.post(
            f"{url}/data/services/archive",
            params={"src": target, **names},
            allow_redirects=False,  # 303 where the project archives by itself: it is done
        ).raise_for_status()

    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(post, sorted(zips.iterdir())))


def time_upload(url: str, study: Path, work: Path) -> tuple[Cost, Cost]:
    """Return what an upload and a verification took."""
    uploader = [sys.executable, "-m", "uploader.cli"]
    plan = work / "plan.csv"
    os.environ.update(
        XNAT_PIC_SERVER=url,
        XNAT_PIC_USER="admin",
        XNAT_PIC_PASSWORD="admin",
        XNAT_PIC_HOME=str(work / "home"),
    )
    run([*uploader, "scan", study, "--project", "OURS", "--layout", "{subject}", "-o", plan])
    upload = run([*uploader, "upload", plan, "--create-project", "--jobs", str(JOBS)])
    found = subprocess.run(
        [*map(str, uploader), "verify", str(plan), "--json"], capture_output=True, text=True
    )
    proofs = {row["proof"] for row in json.loads(found.stdout)["rows"]}
    assert proofs == {"checksummed"}, proofs
    return upload, run([*uploader, "verify", plan])


def measure_upload(work: Path, size: int, runs: int) -> None:
    """Upload and post the same study, in turns on fresh archives; print the medians.

    Each goes first in every other pair: what else the machine does then meets both alike.
    """
    study, zips = work / "study", work / "zips"
    sessions = write_study(study, size)
    write_zips(study, zips)
    total = sum(path.stat().st_size for path in study.rglob("*.dcm")) / MIB
    ours, peers, verified = [], [], []
    for k in range(runs):
        for who in ("peer", "ours") if k % 2 == 0 else ("ours", "peer"):
            folder = work / f"archive-{who}-{k}"
            with served(folder) as (url, _server):
                keep_bytes(url)
                if who == "peer":
                    code = "from upload import post_all; from pathlib import Path; import sys;"
                    code += "post_all(sys.argv[1], Path(sys.argv[2]), 'PEER')"
                    peers.append(run([sys.executable, "-c", code, url, zips]))
                else:
                    mine = work / f"ours-{k}"
                    mine.mkdir()
                    upload, verify = time_upload(url, study, mine)
                    ours.append(upload)
                    verified.append(verify)
            shutil.rmtree(folder)
    middle = {
        "xnat-pic-uploader upload": _median(ours),
        "requests: post the same zips, archive": _median(peers),
        "xnat-pic-uploader verify": _median(verified),
    }
    ratios = sorted(one.wall_s / peer.wall_s for one, peer in zip(ours, peers, strict=True))
    peer = middle["requests: post the same zips, archive"].wall_s
    print(
        f"\n{total:.0f} MiB in {sessions} sessions of {SERIES} series of {FILES_IN_SERIES} files, "
        f"{JOBS} at a time; {machine()}. Median of {runs} runs; whole processes.\n"
    )
    print("| what | wall s | cpu s | peak MiB | wall / requests |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, cost in middle.items():
        print(
            f"| {name} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_mib:.0f} "
            f"| {cost.wall_s / peer:.2f} |"
        )
    print(f"\nUpload / requests, pair by pair: {', '.join(f'{one:.2f}' for one in ratios)}.")


def _median(costs: list[Cost]) -> Cost:
    return sorted(costs, key=lambda cost: cost.wall_s)[len(costs) // 2]


def measure_scan(work: Path, count: int) -> None:
    """Print what the scan of many files took."""
    make_files(work / "many", count)
    costs = time_scan(work / "many")
    print(f"\nScan of {costs.files} files.\n")
    print("| what | wall s | peak MiB | wall / pydicom |")
    print("| --- | ---: | ---: | ---: |")
    for name, cost in (
        ("xnat-pic-uploader scan", costs.scan),
        ("pydicom alone, headers", costs.pydicom),
    ):
        ratio = cost.wall_s / costs.pydicom.wall_s
        print(f"| {name} | {cost.wall_s:.1f} | {cost.peak_mib:.0f} | {ratio:.2f} |")


def keep_bytes(url: str) -> None:
    """Switch the site's anonymisation off: sending is measured, and what `verify` lists."""
    requests.put(
        f"{url}/xapi/anonymize/site/enabled", params={"enable": "false"}, json=False,
        auth=("admin", "admin"), timeout=30,
    ).raise_for_status()  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="MiB of the study")
    parser.add_argument("--files", type=int, default=FILES, help="files to scan; 0 for none")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder to work in, such as one in memory")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")])
    )
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        measure_upload(Path(folder), options.size, options.runs)
        if options.files:
            measure_scan(Path(folder), options.files)


if __name__ == "__main__":
    main()
