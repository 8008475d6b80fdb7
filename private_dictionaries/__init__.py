"""Private DICOM tags as data, and their loader."""
