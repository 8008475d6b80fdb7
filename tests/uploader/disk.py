"""What a folder of DICOM files should look like on the server."""

import hashlib
import io
from dataclasses import replace

from pydicom import dcmread
from small_dicom import write_series

from uploader.planning.plan_files import read_plan, write_plan

# What the script of a fresh site rewrites.
_REWRITTEN = ("StudyDescription", "PatientName", "PatientID", "DeidentificationMethodCodeSequence")


def content_digest(path):
    """Return SOP Instance UID and a digest of all that the script of a fresh site leaves alone."""
    ds = dcmread(path)
    for name in _REWRITTEN:
        if name in ds:
            del ds[name]
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return ds.SOPInstanceUID, hashlib.sha256(out.getvalue()).hexdigest()


def expected_files(folder):
    """Return name and content digest of every object, as the server should have them."""
    found = map(content_digest, folder.rglob("*.dcm"))
    return sorted((f"{uid}.dcm", digest) for uid, digest in found)


def write_study(folder, study="1", subject="m01", series=(1, 2), count=3, **values):
    """Write a study of small MR series into a folder."""
    for number in series:
        write_series(
            folder / f"s{number}",
            count,
            study=study,
            series=str(number),
            PatientID=subject,
            PatientName=subject,
            **values,
        )
    return folder


def write_group(root):
    """Write two animals, one of them at two timepoints, in folders named as levels."""
    base = root / "group"
    write_study(base / "treated" / "timepoint" / "pre" / "m01", "1", "m01")
    write_study(base / "treated" / "timepoint" / "post1w" / "m01", "2", "m01")
    write_study(base / "untreated" / "timepoint" / "pre" / "m02", "3", "m02")


def edit_rows(path, change):
    """Let a person change the rows of a plan's file."""
    plan = read_plan(path)
    write_plan(replace(plan, rows=tuple(change(row) for row in plan.rows)), path)


def with_values(row, *, confirm=True, **values):
    """Return a row with other variables, which a person confirms where the folder differs."""
    statements = "; ".join(f"{name}={value}" for name, value in values.items())
    variables = {**row.variables, **values}
    return replace(row, variables=variables, confirmed=statements if confirm else row.confirmed)
