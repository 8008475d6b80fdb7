"""What a person knows and the scanner's files do not hold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xnat_pic.errors import WrongCallError

from ..mapping.tables import species_code

SUBJECT_POSITIONS = ("HFS", "HFP", "HFDL", "HFDR", "FFS", "FFP", "FFDL", "FFDR")
_ANATOMICAL_ORIENTATIONS = ("QUADRUPED", "BIPED")


@dataclass(frozen=True)
class Overrides:
    """What a person knows and ParaVision files do not hold; empty values change nothing.

    Attributes
    ----------
    subject_id : str
        Replaces the subject id of the files.
    anatomical_orientation : str
        ``QUADRUPED`` or ``BIPED``.
    subject_position : str
        Patient Position, such as ``HFP``; the coordinates are not touched.
    """

    subject_id: str = ""
    species: str = ""
    strain: str = ""
    study_label: str = ""
    anatomical_orientation: str = ""
    subject_position: str = ""

    def apply(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes of a series with these values in their place."""
        result = dict(attributes)
        given = {
            "PatientID": self.subject_id,
            "PatientSpeciesDescription": self.species,
            "StrainDescription": self.strain,
            "StudyDescription": self.study_label,
            "AnatomicalOrientationType": self.anatomical_orientation,
            "PatientPosition": self.subject_position,
            "PatientSpeciesCodeSequence": species_code(self.species),
        }
        result |= {keyword: value for keyword, value in given.items() if value}
        return result


def normalize_overrides(overrides: Overrides) -> Overrides:
    """Return the overrides with their terms in the standard's spelling.

    Raises
    ------
    WrongCallError
        If an orientation or position is none that DICOM knows.
    """
    orientation = overrides.anatomical_orientation.upper()
    position = overrides.subject_position.upper()
    if orientation and orientation not in _ANATOMICAL_ORIENTATIONS:
        raise WrongCallError(f"{orientation} is no anatomical orientation: quadruped or biped.")
    if position and position not in SUBJECT_POSITIONS:
        raise WrongCallError(f"{position} is no subject position: {', '.join(SUBJECT_POSITIONS)}.")
    return replace(overrides, anatomical_orientation=orientation, subject_position=position)
