"""Attributes at the top level of every object, whatever its form, and the file around it."""

from collections.abc import Mapping
from typing import Any

from xnat_pic.version import version

from ..mapping.tables import code_item, load_mapping
from ..series.model import RawSeries, SeriesKind
from .encode import clean_text, encode_elements, join_elements
from .overrides import Overrides
from .uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, Form, SeriesUids

_SOP_CLASS = {
    Form.CLASSIC: "1.2.840.10008.5.1.4.1.1.4",
    Form.ENHANCED: "1.2.840.10008.5.1.4.1.1.4.1",
    Form.MAP: "1.2.840.10008.5.1.4.1.1.30",
    Form.PHOTOGRAPH: "1.2.840.10008.5.1.4.1.1.7",
    Form.COUNTS: "1.2.840.10008.5.1.4.1.1.7.3",
    Form.PET: "1.2.840.10008.5.1.4.1.1.128",
    Form.CT: "1.2.840.10008.5.1.4.1.1.2",
    Form.NM: "1.2.840.10008.5.1.4.1.1.20",
    Form.ENHANCED_PET: "1.2.840.10008.5.1.4.1.1.128.1",
}
# Value 3 of the Enhanced MR Image Type (PS3.3 C.8.13.3.1.1).
_FLAVOR = {
    SeriesKind.LOCALIZER: "LOCALIZER",
    SeriesKind.DIFFUSION: "DIFFUSION",
    SeriesKind.TIME_SERIES: "DYNAMIC",
    SeriesKind.CEST: "DYNAMIC",
    SeriesKind.CINE: "CARDIAC",
}
_COMPONENT_LETTERS = {"MAGNITUDE": "M", "PHASE": "P", "REAL": "R", "IMAGINARY": "I"}
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def sop_class_uid(form: Form) -> str:
    """Return the SOP Class UID of a form."""
    return _SOP_CLASS[form]


def subject_name(attributes: Mapping[str, Any]) -> str:
    """Return the subject id as it goes into Patient ID and Patient Name.

    Carets and equals signs part a person's name and are not kept.
    """
    raw = clean_text(attributes.get("PatientID") or "", "LO").strip("^ ")
    return raw.replace("^", "_").replace("=", "_")


def complete_attributes(series: RawSeries, form: Form, overrides: Overrides) -> dict[str, Any]:
    """Return the series' attributes with everything that follows from them.

    Returns
    -------
    dict
        DICOM keyword to value, the constant ones.
    """
    values = overrides.apply(series.attributes)
    values["PatientID"] = values["PatientName"] = subject_name(values)
    values["ImageType"] = image_type(series, form, values.get("ComplexImageComponent"))
    values |= _scanning_terms(series, values)
    if values.get("MagnetizationTransfer") == "NONE" and form is Form.CLASSIC:
        del values["MagnetizationTransfer"]
    if values.get("ComplexImageComponent") == "MAGNITUDE" and form is Form.CLASSIC:
        del values["ComplexImageComponent"]
    times = series.plane_attributes.get("TemporalPositionIndex")
    if times and form is Form.CLASSIC:
        values["NumberOfTemporalPositions"] = max(times)
        values["TemporalResolution"] = _first_value(series, "FrameAcquisitionDuration")
    return values


def _first_value(series: RawSeries, keyword: str) -> Any:
    return series.plane_attributes.get(keyword, [None])[0]


def image_type(series: RawSeries, form: Form, part: str | None) -> list[str]:
    """Return Image Type: original or derived, and what of the complex signal is shown.

    A series that brings its own (PET, CT) keeps it.
    """
    if own := series.attributes.get("ImageType"):
        return list(own)
    derived = series.attributes.get("ImageIsDerived") or form is Form.MAP
    first = ["DERIVED" if derived else "ORIGINAL", "PRIMARY"]
    if form is Form.CLASSIC:
        return [*first, "OTHER", _COMPONENT_LETTERS.get(part or "MAGNITUDE", "M")]
    if form is Form.MAP:
        return [*first, "QUANTITY", "NONE"]
    return [*first, _FLAVOR.get(series.kind, "VOLUME"), "NONE"]


