"""Vendor raw data to DICOM; no network and no window."""
