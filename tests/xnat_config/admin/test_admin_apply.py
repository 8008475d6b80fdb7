"""Plan, apply, apply again, remove: on every version, with and without engine and containers."""

import itertools
import re
from collections import Counter

import pytest
from snapshot import OURS, snapshot

from uploader.server.variables import define_variables
from xnat_config.admin.catalog import load_catalog
from xnat_config.admin.installation import Installation
from xnat_config.admin.model import State
from xnat_config.admin.specification import load_specification
from xnat_config.server.client import XnatClient
from xnat_config.server.errors import UnreachableError
from xnat_config.server.retry import RetryPolicy
from xnat_pic.errors import WrongCallError

FILE = 'projects = ["P1", "P2"]\n'
_HERE = list(itertools.product(("1.8", "1.9", "1.10"), (True, False), (True, False)))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "installation.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def _states(items):
    return {(one.key.kind, one.state) for one in items}


@pytest.mark.parametrize(("xnat", "engine", "containers"), _HERE)
def test_apply_twice_and_remove(start, login, file, catalog, do_by_hand, xnat, engine, containers):
    served = start(xnat=xnat, engine=engine, containers=containers)
    before = snapshot(served)
    names = ("process_T2", "Mask_Average_project")  # one of a session, one of a project
    spec, pipelines = load_specification(file), load_catalog(catalog, names)

    def job():
        return Installation(login(served), spec, pipelines)

    planned = job().plan()
    assert snapshot(served) == before  # a plan changes nothing
    possible = {"variable", "form", "conventions"}
    possible |= {"pipeline"} if engine else set()
    possible |= {"command", "launch"} if containers else set()
    for item in planned:
        expected = State.ADD if item.key.kind in possible else State.IMPOSSIBLE
        if item.key.kind == "pipeline" and engine:
            expected = State.MANUAL
        assert item.state is expected, item
        assert bool(item.message) == (expected is not State.ADD)
    assert {one.key.kind for one in planned} == {
        *("variable", "form", "conventions", "pipeline", "command", "launch")
    }

    applied = job().apply()
    assert Counter(one.state for one in applied) == Counter(
        State.DONE if one.state is State.ADD else one.state for one in planned
    )
    after = snapshot(served)
    assert after != before
    assert len(after["project P1"]["resources"]) == 1
    assert after["project P1"]["resources"][0]["label"] == OURS
    fields = after["project P1"]["protocols"]["subjectData"]
    assert sum('name="species"' in one for one in fields) == 1
    if engine:
        assert after["project P2"]["spec"] == before["project P2"]["spec"]
        do_by_hand(served, [one.message for one in applied if one.state is State.MANUAL])
        after = snapshot(served)
        assert "xnat_pic/process_T2.xml" in after["project P2"]["spec"]
    if containers:
        assert after["enabled"]["/projects/P2process_T2/process_T2"]["enabled-for-project"] is True

    again = job().apply()
    assert {one.state for one in again} <= {State.SAME, State.IMPOSSIBLE}
    assert snapshot(served) == after

    removed = job().remove()
    assert {one.state for one in removed} == {State.REMOVED}
    assert snapshot(served) == before
    assert job().removal() == []


@pytest.mark.parametrize("xnat", ["1.8", "1.9", "1.10"])
def test_forms_come_and_go_with_what_they_hold(start, login, file, xnat):
    served = start(xnat=xnat)
    before = snapshot(served)
    spec = load_specification(file)

    def job(**options):
        return Installation(login(served), spec, **options)

    job().apply()
    assert {one.state for one in job().apply()} == {State.SAME}
    animal = _hold_a_value(served)
    name = "XNAT-PIC animal (xnat:subjectData)"
    (kept,) = [one for one in job().remove() if one.state is not State.REMOVED]
    assert (kept.key.project, kept.key.name, kept.state) == ("P1", name, State.KEPT)
    assert "Disabled, holds data of 1 subject" in kept.message
    assert f'--delete-values-of "{name}"' in kept.message
    (listed,) = served.get("/xapi/customforms").json()
    assert (listed["formUUID"], listed["appliesToList"][0]["status"]) == (animal, "disabled")

    # A new apply enables it again: nobody but remove has disabled it.
    again = {one.key: one.state for one in job().apply()}
    assert set(again.values()) == {State.DONE}
    assert {one.state for one in job().plan()} == {State.SAME}

    planned = job(delete_values_of=[name]).removal()
    assert [one.message for one in planned if one.key.name == name] == [
        "",
        "With the values of 1 subject.",
    ]
    assert {one.state for one in job(delete_values_of=[name]).remove()} == {State.REMOVED}
    assert served.get("/xapi/custom-fields/projects/P1/subjects/M1/fields").json() == {}
    served.delete("/data/projects/P1/subjects/M1?removeFiles=true")
    assert snapshot(served) == before
    assert job().removal() == []


