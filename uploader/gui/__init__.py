"""The desktop app: a window on the functions of `mri2dicom` and `uploader`, no logic of its own.

The only place that imports Qt.
"""
