"""CT Image Storage: one file for each plane, Hounsfield units where they are known."""

from .classic import ClassicSeries
from .planes import Quantity
from .uids import Form


class CtSeries(ClassicSeries):
    """The files of a CT series."""

    form = Form.CT
    table = "dicom_ct"

    def quantity(self, plane: int) -> Quantity | None:
        """Return nothing: Rescale Type says what the values are."""
        return None
