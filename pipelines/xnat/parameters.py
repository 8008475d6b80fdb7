"""What was asked for: inputs of the catalog as text, checked, and as options of the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnat_pic.errors import WrongCallError

from ..catalog import Pipeline, load_catalog
from ..outputs.uids import parameter_hash

if TYPE_CHECKING:
    from ..fitting.data import MapOptions
    from ..maps.suv import SuvOptions
    from ..regions.run import Wishes

MASK_AVERAGE = "mask-average"
_MOST_PPM = 100.0
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
# Inputs that choose what is worked on, or how; the numbers do not depend on them.
_CHOOSING = (
    *("scans", "anatomical_scan", "parametric_scan", "rois", "made_with"),
    *("redo", "workers", "scheduler"),
)


@dataclass(frozen=True)
class Asked:
    """What a pipeline was asked for.

    Attributes
    ----------
    pipeline : Pipeline
        The session pipeline.
    per_subject : bool
        Results go to the subject, as those of project runs do.
    command, model : str
        The map or ``mask-average``; the model, empty for the command's own choice.
    values : mapping of str to str
        Every input with its value or default.
    key : str
        Hash of what decides about the numbers, images apart.
    """

    pipeline: Pipeline
    per_subject: bool
    command: str
    model: str
    values: Mapping[str, str]
    key: str

    def listed(self, name: str) -> tuple[str, ...]:
        """Return the parts of a list that commas or blanks divide; empty where none was given."""
        text = self.values.get(name, "")
        return tuple(dict.fromkeys(text.strip("[]").replace(",", " ").split()))

    def flag(self, name: str) -> bool:
        """Tell whether a boolean input is true."""
        return self.values.get(name, "") == "true"

    @property
    def folder(self) -> str:
        """Name of a result's folder: the same for the same parameters, another for others."""
        parts = [self.command, self.model, self.key[:8]]
        return "-".join(part for part in parts if part)


def find_pipeline(pipeline: str | Pipeline) -> Pipeline:
    """Return a pipeline by its name.

    Raises
    ------
    WrongCallError
        Where there is none.
    """
    if isinstance(pipeline, Pipeline):
        return pipeline
    try:
        return load_catalog().pipeline(pipeline)
    except KeyError:
        known = ", ".join(one.name for one in load_catalog().pipelines)
        raise WrongCallError(
            f"There is no pipeline {pipeline}.", hint=f"There are {known}."
        ) from None


def ask(pipeline: str | Pipeline, parameters: Mapping[str, str]) -> Asked:
    """Check parameters and return what they ask for.

    Raises
    ------
    WrongCallError
        For a name or a value that the pipeline does not know.
    """
    named = find_pipeline(pipeline)
    given = {name: value.strip() for name, value in parameters.items() if value.strip()}
    unknown = sorted(set(given) - {one.name for one in named.inputs} - {"redo"})
    if unknown:
        known = ", ".join(one.name for one in named.inputs)
        raise WrongCallError(
            f"{named.name} has no input {', '.join(unknown)}.", hint=f"It has these: {known}."
        )
    own = find_pipeline(named.session) if named.session else named
    values = {}
    for one in {two.name: two for two in (*own.inputs, *named.inputs)}.values():
        values[one.name] = _checked(one, given.get(one.name, one.default))
    if "redo" in given:
        values["redo"] = _boolean("redo", given["redo"])
    model = values.get("model", "")
    command = own.models.get(model, own.command)
    if command != own.command or (model == "auto" and own.command == "dwi"):
        model = ""  # the model is the command itself, or its own choice
    deciding = {k: v for k, v in values.items() if k not in _CHOOSING and k != "model"}
    asked = Asked(
        pipeline=own,
        per_subject=named.level == "project",
        command=command,
        model=model,
        values=values,
        key=parameter_hash([command, model, sorted(deciding.items())]),
    )
    if command == "suv":
        suv_options(asked)
    elif command == MASK_AVERAGE:
        wishes(asked)
    else:
        options(asked)
    return asked


def _checked(one: Any, value: str) -> str:
    if one.type == "boolean":
        return _boolean(one.name, value)
    if one.type == "choice" and value and value not in one.choices:
        raise WrongCallError(
            f"{value!r} is no choice for {one.name}.", hint=f"Choose {', '.join(one.choices)}."
        )
    return value


def _boolean(name: str, value: str) -> str:
    if value.lower() in _YES:
        return "true"
    if value.lower() in _NO or not value:
        return "false"
    raise WrongCallError(
        f"{value!r} is neither true nor false, for {name}.", hint="Give one of them."
    )


def _number(asked: Asked, name: str, kind: type, auto: Any) -> Any:
    text = asked.values.get(name, "")
    if text in ("", "auto"):
        return auto
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        word = "a number of 0 or more" + (", nor auto" if auto == "auto" else "")
        raise WrongCallError(f"{text!r} is not {word}, for {name}.", hint="Correct the value.")
    return value


def options(asked: Asked, b0: Path | None = None) -> MapOptions:
    """Return the options of a fit; `b0` is a folder with the images of the B0 scan.

    Raises
    ------
    WrongCallError
    """
    from ..fitting.data import MapOptions
    from ..fitting.fit import check_options

    numbers: list[float] = []
    ranges: list[str] = []
    for part in asked.values.get("offsets", "").replace(",", " ").split():
        try:
            numbers.append(float(part))
        except ValueError:
            ranges.append(part)
    if any(not 0 < number <= _MOST_PPM for number in numbers):
        raise WrongCallError(
            f"{asked.values['offsets']!r} is no list of offsets above 0.",
            hint="Write it like 3.5,2.0 (ppm).",
        )
    made = MapOptions(
        sigma=_number(asked, "sigma", float, "auto") or None,
        model=asked.model,
        skip_echoes=_number(asked, "skip_echoes", int, "auto"),
        offsets_ppm=tuple(numbers),
        windows=tuple(ranges),
        b0=b0,
    )
    check_options(asked.command, made)
    return made


def suv_options(asked: Asked) -> SuvOptions:
    """Return the options of a SUV map.

    Raises
    ------
    WrongCallError
    """
    from ..maps.suv import SuvOptions

    text = asked.values.get("injection_time", "")
    try:
        injected = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise WrongCallError(
            f"{text!r} is no time of injection.", hint="Write it like 2024-01-08 10:30:00."
        ) from None
    return SuvOptions(
        weight_g=_number(asked, "weight_g", float, None) or None,
        dose_mbq=_number(asked, "dose_mbq", float, None) or None,
        injected=injected.replace(tzinfo=None) if injected else None,
        frame=_number(asked, "frame", int, None) or None,
    )


def wishes(asked: Asked) -> Wishes:
    """Return the choices of a measurement of ROIs."""
    from ..regions.run import Wishes

    return Wishes(
        rasterizer=asked.values.get("rasterizer") or "ours",
        assume_aligned=asked.flag("assume_aligned"),
        keep_flagged=asked.flag("keep_flagged"),
    )
