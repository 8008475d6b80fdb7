"""Killed at any moment, an archive holds every listed file and no half session."""

import contextlib
import hashlib
import random
import threading
import time
from pathlib import Path

import pytest
import requests
from dicoms import Study, make_study, make_zip
from process import Process, process

from sandbox.archive.archive import Archive

SERIES, INSTANCES = 2, 15
ROUNDS = 5
ZIP = {"Content-Type": "application/zip"}
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def studies() -> list[bytes]:
    """Zips of small studies, each with a label of its own."""
    return [make_zip(make_study(Study(f"m{n}", f"m{n}_MR"), SERIES, INSTANCES)) for n in range(12)]


def work(
    server: Process,
    studies: list[bytes],
    seed: int,
    stop: threading.Event,
    imported: threading.Semaphore,
) -> None:
    """Import, upload, replace, unpack, archive and delete until the server is gone."""
    order = random.Random(seed)
    session = server.session()
    files = server.url + f"/data/projects/P1/resources/R{seed}/files"
    with contextlib.suppress(requests.RequestException):
        while not stop.is_set():
            data = order.choice(studies)
            dest, overwrite = order.choice(
                [("/archive", "delete"), ("/archive", "append"), ("/prearchive", "append")]
            )
            query = f"dest={dest}/projects/P1&overwrite={overwrite}"
            answer = session.post(
                f"{server.url}/data/services/import?{query}", data=data, headers=ZIP, timeout=30
            )
            imported.release()
            if answer.ok and dest == "/prearchive" and order.random() < 0.5:
                src = answer.text.strip()
                session.post(
                    f"{server.url}/data/services/archive?src={src}&overwrite=append", timeout=30
                )
            body = order.randbytes(order.randrange(1, 200_000))
            name = order.choice("abc")
            session.put(f"{files}/{name}?overwrite=true", data=body, headers=OCTETS, timeout=30)
            session.put(
                f"{files}/s.zip?extract=true&overwrite=true", data=data, headers=ZIP, timeout=30
            )
            if order.random() < 0.2:
                session.delete(f"{files}/{order.choice('abc')}", timeout=30)


def check(folder: Path) -> tuple[int, int]:
    """Open an archive that was killed; return how many sessions are archived and waiting."""
    archive = Archive(folder)
    with archive.database.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        listed = connection.execute(
            "SELECT blob, size, digest FROM file"
            " UNION ALL SELECT blob, size, digest FROM prearchive_file"
        ).fetchall()
        archived = connection.execute(
            "SELECT count(DISTINCT item.pk), count(path) FROM item AS session"
            " LEFT JOIN item ON item.parent = session.pk AND item.kind = 'scan'"
            " LEFT JOIN resource ON resource.item = item.pk"
            " LEFT JOIN file ON file.resource = resource.pk"
            " WHERE session.kind = 'experiment' GROUP BY session.pk"
        ).fetchall()
        waiting = connection.execute(
            "SELECT count(path), status FROM prearchive"
            " LEFT JOIN prearchive_file ON prearchive_file.prearchive = prearchive.pk"
            " GROUP BY prearchive.pk"
        ).fetchall()
    for row in listed:
        data = archive.blobs.path(row["blob"]).read_bytes()
        assert (len(data), hashlib.md5(data).hexdigest()) == (row["size"], row["digest"])
    assert len({row["blob"] for row in listed}) == len(listed)
    on_disk = [p for p in (folder / "blobs").rglob("*") if p.is_file()]
    assert len(on_disk) == len(listed)
    assert {tuple(row) for row in archived} <= {(SERIES, SERIES * INSTANCES)}
    assert {row[0] for row in waiting} <= {SERIES * INSTANCES}
    # One that was killed before its session was built is still being received.
    assert {row[1] for row in waiting} <= {"READY", "CONFLICT", "RECEIVING"}
    return len(archived), len(waiting)


def test_kill_during_imports(tmp_path: Path, studies: list[bytes]) -> None:
    folder = tmp_path / "archive"
    order = random.Random(7)
    archived = 0
    for number in range(ROUNDS):
        with process(folder) as server:
            session = server.session()
            if number == 0:
                assert session.put(server.url + "/data/projects/P1", timeout=30).ok
            else:
                assert session.get(server.url + "/data/projects/P1/files", timeout=30).ok
            stop, imported = threading.Event(), threading.Semaphore(0)
            workers = [
                threading.Thread(
                    target=work, args=(server, studies, 2 * number + k, stop, imported)
                )
                for k in range(2)
            ]
            for one in workers:
                one.start()
            # However busy the machine is, something was done before the kill.
            for _ in range(order.randrange(1, 6)):
                assert imported.acquire(timeout=60)
            time.sleep(order.uniform(0, 0.3))
            server.kill()
            stop.set()
            for one in workers:
                one.join()
        archived, _ = check(folder)
    assert archived > 0
