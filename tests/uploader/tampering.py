"""What may happen to the files of a session on the server, behind everybody's back or not."""

import io
from pathlib import Path

from pydicom import dcmread


class Stored:
    """One file of an archive: its bytes in the store, and its address."""

    def __init__(self, work, row):
        self._work = work
        self.uri = row["URI"]
        self.session = row["URI"].split("/experiments/")[1].split("/")[0]
        self.scan = row["URI"].split("/scans/")[1].split("/")[0]
        self.name = row["Name"]
        self._path = Path(row["absolutePath"])

    @property
    def content(self):
        return self._path.read_bytes()

    def write(self, content):
        """Change the bytes in the store; the catalogue knows nothing of it."""
        self._path.write_bytes(content)

    def remove(self):
        """Take the bytes out of the store; the catalogue lists them as before."""
        self._path.unlink()

    def put(self, content):
        """Replace the file as a person does, with a catalogue that is right."""
        answer = self._work.server.served.put(
            self.uri, params={"overwrite": "true", "inbody": "true"}, data=content
        )
        assert answer.status_code == 200, answer.text

    def delete(self):
        """Delete it as a person does."""
        assert self._work.server.served.delete(self.uri).status_code == 200

    def add(self, name, content):
        """Add a file beside it as a person does."""
        uri = f"{self.uri.rpartition('/')[0]}/{name}"
        answer = self._work.server.served.put(uri, params={"inbody": "true"}, data=content)
        assert answer.status_code == 200, answer.text

    def scan_call(self, method, **params):
        """Delete or change its scan."""
        path = f"/data/experiments/{self.session}/scans/{self.scan}"
        answer = self._work.server.served.request(method, path, params=params)
        assert answer.status_code == 200, answer.text

    def move_session(self, subject, project="P1"):
        """Give its session to another animal as a person does."""
        served = self._work.server.served
        label = served.get(f"/data/experiments/{self.session}?format=json").json()
        label = label["items"][0]["data_fields"]["label"]
        path = f"/data/projects/{project}/subjects/{subject}/experiments/{label}"
        answer = served.put(path)
        assert answer.status_code == 200, answer.text


def stored_files(work, label="m01_20240109_MR", project="P1"):
    """Return the files of a session in the order of scans and names."""
    served = work.server.served
    (row,) = served.rows(f"/data/projects/{project}/experiments", label=label)
    path = f"/data/experiments/{row['ID']}/scans/ALL/files"
    places = {one["Name"]: one["absolutePath"] for one in served.rows(path, locator="absolutePath")}
    rows = [{**one, "absolutePath": places[one["Name"]]} for one in served.rows(path)]
    files = [Stored(work, one) for one in rows]
    return sorted(files, key=lambda one: (one.scan, one.name))


def edited(content, change):
    """Return an object with `change` made to it."""
    ds = dcmread(io.BytesIO(content))
    change(ds)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def flip_pixel(ds):
    """Change the lowest bit of one pixel."""
    ds.PixelData = ds.PixelData[:-2] + bytes([ds.PixelData[-2] ^ 1]) + ds.PixelData[-1:]


def _every(change):
    return lambda files: [one.write(change(one.content)) for one in files]


def _one(change):
    return lambda files: files[-1].write(change(files[-1].content))


def _put(change):
    return lambda files: [one.put(change(one.content)) for one in files]


def _set(**values):
    def change(ds):
        for name, value in values.items():
            setattr(ds, name, value)

    return lambda content: edited(content, change)


def _swap(first, second):
    def swap(files):
        left, right = files[first], files[second]
        left_bytes, right_bytes = left.content, right.content
        left.write(right_bytes)
        right.write(left_bytes)

    return swap


def _exchange_through_xnat(files):
    left, right = files[0].content, files[-1].content
    files[0].put(right)
    files[-1].put(left)


def _another_object(content):
    """Return an object of another animal, with its own identifiers."""

    def change(ds):
        ds.PatientID = ds.PatientName = "m99"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "2.25.99", "2.25.99.1"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "2.25.99.1.1"

    return edited(content, change)