def _scanning_terms(series: RawSeries, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the classic terms (Scanning Sequence ...) that follow from the enhanced ones."""
    echo = values.get("EchoPulseSequence")
    scanning = {"SPIN": ["SE"], "GRADIENT": ["GR"], "BOTH": ["SE", "GR"]}.get(echo or "", [])
    inverted = values.get("InversionTime") or "InversionTime" in series.plane_attributes
    if inverted:
        scanning = [*scanning, "IR"]
    if values.get("EchoPlanarPulseSequence") == "YES":
        scanning = [*scanning, "EP"]
    variant = []
    if values.get("Spoiling") not in (None, "NONE"):
        variant.append("SP")
    if values.get("MagnetizationTransfer") == "OFF_RESONANCE":
        variant.append("MTC")
    if values.get("SteadyStatePulseSequence") not in (None, "NONE"):
        variant.append("SS")
    options = []
    if values.get("SpectrallySelectedSuppression") in ("FAT", "FAT_AND_WATER"):
        options.append("FS")
    if values.get("FlowCompensation") not in (None, "NONE"):
        options.append("FC")
    if values.get("PartialFourier") == "YES":
        options.append({"FREQUENCY": "PFF"}.get(values.get("PartialFourierDirection", ""), "PFP"))
    triggered = "NominalCardiacTriggerDelayTime" in series.plane_attributes
    if triggered or values.get("CardiacSynchronizationTechnique") not in (None, "NONE"):
        options.append("CG")
    if values.get("RespiratoryMotionCompensationTechnique") not in (None, "NONE"):
        options.append("RG")
    result: dict[str, Any] = {"ScanOptions": options or None}
    if scanning:
        result["ScanningSequence"] = scanning
    if variant:
        result["SequenceVariant"] = variant
    return result


def select_elements(
    rows: list[dict[str, Any]], form: Form, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Select from the values what the rows of a table require in this form.

    A row of type 1 without a value takes its default, one of type 2 stays empty, one of type 3 is
    left out.
    """
    result: dict[str, Any] = {}
    for row in rows:
        types = row["type"]
        kind = types[form.column if len(types) == 3 else form.column - 1 if len(types) == 2 else 0]
        value = values.get(row.get("from", row["keyword"]))
        if kind == "-" or form.value in row.get("not", ()):
            continue
        if value is None or value == "":
            value = row.get("default") if kind == "1" else None
            if kind == "3" or (kind == "1" and value is None):
                continue
        result[row["keyword"]] = value
    return result


def common_header(
    series: RawSeries, form: Form, uids: SeriesUids, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return patient, study, series, equipment and frame of reference of every object."""
    header = select_elements(load_mapping("dicom_common")["element"], form, values)
    number = 10000 * series.expno + series.procno
    header |= {
        "SOPClassUID": sop_class_uid(form),
        "StudyInstanceUID": uids.study,
        "SeriesInstanceUID": uids.series,
        "SeriesNumber": number if number < 2**31 else series.expno,
        "FrameOfReferenceUID": uids.frame_of_reference,
        "ContributingEquipmentSequence": [
            {
                "Manufacturer": "XNAT-PIC",
                "ManufacturerModelName": "mri2dicom",
                "SoftwareVersions": version(),
                "ContributionDescription": "Conversion of the scanner's reconstruction to DICOM",
                "PurposeOfReferenceCodeSequence": [
                    code_item("DCM", "109103", "Modifying Equipment"),
                ],
            }
        ],
    }
    return header


def file_bytes(form: Form, instance_uid: str, body: list[bytes]) -> list[bytes]:
    """Return a whole file as parts to be written one after the other."""
    meta = join_elements(
        encode_elements(
            {
                "FileMetaInformationVersion": b"\0\1",
                "MediaStorageSOPClassUID": sop_class_uid(form),
                "MediaStorageSOPInstanceUID": instance_uid,
                "TransferSyntaxUID": _EXPLICIT_LITTLE_ENDIAN,
                "ImplementationClassUID": IMPLEMENTATION_CLASS_UID,
                "ImplementationVersionName": IMPLEMENTATION_VERSION,
            }
        )
    )
    length = join_elements(encode_elements({"FileMetaInformationGroupLength": len(meta)}))
    return [b"\0" * 128 + b"DICM" + length + meta, *body]
