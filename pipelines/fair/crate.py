"""An RO-Crate: what each file is, and which run of which software made it from which files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from xnat_pic.version import version

from .about import About, Creator
from .derived import Derived
from .raw import Raw
from .tables import SOURCE_CODE

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
FILE = "ro-crate-metadata.json"
_PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
)  # fmt: skip
_FORMATS = {
    ".nii.gz": "application/gzip",
    ".json": "application/json",
    ".tsv": "text/tab-separated-values",
    ".html": "text/html",
    ".md": "text/markdown",
}
Entity = dict[str, Any]


def crate_of(
    folder: Path,
    project: str,
    about: About,
    raws: Mapping[str, Raw],
    results: Sequence[Derived],
) -> Entity:
    """Return the metadata of a crate whose files are all written.

    Parameters
    ----------
    folder : Path
        Root of the data set.
    project : str
        ID of the project.
    about : About
        With a licence.
    raws : mapping of str to Raw
        Images that were written, by their series.
    results : sequence of Derived
        Maps that were written.

    Returns
    -------
    dict
        JSON-LD of RO-Crate 1.1 and of the profile Process Run Crate 0.5: a CreateAction for each
        run of a fit.
    """
    uids = {image: raw.uid for raw in raws.values() for image in raw.images}
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    entities = _Entities()
    files = [entities.add(_file(folder, name, uids.get(name, ""))) for name in names]
    actions = [_action(entities, number, one) for number, one in enumerate(results, 1)]
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": about.title or project,
        "description": about.description or f"Images and maps of the project {project}.",
        "datePublished": datetime.now(UTC).date().isoformat(),
        "license": entities.add(_licence(about)),
        "identifier": project,
        "conformsTo": [
            entities.add({"@id": uri, "@type": "CreativeWork", "name": name, "version": number})
            for uri, name, number in _PROFILES
        ],
        "hasPart": files,
    }
    if about.creators:
        root["author"] = [_person(entities, one) for one in about.creators]
    if about.publisher:
        root["publisher"] = entities.add(
            {"@id": f"#{quote(about.publisher)}", "@type": "Organization", "name": about.publisher}
        )
    if about.keywords:
        root["keywords"] = list(about.keywords)
    if actions:
        root["mentions"] = actions
    descriptor = {
        "@id": FILE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    return {"@context": CONTEXT, "@graph": [descriptor, root, *entities.all.values()]}


class _Entities:
    """Every entity once, by its identifier."""

    def __init__(self) -> None:
        self.all: dict[str, Entity] = {}

    def add(self, entity: Entity) -> Entity:
        """Keep an entity and return a reference to it."""
        self.all.setdefault(entity["@id"], entity)
        return {"@id": entity["@id"]}


def _file(folder: Path, name: str, uid: str) -> Entity:
    ending = next((one for one in _FORMATS if name.endswith(one)), "")
    found: Entity = {
        "@id": quote(name),
        "@type": "File",
        "name": name.rpartition("/")[2],
        "contentSize": str((folder / name).stat().st_size),
        "encodingFormat": _FORMATS.get(ending, "text/plain"),
    }
    if uid:
        found["identifier"] = f"urn:oid:{uid}"
    return found


def _licence(about: About) -> Entity:
    return {
        "@id": about.licence_url or f"https://spdx.org/licenses/{quote(about.licence)}",
        "@type": "CreativeWork",
        "name": about.licence,
        "description": f"Licence {about.licence}",
    }


def _person(entities: _Entities, one: Creator) -> Entity:
    key = f"https://orcid.org/{one.orcid}" if one.orcid else f"#{quote(one.name)}"
    if not one.given:
        return entities.add({"@id": key, "@type": "Organization", "name": one.family})
    person: Entity = {
        "@id": key,
        "@type": "Person",
        "name": f"{one.given} {one.family}",
        "givenName": one.given,
        "familyName": one.family,
    }
    if one.affiliation:
        person["affiliation"] = entities.add(
            {"@id": f"#{quote(one.affiliation)}", "@type": "Organization", "name": one.affiliation}
        )
    return entities.add(person)


def _action(entities: _Entities, number: int, one: Derived) -> Entity:
    """Return a reference to the run that made maps of images."""
    inputs = [{"@id": quote(image)} for image in one.sources]
    options = one.provenance.get("options")
    key = f"#run-{number}"
    for name, value in (options if isinstance(options, dict) else {}).items():
        if value not in (None, "", []):
            text = value if isinstance(value, str | int | float) else json.dumps(value)
            inputs.append(
                entities.add(
                    {"@id": f"{key}-{quote(str(name))}", "@type": "PropertyValue",
                     "name": str(name), "value": text}
                )
            )  # fmt: skip
    return entities.add(
        {
            "@id": key,
            "@type": "CreateAction",
            "name": f"xnat-pic-pipelines map {one.command}",
            "description": f"Maps of {one.command}; parameters and images have the hash "
            f"{one.parameters}.",
            "instrument": _software(entities, one),
            "object": inputs,
            "result": [{"@id": quote(name)} for name in one.files],
            "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
            **_times(one.provenance),
        }
    )


def _times(provenance: dict[str, Any]) -> Entity:
    """Return when a run began and ended, as far as its provenance tells times with a zone."""
    found = {}
    for name, stated in (("startTime", "started"), ("endTime", "ended")):
        try:
            when = datetime.fromisoformat(str(provenance.get(stated, "")))
        except ValueError:
            continue
        if when.tzinfo is not None:
            found[name] = when.isoformat()
    return found


def _software(entities: _Entities, one: Derived) -> Entity:
    """Return a reference to the software of a run, with the libraries it says it used."""
    stated = str(one.provenance.get("software") or f"xnat-pic {version()}")
    number = stated.rpartition(" ")[2]
    libraries = one.provenance.get("libraries")
    needs = [
        entities.add(
            {
                "@id": f"https://pypi.org/project/{quote(str(name))}/{quote(str(which))}/",
                "@type": "SoftwareApplication",
                "name": str(name),
                "softwareVersion": str(which),
                "url": f"https://pypi.org/project/{quote(str(name))}/",
            }
        )
        for name, which in (libraries if isinstance(libraries, dict) else {}).items()
        if which
    ]
    return entities.add(
        {
            "@id": f"#xnat-pic-{quote(number)}",
            "@type": "SoftwareApplication",
            "name": "xnat-pic-pipelines",
            "softwareVersion": number,
            "url": SOURCE_CODE,
            "softwareRequirements": needs,
        }
    )
