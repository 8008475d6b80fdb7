"""Run ``python -m mri2dicom.cli``."""

from . import main

if __name__ == "__main__":
    main(prog_name="mri2dicom")
