"""UIDs of what is written: the same content gives the same UID, different content never."""

from dataclasses import dataclass
from enum import Enum

from xnat_pic.uids import derived_uid

from ..series.model import Identity

IMPLEMENTATION_CLASS_UID = derived_uid("implementation", "xnat-pic mri2dicom")
IMPLEMENTATION_VERSION = "XNAT-PIC"


class Form(Enum):
    """The kind of DICOM object that is written."""

    CLASSIC = "classic"
    ENHANCED = "enhanced"
    MAP = "map"
    PHOTOGRAPH = "photograph"
    COUNTS = "optical counts"
    PET = "pet"
    CT = "ct"
    NM = "nm"
    ENHANCED_PET = "enhanced pet"

    @property
    def column(self) -> int:
        """Place of this form in the type columns of the tables: single frames, multi-frame, map."""
        return {Form.ENHANCED: 1, Form.ENHANCED_PET: 1, Form.MAP: 2}.get(self, 0)


@dataclass(frozen=True)
class SeriesUids:
    """The UIDs of one series in one form.

    Parameters
    ----------
    subject : str
        The subject id where it was overridden, else empty: another subject's images are other
        images.
    """

    identity: Identity
    form: Form
    subject: str = ""

    @property
    def study(self) -> str:
        """StudyInstanceUID: the scanner's own."""
        return self.identity.study_uid

    @property
    def series(self) -> str:
        """SeriesInstanceUID."""
        return self._derived("series")

    @property
    def frame_of_reference(self) -> str:
        """FrameOfReferenceUID: one for all series of a study."""
        own = self.identity.frame_of_reference_uid
        return own or derived_uid("frame of reference", self.identity.study_uid)

    @property
    def dimension_organization(self) -> str:
        """DimensionOrganizationUID."""
        return self._derived("dimension organization")

    def instance(self, name: str) -> str:
        """SOPInstanceUID of the frame (or group of frames) called `name`."""
        return self._derived("instance", name)

    def concatenation(self, name: str) -> str:
        """ConcatenationUID of the object called `name`."""
        return self._derived("concatenation", name)

    def _derived(self, *parts: str) -> str:
        return derived_uid(
            parts[0],
            self.identity.study_uid,
            self.identity.content,
            self.form.value,
            self.subject,
            *parts[1:],
        )
