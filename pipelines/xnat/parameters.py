"""Parameters of a run: inputs of the catalog as text, checked, and as options of the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnat_pic.errors import WrongCallError

from ..catalog import Pipeline, load_catalog
from ..outputs.uids import parameter_hash
from .form_values import named, read_boolean, read_value, shown

if TYPE_CHECKING:
    from ..fitting.data import MapOptions
    from ..maps.suv import SuvOptions
    from ..regions.run import RoiOptions

MASK_AVERAGE = "mask-average"
_MOST_PPM = 100.0
# Inputs that choose what is worked on, or how; the numbers do not depend on them.
_CHOOSING = (
    *("scans", "anatomical_scan", "parametric_scan", "rois", "made_with"),
    *("redo", "workers", "scheduler"),
)


@dataclass(frozen=True)
class RunParameters:
    """The parameters of a pipeline run, checked.

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
        known = ", ".join(entry.name for entry in load_catalog().pipelines)
        raise WrongCallError(
            f"There is no pipeline {pipeline}.", hint=f"There are {known}."
        ) from None


def parse_parameters(pipeline: str | Pipeline, parameters: Mapping[str, str]) -> RunParameters:
    """Check parameters and return what they ask for.

    Raises
    ------
    WrongCallError
        For a name or a value that the pipeline does not know.
    """
    asked = find_pipeline(pipeline)
    given = {name: value.strip() for name, value in parameters.items() if value.strip()}
    unknown = sorted(set(given) - {entry.name for entry in asked.inputs} - {"redo"})
    if unknown:
        known = ", ".join(entry.name for entry in asked.inputs)
        raise WrongCallError(
            f"{asked.name} has no input {', '.join(unknown)}.", hint=f"It has these: {known}."
        )
    own = find_pipeline(asked.session) if asked.session else asked
    values = {}
    for entry in {two.name: two for two in (*own.inputs, *asked.inputs)}.values():
        values[entry.name] = read_value(entry, given.get(entry.name, ""))
    if "redo" in given:
        values["redo"] = read_boolean("redo", given["redo"])
    model = values.get("model", "")
    command = own.models.get(model, own.command)
    if command != own.command or (model == "auto" and own.command == "dwi"):
        model = ""  # the model is the command itself, or its own choice
    deciding = {k: v for k, v in values.items() if k not in _CHOOSING and k != "model"}
    run_parameters = RunParameters(
        pipeline=own,
        per_subject=asked.level == "project",
        command=command,
        model=model,
        values=values,
        key=parameter_hash([command, model, sorted(deciding.items())]),
    )
    if command == "suv":
        suv_options(run_parameters)
    elif command == MASK_AVERAGE:
        roi_options(run_parameters)
    else:
        map_options(run_parameters)
    return run_parameters


def _number(
    run_parameters: RunParameters, name: str, kind: type, auto: Any, *, above_0: bool = False
) -> Any:
    text = run_parameters.values.get(name, "")
    if text in ("", "auto"):
        return auto
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf") or (above_0 and not value):
        word = "a number above 0" if above_0 else "a number of 0 or more"
        word += ", nor auto" if auto == "auto" else ""
        asked = named(run_parameters.pipeline.input(name))
        raise WrongCallError(
            f"{shown(text)} is not {word}, for {asked}.", hint="Correct the value."
        )
    return value


def map_options(run_parameters: RunParameters, b0: Path | None = None) -> MapOptions:
    """Return the options of a fit; `b0` is a folder with the images of the B0 scan.

    Raises
    ------
    WrongCallError
    """
    from ..fitting.data import MapOptions
    from ..fitting.fit import check_options

    numbers: list[float] = []
    ranges: list[str] = []
    for part in run_parameters.values.get("offsets", "").replace(",", " ").split():
        try:
            numbers.append(float(part))
        except ValueError:
            ranges.append(part)
    if any(not 0 < number <= _MOST_PPM for number in numbers):
        raise WrongCallError(
            f"{shown(run_parameters.values['offsets'])} is no list of offsets above 0.",
            hint="Write it like 3.5,2.0 (ppm).",
        )
    made = MapOptions(
        sigma=_number(run_parameters, "sigma", float, "auto") or None,
        model=run_parameters.model,
        skip_echoes=_number(run_parameters, "skip_echoes", int, "auto"),
        offsets_ppm=tuple(numbers),
        windows=tuple(ranges),
        b0=b0,
    )
    check_options(run_parameters.command, made)
    return made


def suv_options(run_parameters: RunParameters) -> SuvOptions:
    """Return the options of a SUV map.

    Raises
    ------
    WrongCallError
    """
    from ..maps.suv import SuvOptions

    text = run_parameters.values.get("injection_time", "")
    try:
        injected = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise WrongCallError(
            f"{shown(text)} is no time of injection.", hint="Write it like 2024-01-08 10:30:00."
        ) from None
    return SuvOptions(
        weight_g=_number(run_parameters, "weight_g", float, None, above_0=True),
        dose_mbq=_number(run_parameters, "dose_mbq", float, None, above_0=True),
        injected=injected.replace(tzinfo=None) if injected else None,
        frame=_number(run_parameters, "frame", int, None, above_0=True),
    )


def roi_options(run_parameters: RunParameters) -> RoiOptions:
    """Return the choices of a measurement of ROIs."""
    from ..regions.run import RoiOptions

    return RoiOptions(
        rasterizer=run_parameters.values.get("rasterizer") or "ours",
        assume_aligned=run_parameters.flag("assume_aligned"),
        keep_flagged=run_parameters.flag("keep_flagged"),
    )
