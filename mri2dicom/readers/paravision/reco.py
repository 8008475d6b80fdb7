"""The parameter files around one reconstruction, read when they are needed."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xnat_pic.errors import CorruptDataError

from .frames import FrameGroups, per_frame_items
from .jcamp import Parameters, read_parameters
from .layout import VISU, RecoPath


@dataclass
class Reco:
    """One reconstruction with its parameter files.

    Only ``visu_pars`` is needed; the others enrich it, and a damaged one of them is left out with
    a warning.
    """

    path: RecoPath
    groups: FrameGroups = field(default_factory=lambda: FrameGroups((), 1))
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def visu(self) -> Parameters:
        """Parameters of the image, from the file beside it.

        Raises
        ------
        CorruptDataError
            If it is cut off.
        """
        visu = read_parameters(self.path.folder / VISU)
        if not visu.complete:
            raise CorruptDataError(
                f"{self.path.location}/{VISU} is cut off: its closing ##END= is missing.",
                path=visu.path,
            )
        return visu

    @cached_property
    def method(self) -> Parameters:
        """Parameters of the measurement method."""
        return self._optional(self.path.scan, "method")

    @cached_property
    def acqp(self) -> Parameters:
        """Parameters of the acquisition."""
        return self._optional(self.path.scan, "acqp")

    @cached_property
    def reco(self) -> Parameters:
        """Parameters of the reconstruction."""
        return self._optional(self.path.folder, "reco")

    @cached_property
    def subject(self) -> Parameters:
        """Parameters of subject and study."""
        return self._optional(self.path.study, "subject")

    def _optional(self, folder: Path | None, name: str) -> Parameters:
        if folder is None:
            folder = self.path.folder
        path = folder / name
        if not path.is_file():
            return Parameters(path=path)
        try:
            parameters = read_parameters(path)
        except (OSError, CorruptDataError) as error:
            self.warnings.append(f"The file {name} cannot be read and is left out ({error}).")
            return Parameters(path=path)
        if not parameters.complete and parameters.records:
            parameters.records.popitem()
            self.warnings.append(f"The file {name} is cut off; what it still holds is used.")
        return parameters

    def _file(self, name: str) -> tuple[Parameters, str]:
        prefix, colon, rest = name.partition(":")
        if not colon:
            return self.visu, name
        return {
            "method": self.method,
            "acqp": self.acqp,
            "reco": self.reco,
            "subject": self.subject,
        }[prefix], rest

    @property
    def is_map(self) -> bool:
        """Tell whether loops run over computed maps; these lack the loops they came from."""
        marks = ("FG_ISA", "FG_DTI", "FG_CONTRAST_MAP")
        return any(group.identifier in marks for group in self.groups.groups)

    def items(self, name: str) -> list[Any]:
        """Return a parameter's items (``method:PVM_X``, or a bare name for the Visu file).

        A damaged enriching parameter counts as missing, with a warning.
        """
        file, rest = self._file(name)
        try:
            return file.items(rest)
        except CorruptDataError as error:
            if file is self.visu:
                raise
            self.warnings.append(error.message)
            return []

    def first(self, *names: str) -> Any:
        """Return the first item of the first parameter that has one; None without any."""
        for name in names:
            items = self.items(name)
            if items and not (isinstance(items[0], str) and not items[0].strip()):
                return items[0]
        return None

    def number(self, *names: str) -> float | None:
        """Return the first item of the first parameter that is a finite number."""
        for name in names:
            items = self.items(name)
            if items and isinstance(items[0], (int, float)) and math.isfinite(items[0]):
                return float(items[0])
        return None

    def numbers(self, name: str) -> list[float]:
        """Return the items as finite numbers; empty where one is not."""
        items = self.items(name)
        numbers = [
            float(item) for item in items if isinstance(item, (int, float)) and math.isfinite(item)
        ]
        return numbers if len(numbers) == len(items) else []

    def per_frame(self, name: str) -> list[Any] | None:
        """Return a parameter's item for each frame; None where it is missing or fits no loop."""
        file, rest = self._file(name)
        if not self.items(name):
            return None
        return per_frame_items(file, self.groups, rest)
