"""Convert: what is in a folder, and its way to DICOM."""
