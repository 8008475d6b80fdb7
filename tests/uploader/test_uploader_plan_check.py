"""Every kind of row that check tells apart, against a real server."""

from dataclasses import replace

import pytest
from disk import write_group, write_study
from small_dicom import write_series

from uploader.verification.plan_check import Verdict, check


def _check(work, plan=None, **options):
    client = options.pop("client", None) or work.server.client()
    with client:
        return check(plan or work.plan(), client, work.config, **options)


def _edit(plan, index=0, **values):
    rows = list(plan.rows)
    rows[index] = replace(rows[index], **values)
    return replace(plan, rows=tuple(rows))


def _codes(one):
    return {finding.code for finding in one.findings if finding.level.value == "error"}


def _session(work, label, subject="m01", uid="1.2.3", kind="mr"):
    answer = work.server.served.put(
        f"/data/projects/P1/subjects/{subject}/experiments/{label}",
        params={"xsiType": f"xnat:{kind}SessionData", f"xnat:{kind}SessionData/UID": uid},
    )
    assert answer.status_code == 201, answer.text


def _set_subject(work, subject, **values):
    params = {f"xnat:subjectData/fields/field[name={k}]/field": v for k, v in values.items()}
    answer = work.server.served.put(f"/data/projects/P1/subjects/{subject}", params=params)
    assert answer.status_code in (200, 201), answer.text


def test_new_then_same_then_adds_scans(work):
    write_group(work.folder)
    assert [one.verdict for one in _check(work)] == [Verdict.NEW] * 3
    assert [one.missing for one in _check(work)] == [6, 6, 6]
    assert work.upload().exit_code == 0
    assert [(one.verdict, one.missing) for one in _check(work)] == [(Verdict.SAME, 0)] * 3
    folder = work.folder / "group" / "treated" / "timepoint" / "pre" / "m01"
    write_series(folder / "s9", 2, study="1", series="9", PatientID="m01", PatientName="m01")
    added = {one.row.session: (one.verdict, one.missing) for one in _check(work)}
    assert added.pop("m01_pre_MR") == (Verdict.ADDS_SCANS, 2)
    assert set(added.values()) == {(Verdict.SAME, 0)}


def test_check_changes_nothing_on_the_server(work):
    write_group(work.folder)
    login = {"method": "PUT", "path": "/data/services/auth", "status": 0, "count": 0}
    writes = [
        {"method": method, "path": "*", "status": 500, "count": 0} for method in ("PUT", "POST")
    ]
    work.server.fault(login, *writes)
    assert [one.verdict for one in _check(work)] == [Verdict.NEW] * 3
    writes = [rule["hits"] for rule in work.server.faults() if rule["status"] == 500]
    assert writes == [0, 0]
    assert work.server.served.rows("/data/projects/P1/subjects") == []


def test_label_of_another_study_clashes(work):
    write_study(work.folder / "m01")
    plan = work.plan()
    _session(work, plan.rows[0].session)
    (one,) = _check(work, plan)
    assert one.has_errors
    assert _codes(one) == {"label-clash"}
    assert "would be merged" in one.findings[-1].message


def test_label_that_differs_in_capitals_only_clashes(work):
    write_study(work.folder / "m01")
    plan = work.plan()
    study = plan.sessions[plan.rows[0].key].study_uid
    _session(work, plan.rows[0].session.upper(), uid=study)
    (one,) = _check(work, _edit(plan, session=plan.rows[0].session.lower()))
    assert _codes(one) == {"label-clash"}


def test_session_of_another_subject_is_found(work):
    write_study(work.folder / "m01")
    plan = work.plan()
    _session(work, plan.rows[0].session, subject="m77")
    (one,) = _check(work, plan)
    assert _codes(one) == {"subject-elsewhere"}
    assert "m77" in one.findings[-1].message


def test_study_that_is_there_under_another_subject_is_found(work):
    write_study(work.folder / "m01")
    plan = work.plan()
    _session(work, "other_label", subject="m77", uid=plan.sessions[plan.rows[0].key].study_uid)
    (one,) = _check(work, plan)
    assert _codes(one) == {"subject-elsewhere"}


def test_study_in_another_project_is_a_warning(work):
    write_study(work.folder / "m01")
    assert work.upload().exit_code == 0
    work.server.served.put("/data/projects/P2")
    (one,) = _check(work, work.plan(project="P2"))
    assert one.verdict is Verdict.NEW
    assert [f.code for f in one.findings if f.level.value == "warning"] == ["study-elsewhere"]


def test_shared_subject_belongs_elsewhere(work):
    write_study(work.folder / "m01")
    served = work.server.served
    served.put("/data/projects/P2")
    served.put("/data/projects/P2/subjects/m01")
    assert served.put("/data/projects/P2/subjects/m01/projects/P1").status_code == 200
    (one,) = _check(work)
    assert _codes(one) == {"subject-elsewhere"}
    assert "P2" in one.findings[-1].message


def test_variables_that_contradict_the_server_are_found_and_empty_ones_are_not(work):
    write_group(work.folder)
    assert work.upload().exit_code == 0
    plan = work.plan()
    index = next(k for k, row in enumerate(plan.rows) if row.session == "m01_pre_MR")
    values = plan.rows[index].variables
    contradicting = _edit(plan, index, variables={**values, "timepoint": "post9w", "dose": "5"})
    found = {one.row.session: one for one in _check(work, contradicting)}
    bad = found["m01_pre_MR"]
    assert _codes(bad) == {"variable-contradicts"}
    (message,) = [f.message for f in bad.findings if f.level.value == "error"]
    assert "'pre' on the server and 'post9w' in the plan" in message
    assert not found["m02_pre_MR"].has_errors


