"""DICOM objects and files."""
