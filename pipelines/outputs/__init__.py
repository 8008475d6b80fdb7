"""Maps as files: NIfTI, DICOM, pictures, tables of contents."""