def test_subject_whose_group_differs_is_found_before_anything_is_sent(work):
    write_group(work.folder)
    _set_subject(work, "m02", group="treated")
    found = {one.row.session: one for one in _check(work)}
    assert _codes(found["m02_pre_MR"]) == {"variable-contradicts"}
    assert found["m01_pre_MR"].verdict is Verdict.NEW
    result = work.upload()
    assert result.exit_code == 8
    reasons = {row.row.session: row.reason for row in result.rows}
    assert "set-variables" in reasons["m02_pre_MR"]
    assert reasons["m01_pre_MR"] == ""


PROTOCOL = """<xnat:studyProtocol xmlns:xnat="http://nrg.wustl.edu/xnat"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="P1_xnat_subjectData"
 data-type="xnat:subjectData" name="Subjects" xsi:type="xnat:datatypeProtocol"><xnat:definitions>
 <xnat:definition ID="own" data-type="xnat:subjectData" project-specific="1"><xnat:fields>
 <xnat:field name="group" datatype="string" type="custom" required="0"
  xmlPath="xnat:subjectData/fields/field[name=group]/field"><xnat:possibleValues>
  <xnat:possibleValue display="treated">treated</xnat:possibleValue>
  <xnat:possibleValue display="control">control</xnat:possibleValue>
 </xnat:possibleValues></xnat:field></xnat:fields></xnat:definition></xnat:definitions>
</xnat:studyProtocol>"""


def test_value_outside_the_projects_list_and_undefined_variables(work):
    write_group(work.folder)
    answer = work.server.served.put(
        "/data/projects/P1/protocols/P1_xnat_subjectData",
        data=PROTOCOL,
        headers={"Content-Type": "text/xml"},
    )
    assert answer.status_code == 200, answer.text
    found = {one.row.session: one for one in _check(work)}
    assert _codes(found["m02_pre_MR"]) == {"value-not-in-list"}
    (message,) = [f.message for f in found["m02_pre_MR"].findings if f.code == "value-not-in-list"]
    assert "treated, control" in message
    treated = found["m01_pre_MR"]
    assert not treated.has_errors
    (warned,) = [f.message for f in treated.findings if f.code == "variable-undefined"]
    assert "timepoint" in warned


def test_missing_project_is_bad_unless_it_is_to_be_made(work):
    write_study(work.folder / "m01")
    plan = work.plan(project="NEW1")
    (one,) = _check(work, plan)
    assert _codes(one) == {"project-missing"}
    (one,) = _check(work, plan, create_project=True)
    assert one.verdict is Verdict.NEW


@pytest.mark.parametrize(("role", "bad"), [("Collaborators", True), ("Members", False)])
def test_missing_right_to_write_is_found(work, role, bad):
    from sandbox.archive import accounts

    with work.server.served.archive.database.write() as connection:
        accounts.set_user(connection, "cy", "pw")
    answer = work.server.served.put(f"/data/projects/P1/users/{role}/cy")
    assert answer.status_code == 200, answer.text
    write_study(work.folder / "m01")
    (one,) = _check(work, client=work.server.client("cy", "pw"))
    assert ("no-permission" in _codes(one)) is bad


def test_two_rows_of_one_label_would_be_merged(work):
    write_group(work.folder)
    plan = work.plan()
    plan = _edit(plan, 1, session=plan.rows[0].session, subject=plan.rows[0].subject)
    found = _check(work, plan)
    assert "would-merge" in _codes(found[0])
    assert "would-merge" in _codes(found[1])
    assert not found[2].has_errors


@pytest.mark.parametrize(
    ("size", "refused"),
    [((4 << 30) - (2 << 20), False), ((4 << 30) - (1 << 20), True), (5 << 30, True)],
)
def test_object_too_large_for_an_archive_is_not_importable(work, size, refused):
    write_study(work.folder / "m01", series=(1,), count=1)
    plan = work.plan()
    ((key, session),) = plan.sessions.items()
    series = session.series[0]
    large = replace(series, files=(replace(series.files[0], size=size),))
    plan = replace(plan, sessions={key: replace(session, series=(large,))})
    (one,) = _check(work, plan)
    assert ("not-importable" in _codes(one)) == refused


def test_row_left_out_is_not_looked_at(work):
    write_study(work.folder / "m01")
    plan = _edit(work.plan(project="NOWHERE"), include=False)
    (one,) = _check(work, plan)
    assert one.verdict is Verdict.LEFT_OUT
    assert work.upload(plan).exit_code == 0


def test_partial_scan_on_the_server_is_completed_not_doubled(work):
    """Half of a series is there, under the names of another program."""
    write_study(work.folder / "m01", series=(1,), count=4)
    plan = work.plan()
    row = plan.rows[0]
    half = sorted((work.folder / "m01" / "s1").glob("*.dcm"))[:2]
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for k, path in enumerate(half):
            archive.write(path, f"IM{k}.dcm")
    answer = work.server.served.post(
        "/data/services/import",
        params={
            "dest": f"/archive/projects/P1/subjects/{row.subject}/experiments/{row.session}",
        },
        data=out.getvalue(),
        headers={"Content-Type": "application/zip"},
    )
    assert answer.status_code == 200, answer.text
    (one,) = _check(work, plan)
    assert (one.verdict, one.missing) == (Verdict.ADDS_SCANS, 2)
    assert work.upload(plan).exit_code == 0
    names = [name for name, _ in work.server.files()]
    assert len(names) == 4
    assert sum(name.startswith("IM") for name in names) == 2
    (verification,) = work.verify(plan)
    assert verification.problems == []
    assert verification.found == 4
