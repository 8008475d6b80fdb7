"""Tables: vendor parameter to DICOM attribute."""
