"""Upload to a site as it is installed: it rewrites and decompresses, and pixels are proved."""

import io
import json
import sqlite3

import pytest
from click.testing import CliRunner
from compressed import LOSSLESS, colour, grey, write_as
from disk import write_study
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1
from small_dicom import SC, SEG, dataset, write

from uploader.cli import main
from uploader.verification.session_verification import VerificationLevel

COMPRESSED = [one for one in LOSSLESS if one.is_compressed]
SR = "1.2.840.10008.5.1.4.1.1.88.33"


@pytest.fixture
def sent(work):
    """A session with variables, a series of plain and one of compressed files, on a fresh site."""
    folder = work.folder / "group" / "treated" / "dose" / "10" / "timepoint" / "pre" / "m01"
    write_study(folder, "1", series=(1,))
    for k in range(1, 4):
        ds = grey(study="1", series="2", instance=k, frames=2)
        write_as(ds, folder / "s2" / f"{k}.dcm", JPEGLosslessSV1)
    assert work.upload().exit_code == 0
    return work


def _session(work):
    (row,) = work.server.served.rows("/data/projects/P1/experiments")
    return f"/data/experiments/{row['ID']}"


def _files(work, scan):
    rows = work.server.served.rows(f"{_session(work)}/scans/{scan}/files")
    return sorted(rows, key=lambda row: row["Name"])


def _replace(work, file, ds):
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    answer = work.server.served.put(
        file["URI"], params={"overwrite": "true", "inbody": "true"}, data=out.getvalue()
    )
    assert answer.status_code == 200, answer.text


def _plant(work, scan, number=1):
    """Change one bit of one pixel of the archive's copy; return its UID."""
    file = _files(work, scan)[number]
    ds = dcmread(io.BytesIO(work.server.served.get(file["URI"]).content))
    ds.PixelData = ds.PixelData[:-2] + bytes([ds.PixelData[-2] ^ 1]) + ds.PixelData[-1:]
    _replace(work, file, ds)
    return str(ds.SOPInstanceUID)


def test_variables_are_there_and_pixels_are_equal(sent):
    item = sent.server.served.get(_session(sent), params={"format": "json"}).json()["items"][0]
    (fields,) = [one for one in item["children"] if one["field"] == "fields/field"]
    values = {one["data_fields"]["name"]: one["data_fields"]["field"] for one in fields["items"]}
    assert values == {"group": "treated", "dose": "10", "timepoint": "pre"}
    (one,) = sent.verify()
    assert (one.proof, one.checksummed, one.pixels_equal, one.problems) == (
        "pixels equal",
        0,
        6,
        [],
    )
    assert "DeidentificationMethodCodeSequence" in " ".join(one.notes)
    stored = dcmread(io.BytesIO(sent.server.served.get(_files(sent, "2")[0]["URI"]).content))
    assert stored.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert sent.upload().rows[0].outcome.value == "nothing to do"


@pytest.mark.parametrize("scan", ["1", "2"], ids=["plain", "compressed"])
def test_one_planted_pixel_is_found_and_a_sample_says_that_it_may_not_be(sent, scan):
    uid = _plant(sent, scan)
    (one,) = sent.verify()
    assert one.level is VerificationLevel.NONE
    (problem,) = one.problems
    assert problem.startswith(f"Series {scan} (series {scan}): 1 of 3 files are not as on disk")
    assert f"(SOP Instance UID {uid})" in problem
    found = {}
    for count in range(1, 7):
        sent.forget_arrival()
        (sampled,) = sent.verify(sample=count)
        found[count] = sampled.level
        if sampled.level is VerificationLevel.SAMPLED:
            assert sampled.proof == f"pixels equal in {count} of 6 files"
            assert "A wrong pixel, header or object there is not found" in " ".join(sampled.notes)
    assert found[6] is VerificationLevel.NONE
    assert VerificationLevel.SAMPLED in found.values()


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda one: one.name)
def test_pixel_planted_in_a_copy_that_stayed_compressed_is_found(work, syntax, tmp_path):
    work.server.served.keep_bytes()
    ds = grey(study="1", series="1", frames=2)
    plain = write_as(ds, work.folder / "m01" / "1.dcm", ExplicitVRLittleEndian)
    assert work.upload().exit_code == 0
    (file,) = _files(work, "1")
    same = write_as(ds, tmp_path / "same.dcm", syntax)
    _replace(work, file, dcmread(same))
    work.forget_arrival()
    assert [one.proof for one in work.verify()] == ["pixels equal"]
    wrong = dcmread(plain)
    wrong.PixelData = bytes([wrong.PixelData[0] ^ 1]) + wrong.PixelData[1:]
    _replace(work, file, dcmread(write_as(wrong, tmp_path / "wrong.dcm", syntax)))
    (one,) = work.verify()
    assert (one.level, "other pixels in frame 1" in one.problems[0]) == (
        VerificationLevel.NONE,
        True,
    )


