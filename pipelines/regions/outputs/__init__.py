"""Statistics of regions as files: text, tables, masks, DICOM, pictures."""