@pytest.mark.parametrize(("version", "old"), [("1.8.7.1", True), ("1.8.8", False)])
def test_forms_are_there_from_xnat_1_8_8_on(start, login, file, monkeypatch, version, old):
    served = start()
    monkeypatch.setattr(XnatClient, "version_text", version)
    planned = Installation(login(served), load_specification(file)).plan()
    made = [one for one in planned if one.key.kind == "form"]
    assert {one.state for one in made} == {State.IMPOSSIBLE if old else State.ADD}
    said = "XNAT has custom forms from 1.8.8 on; this one is 1.8.7.1."
    assert {one.message for one in made} == {said if old else ""}


def test_before_a_form_goes_it_is_said_that_its_values_keep_it(start, login, file):
    served = start()
    spec = load_specification(file)
    Installation(login(served), spec).apply()
    assert {one.message for one in Installation(login(served), spec).removal()} == {""}
    _hold_a_value(served)
    told = {one.key: one.message for one in Installation(login(served), spec).removal()}
    (form,) = [key for key, message in told.items() if message]
    assert (form.project, form.name) == ("P1", "XNAT-PIC animal (xnat:subjectData)")
    assert told[form].startswith("It has values: XNAT only disables it.")
    assert f'--delete-values-of "{form.name}"' in told[form]


def test_what_is_refused_keeps_nothing_else_from_being_made(start, login, file):
    served = start()
    spec = load_specification(file)
    rule = {"path": "/xapi/customforms/save", "method": "PUT", "status": 400, "count": 1}
    assert served.post("/sandbox/faults", json=[rule]).status_code == 200
    items = [one for one in Installation(login(served), spec).apply() if one.key.kind == "form"]
    (failed,) = [one for one in items if one.state is State.FAILED]
    assert "does not show it" not in failed.message
    assert {one.state for one in items if one is not failed} == {State.DONE}


def test_what_the_server_fails_to_remove_keeps_nothing_else(start, login, file):
    served = start()
    spec = load_specification(file)
    Installation(login(served), spec).apply()
    rule = {"path": "/xapi/customforms", "method": "DELETE", "status": 500}
    rule["count"] = RetryPolicy().attempts
    assert served.post("/sandbox/faults", json=[rule]).status_code == 200
    items = Installation(login(served), spec).remove()
    (failed,) = [one for one in items if one.state is not State.REMOVED]
    assert (failed.key.kind, failed.state) == ("form", State.FAILED)
    assert "500" in failed.message
    served.delete("/sandbox/faults")
    (left,) = Installation(login(served), spec).remove()
    assert left.state is State.REMOVED


@pytest.mark.parametrize("verb", ["apply", "remove"])
def test_a_server_that_is_gone_is_asked_for_no_second_thing(start, login, file, verb):
    served = start()
    spec = load_specification(file)
    if verb == "remove":
        Installation(login(served), spec).apply()
    path = {"apply": "/xapi/customforms/save", "remove": "/xapi/customforms"}[verb]
    rule = {
        "path": path,
        "method": "PUT" if verb == "apply" else "DELETE",
        "lose_answer": True,
        "count": 0,
    }
    assert served.post("/sandbox/faults", json=[rule]).status_code == 200
    with pytest.raises(UnreachableError, match="failed or was cut"):
        getattr(Installation(login(served), spec), verb)()