@pytest.mark.parametrize("separate", [True, False])
def test_every_kind_of_object_is_proved(work, separate):
    answer = work.server.served.post(
        "/xapi/siteConfig", json={"separateSecondaryDicomOnArchive": separate}
    )
    assert answer.status_code == 200
    folder = work.folder / "m01"
    write_study(folder, "1", series=(1,))
    for number, syntax in enumerate(LOSSLESS, 2):
        ds = grey(study="1", series=str(number), signed=bool(number % 2))
        write_as(ds, folder / f"{number}.dcm", syntax)
    write_as(colour(study="1", series="20"), folder / "20.dcm", JPEGBaseline8Bit)
    segments = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": bytes(8)}
    write(folder / "21.dcm", study="1", series="21", sop=SEG, **segments)
    write(folder / "22.dcm", study="1", series="22", sop=SR, pixels=False, Modality="SR")
    write(folder / "23.dcm", study="1", series="23", sop=SC, Modality="MR")
    assert work.upload().exit_code == 0
    files = work.server.served.rows(f"{_session(work)}/scans/ALL/files")
    assert {file["collection"] for file in files} == {"DICOM", *["secondary"][: int(separate)]}
    (one,) = work.verify()
    assert (one.proof, one.found, one.problems) == ("pixels equal", one.planned, [])
    assert "without pixels and of equal content: 1." in " ".join(one.notes)


def test_counting_is_named_with_its_cause(work):
    ds = dataset(study="1", series="1")
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG2: nobody has a codec
    path = work.folder / "m01" / "1.dcm"
    path.parent.mkdir(parents=True)
    from pydicom.encaps import encapsulate

    ds.PixelData = encapsulate([b"no film" * 9])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.save_as(path, enforce_file_format=True)
    assert work.upload().exit_code == 0
    assert [one.proof for one in work.verify()] == ["pixels equal"]  # the same packed bytes
    (file,) = _files(work, "1")
    stored = dcmread(io.BytesIO(work.server.served.get(file["URI"]).content))
    stored.PixelData = encapsulate([b"new film" * 9])
    _replace(work, file, stored)
    (one,) = work.verify()
    assert (one.level, one.proof) == (VerificationLevel.COUNTED, "counted")
    assert "only counted by UID: 1, as no decoder here reads MPEG2" in " ".join(one.notes)


def test_script_of_the_project_and_a_relabelled_session_change_nothing(sent):
    script = 'version "6.1"\n(0010,0020) := session\n- (0008,1070)'
    path = "/data/config/edit/projects/P1/image/dicom/script"
    plain = {"Content-Type": "text/plain"}
    assert sent.server.served.put(path, data=script, headers=plain).status_code == 200
    label = sent.plan().rows[0].session
    for name in ("OTHER", label):
        assert sent.server.served.put(_session(sent), params={"label": name}).status_code == 200
    stored = dcmread(io.BytesIO(sent.server.served.get(_files(sent, "1")[0]["URI"]).content))
    notes = [str(one.CodeValue) for one in stored.DeidentificationMethodCodeSequence]
    assert notes == ["1", "2", "2"]
    (one,) = sent.verify(accept_changes=True)
    assert (one.proof, one.problems) == ("pixels equal", [])


def test_command_prints_proofs_and_takes_a_sample(sent, tmp_path):
    env = {
        "XNAT_PIC_SERVER": sent.server.url,
        "XNAT_PIC_USER": "admin",
        "XNAT_PIC_PASSWORD": "admin",
        "XNAT_PIC_HOME": str(sent.home),
    }
    plan = tmp_path / "plan.csv"

    def run(*arguments, code=0):
        done = CliRunner().invoke(main, [str(one) for one in arguments], env=env)
        assert done.exit_code == code, done.output
        return done

    run("scan", sent.folder, "--project", "P1", "-o", plan)
    (row,) = json.loads(run("verify", plan, "--json").stdout)["rows"]
    assert (row["proof"], row["pixels_equal"], row["checksummed"]) == ("pixels equal", 6, 0)
    with sqlite3.connect(f"{plan}.journal") as connection:
        connection.execute("DELETE FROM arrival")
    connection.close()
    done = run("verify", plan, "--sample", "2")
    assert "pixels equal in 2 of 6" in " ".join(done.output.split())
    assert "a sample was asked for" in done.output
    run("report", plan, "-o", tmp_path / "r.html")
    assert "pixels equal in some files" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "pixels equal in 2 of 6 files" in (tmp_path / "r.csv").read_text(encoding="utf-8")
    _plant(sent, "2")
    run("verify", plan, code=8)
