"""Check, upload and proof of a study, beside another state of the suite and beside plain reading.

Run ``python benchmarks/proof.py --before DIR [--size MIB] [--runs N] [--work DIR]``. DIR is a work
tree of an earlier commit. Both states check, upload and verify the same study, in turn, each
against a sandbox of this tree with an archive of its own; the peer of a proof of decoded pixels is
a program that reads every file of the archive once.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import requests
from archive import served
from measure import Cost, machine, run
from upload import JOBS, MIB, keep_bytes, write_study

ROOT = Path(__file__).resolve().parents[1]
READ = "from proof import read_all; import sys; read_all(sys.argv[1])"


def read_all(url: str) -> None:
    """Read every file of the archive once, a session at a time, as one zip."""
    with requests.Session() as session:
        session.auth = ("admin", "admin")
        rows = session.get(f"{url}/data/projects/OURS/experiments?format=json", timeout=60).json()
        for row in rows["ResultSet"]["Result"]:
            path = f"{url}/data/experiments/{row['ID']}/scans/ALL/files?format=zip"
            with session.get(path, stream=True, timeout=600) as answer:
                answer.raise_for_status()
                for _ in answer.iter_content(MIB):
                    pass


def time_commands(tree: Path, url: str, study: Path, work: Path) -> dict[str, Cost]:
    """Return what the commands of a state of the suite took."""
    benchmarks = str(Path(__file__).parent)
    os.environ.update(
        PYTHONPATH=os.pathsep.join([str(tree), benchmarks]),
        XNAT_PIC_SERVER=url,
        XNAT_PIC_USER="admin",
        XNAT_PIC_PASSWORD="admin",
        XNAT_PIC_HOME=str(work / "home"),
    )
    command = [sys.executable, "-m", "uploader.cli"]
    plan = work / "plan.csv"
    run([*command, "scan", study, "--project", "OURS", "--layout", "{subject}", "-o", plan])
    found = {
        "check": run([*command, "check", plan, "--create-project"]),
        "upload": run([*command, "upload", plan, "--create-project", "--jobs", str(JOBS)]),
        "verify": run([*command, "verify", plan]),
    }
    if tree == ROOT:
        found["verify --level pixels"] = run([*command, "verify", plan, "--level", "pixels"])
        found["read once"] = run([sys.executable, "-c", READ, url])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="work tree of another state")
    parser.add_argument("--size", type=int, default=512, help="MiB of the study")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, help="folder to work in, such as one in memory")
    options = parser.parse_args()
    found: dict[Path, list[dict[str, Cost]]] = {options.before.resolve(): [], ROOT: []}
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        work = Path(name)
        sessions = write_study(work / "study", options.size)
        for k in range(options.runs + 1):
            for tree in list(found)[:: 1 if k % 2 else -1]:
                mine = work / f"{'after' if tree == ROOT else 'before'}-{k}"
                mine.mkdir()
                os.environ["PYTHONPATH"] = str(ROOT)
                with served(mine / "archive") as (url, _server):
                    keep_bytes(url)
                    costs = time_commands(tree, url, work / "study", mine)
                if k:  # the first pair is not counted
                    found[tree].append(costs)
                shutil.rmtree(mine)
    before, after = found.values()
    print(f"\n{options.size} MiB in {sessions} sessions; {machine()}. {options.runs} pairs.\n")
    print("| what | cpu s before | after | after / before, pair by pair | wall, pair by pair |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in ("check", "upload", "verify"):
        pairs = [(one[name], two[name]) for one, two in zip(before, after, strict=True)]
        cpu = sorted(new.cpu_s / old.cpu_s for old, new in pairs)
        wall = sorted(new.wall_s / old.wall_s for old, new in pairs)
        middle = [statistics.median(one.cpu_s for one in two) for two in zip(*pairs, strict=True)]
        print(f"| {name} | {middle[0]:.2f} | {middle[1]:.2f} | {_list(cpu)} | {_list(wall)} |")
    ratios = sorted(one["verify --level pixels"].wall_s / one["read once"].wall_s for one in after)
    print(f"\nverify --level pixels / reading every file once, wall: {_list(ratios)}.")


def _list(ratios: list[float]) -> str:
    return ", ".join(f"{one:.2f}" for one in ratios)


if __name__ == "__main__":
    main()