def _hold_a_value(served):
    served.put("/data/projects/P1/subjects/M1")
    forms = served.get("/xapi/customforms?projectId=P1").json()
    animal = next(one["formUUID"] for one in forms if "XNAT-PIC animal" in one["contents"])
    fields = "/xapi/custom-fields/projects/P1/subjects/M1/fields"
    assert served.put(fields, json={animal: {"strain": "x"}}).status_code == 200
    return animal


def test_a_form_that_a_person_disabled_is_left(start, login, file):
    served = start()
    Installation(login(served), load_specification(file)).apply()
    form = served.get("/xapi/customforms").json()[0]
    assert served.post("/xapi/customforms/disable", json=form["appliesToList"]).status_code == 200
    items = Installation(login(served), load_specification(file)).apply()
    (one,) = [one for one in items if one.state is not State.SAME]
    assert one.state is State.EDITED
    assert "form enabled: False instead of True" in one.message


def test_a_form_that_another_project_joined_stays(start, login, file):
    served = start()
    file.write_text('projects = ["P1"]\n')
    Installation(login(served), load_specification(file)).apply()
    form = served.get("/xapi/customforms").json()[0]
    row = form["appliesToList"][0]["idCustomVariableFormAppliesTo"]
    assert served.post(f"/xapi/customforms/optin/{row}", json=["P2"]).status_code == 200
    items = Installation(login(served), load_specification(file)).remove()
    (kept,) = [one for one in items if one.state is not State.REMOVED]
    assert "It is used by P2 too." in kept.message
    assert served.get("/xapi/customforms").json()[0]["appliesToList"][0]["status"] == "enabled"


def test_a_form_of_the_name_is_asked_for(start, login, file):
    served = start()
    with pytest.raises(WrongCallError, match="no form Animal"):
        Installation(login(served), load_specification(file), delete_values_of=["Animal"])


def test_a_pipeline_that_the_site_does_not_offer_is_described(start, login, file, catalog):
    served = start()
    served.delete("/sandbox/pipelines?path=xnat_pic/process_T2.xml")
    spec, pipelines = load_specification(file), load_catalog(catalog, ("process_T2",))
    items = Installation(login(served), spec, pipelines).plan()
    (first, _) = [one for one in items if one.state is State.MANUAL]
    for words in (
        f"{served.url}/app/template/XDATScreen_manage_pipeline.vm",
        "Add Pipeline to Repository",
        "/data/xnat/pipeline/catalog/xnat_pic/process_T2.xml",
        "project=P1&pipeline_path=/data/xnat/pipeline/catalog/xnat_pic/process_T2.xml"
        "&datatype=xnat:mrSessionData",
        "press Submit",
    ):
        assert words in first.message


def test_a_pipeline_added_in_one_project_is_still_offered_to_the_other(
    start, login, file, catalog, do_by_hand
):
    served = start()
    spec, pipelines = load_specification(file), load_catalog(catalog, ("process_T2",))

    def by_hand():
        items = Installation(login(served), spec, pipelines).apply()
        return [one for one in items if one.state is State.MANUAL]

    first, second = by_hand()
    do_by_hand(served, [first.message])
    (left,) = by_hand()
    assert left.key == second.key
    assert "Add Pipeline to Repository" not in left.message
    do_by_hand(served, [left.message])
    assert by_hand() == []


def test_a_variable_changed_by_hand_is_reported_and_left(start, login, file):
    served = start()
    spec = load_specification(file)
    Installation(login(served), spec).apply()
    address = "/data/projects/P1/protocols/xnat:subjectData"
    body = served.get(address).text
    edited = re.sub(
        '<xnat:field [^>]*name="dose"[^>]*>',
        lambda found: found[0].replace('datatype="string"', 'datatype="float"'),
        body,
    )
    assert edited != body
    assert served.put(address, data=edited.encode()).status_code == 200

    for items in (
        Installation(login(served), spec).plan(),
        Installation(login(served), spec).apply(),
        Installation(login(served), spec).remove(),
    ):
        (one,) = [one for one in items if one.state is State.EDITED]
        assert (one.key.project, one.key.name) == ("P1", "xnat:subjectData/dose")
        assert "datatype: float instead of string" in one.message
    left = served.get(address).text
    assert 'name="dose"' in left
    assert 'datatype="float"' in left
    assert 'name="group"' not in left
    assert 'name="dose"' not in served.get(address.replace("P1", "P2")).text


