"""The tables and texts of a BIDS data set: participants, sessions, description, README."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xnat_config.variables import Variables
from xnat_pic.text import one_line
from xnat_pic.version import version

from ..outputs.nifti import write_sidecar
from .about import About
from .sidecars import UNKNOWN, rules

DERIVATIVE = "derivatives/xnat-pic"
RESULTS = "derivatives/xnat-pic-results"
IGNORED = ("ro-crate-metadata.json", "datacite.json", "fair.json", "checksums.sha256")
SOURCE_CODE = "https://github.com/szullino/XNAT-PIC"
_COLUMNS = {
    "species": "Species of the animal, binomial name",
    "strain": "Strain of the animal",
    "sex": "Sex of the animal",
    "group": "Group of the study",
    "dose": "Dose of the treatment; n/a for animals without",
}


@dataclass
class Participant:
    """One animal: what is known of it, and its sessions by label."""

    name: str
    values: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)

    def learn(self, values: dict[str, str]) -> list[str]:
        """Take values that are not known yet; return the names of those that contradict."""
        odd = []
        for name, value in values.items():
            if value and self.values.setdefault(name, value) != value:
                odd.append(name)
        return odd


def write_tables(out: Path, people: dict[str, Participant], variables: Variables) -> None:
    """Write ``participants.tsv``, ``sessions.tsv`` of each, and what their columns mean."""
    known = [name for one in people.values() for name in one.values]
    columns = [*_COLUMNS, *sorted(set(known) - {*_COLUMNS, "birth"})]
    rows = [
        {"participant_id": f"sub-{key}", **{c: one.values.get(c, "") for c in columns}}
        for key, one in sorted(people.items())
    ]
    _write_tsv(out / "participants.tsv", ["participant_id", *columns], rows)
    meaning: dict[str, Any] = {
        name: {"Description": _COLUMNS.get(name) or _title(name, variables)} for name in columns
    }
    meaning["sex"]["Levels"] = {"M": "male", "F": "female", "O": "other"}
    write_sidecar(out / "participants.json", meaning)
    for key, one in people.items():
        _write_sessions(out / f"sub-{key}" / f"sub-{key}_sessions", one, variables)


def _title(name: str, variables: Variables) -> str:
    known = variables.by_name.get(name)
    return known.title if known else name


def _write_sessions(stem: Path, one: Participant, variables: Variables) -> None:
    known = {name for values in one.sessions.values() for name in values}
    columns = ["timepoint", "days", "acq_time", "weight_g"]
    columns += sorted(known - {*columns, "session_id"})

    def order(item: tuple[str, dict[str, str]]) -> Any:
        values = item[1]
        when = values.get("timepoint", "")
        return (variables.timepoint_key(when) if when else (1, 0.0, ""), values.get("acq_time", ""))

    rows = [
        {"session_id": f"ses-{key}", **{c: values.get(c, "") for c in columns}}
        for key, values in sorted(one.sessions.items(), key=order)
    ]
    stem.parent.mkdir(parents=True, exist_ok=True)
    _write_tsv(stem.with_name(stem.name + ".tsv"), ["session_id", *columns], rows)
    meaning: dict[str, Any] = {name: {"Description": _title(name, variables)} for name in columns}
    meaning["timepoint"] = {"Description": "Timepoint of the study"}
    meaning["days"] = {"Description": "After the baseline, by the timepoint's name", "Units": "d"}
    meaning["acq_time"] = {"Description": "Begin of the first study, by the scanner's clock"}
    meaning["weight_g"] = {"Description": "Weight of the animal", "Units": "g"}
    write_sidecar(stem.with_name(stem.name + ".json"), meaning)


def _write_tsv(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE,
                            escapechar=None, quotechar=None)  # fmt: skip
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(name, "")) for name in columns])


def _cell(text: str) -> str:
    """Return a value without the signs that end a cell or a line."""
    return one_line(text) or UNKNOWN


def write_description(out: Path, project: str, about: About, kind: str) -> None:
    """Write ``dataset_description.json`` of the raw data or of the derivatives."""
    by = {"Name": "xnat-pic", "Version": version(), "CodeURL": SOURCE_CODE}
    content: dict[str, Any] = {
        "Name": about.title or project,
        "BIDSVersion": rules()["bids_version"],
        "DatasetType": kind,
        "GeneratedBy": [by],
    }
    if kind == "derivative":
        content["Name"] += ": maps"
        content["DatasetLinks"] = {"raw": "../.."}
        content["SourceDatasets"] = [{"URL": "../.."}]
    if about.licence:
        content["License"] = about.licence
    if about.creators:
        content["Authors"] = [one.name for one in about.creators]
    if about.acknowledgements:
        content["Acknowledgements"] = about.acknowledgements
    if about.funding:
        content["Funding"] = list(about.funding)
    if about.references:
        content["ReferencesAndLinks"] = list(about.references)
    if about.ethics:
        content["EthicsApprovals"] = [about.ethics]
    if about.keywords:
        content["Keywords"] = list(about.keywords)
    write_sidecar(out / "dataset_description.json", content)


def write_readme(out: Path, project: str, about: About, people: int, left_out: list[str]) -> None:
    """Write README.md: what this is, what is where, what is not in it."""
    lines = [
        f"# {about.title or project}",
        "",
        about.description or f"Images and maps of the project {project}.",
        "",
        f"{people} animals. Brain Imaging Data Structure {rules()['bids_version']}, written by "
        f"xnat-pic {version()}.",
        "",
        "- `sub-*/`: images as the scanner reconstructed them, in its own units.",
        "- `sourcedata/`: images for which BIDS has no suffix, such as CT, Z-spectra, saturation",
        "  recovery and localizers, under the same names.",
        f"- `{DERIVATIVE}/`: maps for which BIDS has a suffix, with their standard errors.",
        f"- `{RESULTS}/`: of each fit the report, the provenance, and every other map.",
        "- `checksums.sha256`: of every file; check them with `sha256sum -c`.",
    ]
    if about.ethics:
        lines += ["", f"Ethics: {about.ethics}"]
    if about.licence:
        lines += ["", f"Licence: {about.licence}"]
    if left_out:
        lines += ["", "Not in it:", "", *(f"- {_cell(one)}" for one in left_out)]
    (out / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