def _delete_scan(files):
    files[-1].scan_call("DELETE", removeFiles="true")


_PAGE = b"<!DOCTYPE html><html><body><form action='/login'>Log in</form></body></html>"


def _pixel(content):
    return edited(content, flip_pixel)


# In the store, where no catalogue tells of it, and by XNAT's own calls, where it does.
TAMPERINGS = {
    "every file zeroed in the store": _every(lambda content: bytes(len(content))),
    "every file emptied in the store": _every(lambda content: b""),
    "every file cut off in the store": _every(lambda content: content[:-60]),
    "a pixel of every file in the store": _every(_pixel),
    "a pixel of one file in the store": _one(_pixel),
    "the last byte of one file in the store": _one(lambda content: content[:-1] + b"\x07"),
    "two files of a scan exchanged in the store": _swap(0, 1),
    "two files of two scans exchanged in the store": _swap(0, -1),
    "one file in the place of another in the store": lambda files: files[0].write(files[1].content),
    "one file gone from the store": lambda files: files[-1].remove(),
    "every file gone from the store": lambda files: [one.remove() for one in files],
    "position of every file in the store": _every(_set(ImagePositionPatient=[9, 9, 9])),
    "spacing of one file in the store": _one(_set(PixelSpacing=[7, 7])),
    "number of one file in the store": _one(_set(InstanceNumber=99)),
    "frame of reference in the store": _every(_set(FrameOfReferenceUID="2.25.999")),
    "study of every file in the store": _every(_set(StudyInstanceUID="2.25.999")),
    "another animal's name in the store": _every(_set(PatientID="m02")),
    "a text in the header in the store": _one(_set(SeriesDescription="another")),
    "orientation of every file in the store": _every(
        _set(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    ),
    "black and white exchanged in the store": _every(_set(PhotometricInterpretation="MONOCHROME1")),
    "a slope for one file in the store": _one(_set(RescaleSlope=2, RescaleIntercept=0)),
    "fewer bits for one file in the store": _one(_set(BitsStored=8, HighBit=7)),
    "sign of one file's pixels in the store": _one(_set(PixelRepresentation=1)),
    "series of one file in the store": _one(_set(SeriesInstanceUID="2.25.999")),
    "weight of the animal in the store": _every(_set(PatientWeight=0.9)),
    "date of the study in the store": _every(_set(StudyDate="19990101")),
    "echo time of one file in the store": _one(_set(EchoTime=99)),
    "a hundred bytes after the end in the store": _one(lambda content: content + b"\x55" * 100),
    "another animal's object in the store": _one(_another_object),
    "a login page in the place of a file in the store": _one(lambda content: _PAGE),
    "every file zeroed through XNAT": _put(lambda content: bytes(len(content))),
    "every file cut off through XNAT": _put(lambda content: content[:-60]),
    "a pixel of every file through XNAT": _put(_pixel),
    "position of every file through XNAT": _put(_set(ImagePositionPatient=[9, 9, 9])),
    "another animal's name through XNAT": _put(_set(PatientID="m02")),
    "a text in the header through XNAT": _put(_set(SeriesDescription="another")),
    "black and white exchanged through XNAT": _put(_set(PhotometricInterpretation="MONOCHROME1")),
    "spacing of every file through XNAT": _put(_set(PixelSpacing=[7, 7])),
    "two files of two scans exchanged through XNAT": _exchange_through_xnat,
    "another animal's object through XNAT": lambda files: files[-1].put(
        _another_object(files[-1].content)
    ),
    "a login page in the place of a file through XNAT": lambda files: files[-1].put(_PAGE),
    "a scan deleted through XNAT": _delete_scan,
    "one file deleted through XNAT": lambda files: files[-1].delete(),
    "every file deleted through XNAT": lambda files: [one.delete() for one in files],
}
# What nobody can tell without knowing what arrived: a site's script may have written it. The
# attribute that differs is named.
OF_A_SCRIPT = {
    "a text in the header in the store": "SeriesDescription",
    "a text in the header through XNAT": "SeriesDescription",
    "weight of the animal in the store": "PatientWeight",
    "date of the study in the store": "StudyDate",
}