def test_letters_of_variables_arrive_on_a_server_of_ascii(start, login, file, tmp_path):
    """As a server started with ``LANG=C``: a document names its charset, or loses its letters."""
    served = start()
    other = tmp_path / "other.toml"
    other.write_text(FILE + '[[variable]]\nname = "group"\nvalues = ["Kälte", "für"]\n', "utf-8")
    spec = load_specification(other)
    define_variables(login(served), "P2", spec.config.variables, ())
    assert _values(served, "P2") >= {"Kälte", "für"}
    Installation(login(served), spec).apply()
    assert _values(served, "P1") >= {"Kälte", "für"}


def _values(served, project):
    address = f"/data/projects/{project}/protocols/xnat:subjectData"
    return set(re.findall(">([^<]+)</", served.get(address).content.decode("utf-8")))


def test_what_was_there_before_is_left_by_apply_and_remove(start, login, file, tmp_path):
    served = start()
    other = tmp_path / "other.toml"
    other.write_text(FILE + '[[variable]]\nname = "group"\nvalues = ["a", "b"]\n', "utf-8")
    Installation(login(served), load_specification(other)).apply()
    for project in ("P1", "P2"):  # nobody remembers who made it
        served.delete(f"/data/projects/{project}/resources/{OURS}?removeFiles=true")
    before = snapshot(served)
    items = Installation(login(served), load_specification(file)).plan()
    others = [one for one in items if one.state is State.OTHER]
    assert {one.key.name.rpartition("/")[2] for one in others if one.key.kind == "variable"} == {
        "group"
    }
    assert all("It is left as it is" in one.message for one in others)
    Installation(login(served), load_specification(file)).apply()
    Installation(login(served), load_specification(file)).remove()
    assert snapshot(served) == before


def test_a_changed_file_changes_what_nobody_touched(start, login, file):
    served = start()
    Installation(login(served), load_specification(file)).apply()
    file.write_text(FILE + 'forms = false\n[[animal]]\nname = "strain"\nvalues = ["C57BL/6J"]\n')
    items = Installation(login(served), load_specification(file)).apply()
    done = [one.key.name for one in items if one.state is State.DONE]
    assert done == ["xnat:subjectData/strain"] * 2
    body = served.get("/data/projects/P1/protocols/xnat:subjectData").text
    assert body.count("C57BL/6J</xnat:possibleValue>") == 1
    assert body.count('name="strain"') == 1
    again = Installation(login(served), load_specification(file)).plan()
    assert {one.state for one in again} == {State.SAME}


def test_a_changed_form_is_left_to_a_person(start, login, file):
    served = start()
    Installation(login(served), load_specification(file)).apply()
    forms = served.get("/xapi/customforms").json()
    file.write_text(FILE + '[[animal]]\nname = "strain"\nvalues = ["C57BL/6J"]\n')
    items = Installation(login(served), load_specification(file)).apply()
    left = [one for one in items if one.state is State.OTHER]
    assert {one.key.name for one in left} == {"XNAT-PIC animal (xnat:subjectData)"}
    assert all("form editor" in one.message for one in left)
    assert served.get("/xapi/customforms").json() == forms


def test_a_form_with_values_stays(start, login, file):
    served = start()
    Installation(login(served), load_specification(file)).apply()
    animal = _hold_a_value(served)
    fields = "/xapi/custom-fields/projects/P1/subjects/M1/fields"
    removed = Installation(login(served), load_specification(file)).remove()
    kept = [one for one in removed if one.state is State.KEPT]
    assert [(one.key.project, one.key.name) for one in kept] == [
        ("P1", "XNAT-PIC animal (xnat:subjectData)")
    ]
    assert [one["formUUID"] for one in served.get("/xapi/customforms").json()] == [animal]
    assert served.get(fields).json() == {animal: {"strain": "x"}}
    # What stays is remembered: once its values are gone, remove takes it.
    served.delete(f"{fields}/{animal}")
    assert {
        one.state for one in Installation(login(served), load_specification(file)).remove()
    } == {State.REMOVED}
    assert served.get("/xapi/customforms").json() == []


