"""What the tests of imports share: a site with projects, and calls as curl makes them."""

from typing import Any

from archive_server import Served
from dicoms import make_zip
from emptied import emptied
from pydicom.dataset import Dataset

ZIP = {"Content-Type": "application/zip"}


DICOM = {"Content-Type": "application/dicom"}


IMPORT = "/data/services/import"


EXISTS = "Session already exists, retry with overwrite enabled"


MATCHING = "Session already exists with matching files."


def study_site(server: Served) -> Served:
    served = emptied(server)
    assert served.put("/data/projects/P1").status_code == 200
    assert served.put("/data/projects/P2").status_code == 200
    return served


def set_code(site: Served, code: str, project: str = "P1") -> None:
    """Give a project a prearchive code; a new one has 4, which archives by itself."""
    assert site.put(f"/data/projects/{project}/prearchive_code/{code}").status_code == 200


def send(site: Served, objects: list[Dataset], **params: str) -> Any:
    return site.post(IMPORT, params=params, data=make_zip(objects), headers=ZIP)


def archive(site: Served, objects: list[Dataset], **params: str) -> Any:
    return send(site, objects, dest="/archive/projects/P1", **params)


def waiting(site: Served) -> list[dict[str, str]]:
    return site.rows("/data/prearchive/projects")


def states(site: Served) -> list[str]:
    return [row["status"] for row in waiting(site)]


def sessions(site: Served, project: str = "P1") -> list[str]:
    return [row["label"] for row in site.rows(f"/data/projects/{project}/experiments")]


def scans(site: Served, label: str = "mouse1_MR1") -> dict[str, int]:
    """Scan IDs with how many files each has."""
    base = f"/data/projects/P1/experiments/{label}/scans"
    return {row["ID"]: len(site.rows(f"{base}/{row['ID']}/files")) for row in site.rows(base)}


def heading(answer: Any) -> str:
    text: str = answer.text
    assert "<br>" in text
    return text[text.index("<h3>") + 4 : text.index("</h3>")]


def contents(site: Served) -> int:
    return sum(p.is_file() for p in (site.archive.folder / "blobs").rglob("*"))
