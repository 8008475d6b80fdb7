"""Images by their meaning: frames of DICOM or NIfTI, sorted by slice and by what was varied."""