def test_values_of_subjects_outlive_the_definitions(start, login, file):
    served = start()
    Installation(login(served), load_specification(file)).apply()
    served.put("/data/projects/P1/subjects/M1?xnat:subjectData/fields/field[name=strain]/field=x")
    Installation(login(served), load_specification(file)).remove()
    item = served.get("/data/projects/P1/subjects/M1?format=json").json()["items"][0]
    assert "'field': 'x'" in str(item["children"])


def test_commands_that_another_project_uses_stay(start, login, file, catalog):
    served = start()
    file.write_text('projects = ["P1"]\n')
    spec, pipelines = load_specification(file), load_catalog(catalog, ("process_T2", "process_DWI"))
    Installation(login(served), spec, pipelines).apply()
    command = next(c for c in served.get("/xapi/commands").json() if c["name"] == "process_T2")
    address = f"/xapi/projects/P2/commands/{command['id']}/wrappers/process_T2/enabled"
    assert served.put(address).status_code == 200
    removed = Installation(login(served), spec, pipelines).remove()
    kept = {(one.key.kind, one.key.name) for one in removed if one.state is State.KEPT}
    assert kept == {("command", "process_T2"), ("launch", "process_T2/process_T2")}
    assert [one["name"] for one in served.get("/xapi/commands").json()] == ["process_T2"]


def test_a_command_changed_by_hand_stays(start, login, file, catalog):
    served = start()
    spec, pipelines = load_specification(file), load_catalog(catalog, ("process_T2",))
    Installation(login(served), spec, pipelines).apply()
    command = next(c for c in served.get("/xapi/commands").json() if c["name"] == "process_T2")
    command["image"] = "our/own:2"
    assert served.post(f"/xapi/commands/{command['id']}", json=command).status_code == 200
    items = Installation(login(served), spec, pipelines).apply()
    (one,) = [one for one in items if one.state is State.EDITED]
    assert "image: our/own:2 instead of xnat-pic/pipelines" in one.message
    Installation(login(served), spec, pipelines).remove()
    assert [one["image"] for one in served.get("/xapi/commands").json()] == ["our/own:2"]


def test_an_apply_that_is_cut_goes_on_and_is_removed(start, login, file, catalog):
    served = start()
    before = snapshot(served)
    spec, pipelines = load_specification(file), load_catalog(catalog)
    assert served.post(f"/sandbox/pipelines?folder={catalog}/engine&project=P1").status_code == 200
    assert served.post(f"/sandbox/pipelines?folder={catalog}/engine&project=P2").status_code == 200
    before = snapshot(served)
    rule = {"path": "/xapi/commands", "method": "POST", "status": 500, "skip": 3, "count": 0}
    assert served.post("/sandbox/faults", json=[rule]).status_code == 200
    items = Installation(login(served), spec, pipelines).apply()
    failed = [one for one in items if one.state is State.FAILED]
    assert failed
    assert all("500" in one.message or one.key.kind == "launch" for one in failed)
    served.delete("/sandbox/faults")
    assert len(served.get("/xapi/commands").json()) == 3
    items = Installation(login(served), spec, pipelines).apply()
    assert {one.state for one in items} == {State.SAME, State.DONE}
    assert {one.state for one in Installation(login(served), spec, pipelines).remove()} == {
        State.REMOVED
    }
    assert snapshot(served) == before


def test_an_owner_who_is_no_administrator(start, login, file):
    served = start()
    served.post("/xapi/users", json={"username": "owner", "password": "pw"})
    for project in ("P1", "P2"):
        served.put(f"/data/projects/{project}/users/Owners/owner")
    items = Installation(login(served, "owner", "pw"), load_specification(file)).apply()
    states = {(one.key.kind, one.state) for one in items}
    assert states == {
        ("variable", State.DONE),
        ("form", State.FAILED),
        ("conventions", State.DONE),
    }
    removed = Installation(login(served, "owner", "pw"), load_specification(file)).remove()
    assert {one.state for one in removed} == {State.REMOVED}
    assert {one.key.kind for one in removed} == {"variable", "conventions"}
