"""The folder of a demonstration: what lies where, and what it was asked for."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xnat_pic.errors import WrongCallError, XnatPicError
from xnat_pic.files import write_file

PROJECT = "DEMO"
_OWN = "demo.json"


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes
    ----------
    animals : int
        In each arm: the untreated, and those of each dose.
    doses : int
        Of the treatment.
    matrix : int
        Pixels along the longest axis of an image.
    workers : int
        Processes at the same time.
    port : int
        Of the archive; 0 takes a free one.
    wait_s : float
        Seconds after which a run in the archive is given up.
    """

    animals: int = 3
    doses: int = 2
    matrix: int = 64
    workers: int = 2
    port: int = 0
    wait_s: float = 1800.0


@dataclass(frozen=True)
class DemoFolder:
    """The folder."""

    folder: Path

    @property
    def scanner(self) -> Path:
        """What the scanners write."""
        return self.folder / "scanner"

    @property
    def truth(self) -> Path:
        """What is known of it."""
        return self.folder / "scanner_truth"

    @property
    def dicom(self) -> Path:
        """What it is converted to."""
        return self.folder / "dicom"

    @property
    def catalog(self) -> Path:
        """The pipelines."""
        return self.folder / "catalog"

    @property
    def installation(self) -> Path:
        """What the administrator asks for."""
        return self.folder / "installation.toml"

    @property
    def archive(self) -> Path:
        """The data of the archive."""
        return self.folder / "archive"

    @property
    def plan(self) -> Path:
        """The plan of the upload."""
        return self.folder / "plan.csv"

    @property
    def home(self) -> Path:
        """Settings, apart from the person's own."""
        return self.folder / "home"

    @property
    def logs(self) -> Path:
        """What the programs said."""
        return self.folder / "logs"

    @property
    def summary(self) -> Path:
        """The page and the tables of the study."""
        return self.folder / "summary"

    def begin(self) -> None:
        """Make the folder new.

        Raises
        ------
        XnatPicError
            If it holds what no demonstration left there, or its archive is still served; nothing
            is touched then.
        """
        if self.folder.exists():
            if any(self.folder.iterdir()) and not (self.folder / _OWN).is_file():
                raise XnatPicError(
                    f"The folder {self.folder} holds files that are not of this demonstration.",
                    hint="Remove them yourself, or name another folder.",
                )
            self._check_ended()
            for one in sorted(self.folder.iterdir()):
                if one.name == _OWN:
                    continue  # the last to go: without it the folder would not be taken again
                shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write_notes({})

    def _check_ended(self) -> None:
        from ..archive.serving import lock_folder  # loads the server

        if not self.archive.is_dir():
            return
        try:
            lock_folder(self.archive).close()
        except WrongCallError as error:
            raise XnatPicError(
                f"The archive of the last demonstration in {self.folder} is still served.",
                hint="End it with Ctrl+C in its window, then start again.",
            ) from error

    def renew(self, *paths: Path) -> None:
        """Remove what an earlier run of a stage left at its own paths."""
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)

    def read_notes(self) -> dict[str, Any]:
        """Return what the stages noted.

        Raises
        ------
        XnatPicError
            If no demonstration was begun here.
        """
        try:
            notes: dict[str, Any] = json.loads((self.folder / _OWN).read_text(encoding="utf-8"))
            Options(**notes["options"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise XnatPicError(
                f"{self.folder} holds no demonstration yet.", hint="Start with --stage mouse."
            ) from error
        return notes

    def write_notes(self, notes: dict[str, Any]) -> None:
        """Keep what the stages noted."""
        write_file(self.folder / _OWN, json.dumps(notes, indent=1) + "\n")

    def studies(self) -> list[Study]:
        """Return the studies of the mice.

        Raises
        ------
        XnatPicError
            If there are none.
        """
        try:
            content = json.loads((self.truth / "mice.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise XnatPicError(
                "There are no mice yet.", hint="Run the stage mouse first."
            ) from error
        known = ("subject", "group", "dose", "timepoint", "path")
        return [Study(**{name: row[name] for name in known}) for row in content["studies"]]


@dataclass(frozen=True)
class Study:
    """One animal at one timepoint.

    Attributes
    ----------
    path : str
        Below the folder of the scanner, of the truth and of the DICOM files.
    """

    subject: str
    group: str
    dose: str
    timepoint: str
    path: str

    @property
    def session(self) -> str:
        """Label of its MR session."""
        return f"{self.subject}_{self.timepoint}_MR"

    @property
    def values(self) -> dict[str, str]:
        """Its variables."""
        all_of_it = asdict(self)
        return {name: all_of_it[name] for name in ("group", "dose", "timepoint")}


def typed(path: Path) -> str:
    """Return a path as it is typed in a shell from here."""
    return shlex.quote(short(path))


def short(path: Path) -> str:
    """Return a path as it is typed from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
