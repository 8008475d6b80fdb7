"""Metadata with which a DOI can be registered: DataCite kernel 4, as JSON."""

from __future__ import annotations

from typing import Any

from xnat_pic.version import version

from .about import About, Creator

SCHEMA = "http://datacite.org/schema/kernel-4"


def metadata(project: str, about: About) -> dict[str, Any]:
    """Return the metadata; the identifier is left to the agency that registers it.

    Parameters
    ----------
    project : str
        ID of the project.
    about : About
        With nothing of what a DOI needs missing (`About.missing`).
    """
    found: dict[str, Any] = {
        "schemaVersion": SCHEMA,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Preclinical imaging study"},
        "creators": [_creator(one) for one in about.creators],
        "titles": [{"title": about.title}],
        "publisher": {"name": about.publisher},
        "publicationYear": str(about.year),
        "alternateIdentifiers": [
            {"alternateIdentifier": project, "alternateIdentifierType": "XNAT project"}
        ],
        "formats": ["application/gzip", "application/json", "text/tab-separated-values"],
        "descriptions": [
            {
                "description": f"Brain Imaging Data Structure, written by xnat-pic {version()}.",
                "descriptionType": "TechnicalInfo",
            }
        ],
    }
    if about.description:
        found["descriptions"].insert(
            0, {"description": about.description, "descriptionType": "Abstract"}
        )
    if about.keywords:
        found["subjects"] = [{"subject": word} for word in about.keywords]
    if about.licence:
        rights = {
            "rights": about.licence,
            "rightsIdentifier": about.licence,
            "rightsIdentifierScheme": "SPDX",
            "schemeUri": "https://spdx.org/licenses/",
        }
        if about.licence_url:
            rights["rightsUri"] = about.licence_url
        found["rightsList"] = [rights]
    return found


def _creator(one: Creator) -> dict[str, Any]:
    found: dict[str, Any] = {"name": one.name}
    if one.given:
        found |= {"nameType": "Personal", "familyName": one.family, "givenName": one.given}
    if one.orcid:
        found["nameIdentifiers"] = [
            {
                "nameIdentifier": f"https://orcid.org/{one.orcid}",
                "nameIdentifierScheme": "ORCID",
                "schemeUri": "https://orcid.org",
            }
        ]
    if one.affiliation:
        found["affiliation"] = [{"name": one.affiliation}]
    return found
