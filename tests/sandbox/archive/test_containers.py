"""The Container Service: commands, wrappers, launch."""

from typing import Any

import pytest
from archive_server import ServeArchive, Served
from filled import add_user, fill

from sandbox.archive import launching
from sandbox.archive.launching import Run

COMMAND: dict[str, Any] = {
    "name": "t2",
    "image": "xnat-pic/pipelines:1",
    "command-line": "process #MODEL# #SESSION#",
    "inputs": [
        {"name": "model", "type": "select-one", "select-values": ["2p", "3p"], "required": True},
        {"name": "session", "required": True},
    ],
    "xnat": [
        {
            "name": "t2-session",
            "label": "Process T2",
            "contexts": ["xnat:imageSessionData"],
            "external-inputs": [
                {
                    "name": "session",
                    "type": "Session",
                    "provides-value-for-command-input": "session",
                }
            ],
        }
    ],
}


def _add(served: Served) -> tuple[int, int]:
    """Add the command; return its number and its wrapper's."""
    answer = served.post("/xapi/commands", json=COMMAND)
    assert answer.status_code == 201, answer.text
    command = served.get(f"/xapi/commands/{answer.json()}").json()
    return int(answer.json()), int(command["xnat"][0]["id"])


def _enable(served: Served, command: int) -> None:
    path = f"commands/{command}/wrappers/t2-session/enabled"
    assert served.put(f"/xapi/{path}").status_code == 200
    assert served.put(f"/xapi/projects/P1/{path}").status_code == 200


def test_commands_come_and_go(served: Served) -> None:
    command, wrapper = _add(served)
    assert [one["name"] for one in served.get("/xapi/commands").json()] == ["t2"]
    changed = COMMAND | {"image": "xnat-pic/pipelines:2"}
    assert served.post(f"/xapi/commands/{command}", json=changed).json() == command
    found = served.get(f"/xapi/commands/{command}").json()
    assert found["image"] == "xnat-pic/pipelines:2"
    assert found["xnat"][0]["id"] == wrapper
    assert served.delete(f"/xapi/commands/{command}").status_code == 204
    assert served.get(f"/xapi/commands/{command}").status_code == 404
    assert _add(served)[0] > command


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"name": "x"}', '{"name": "x", "image": "y", "xnat": [{}]}']
)
def test_bad_command_is_refused_in_words(served: Served, body: str) -> None:
    answer = served.post("/xapi/commands", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_only_administrators_change_commands(served: Served) -> None:
    fill(served)
    command, _ = _add(served)
    owner = add_user(served, "owner", "Owners")
    assert owner.post("/xapi/commands", json=COMMAND).status_code == 403
    assert owner.delete(f"/xapi/commands/{command}").status_code == 403
    path = f"/xapi/commands/{command}/wrappers/t2-session/enabled"
    assert owner.put(path).status_code == 403
    assert owner.put(path.replace("/xapi", "/xapi/projects/P1")).status_code == 200
    member = add_user(served, "member", "Members")
    assert member.put(path.replace("/xapi", "/xapi/projects/P1")).status_code == 403


def _available(served: Served, xsi_type: str = "xnat:mrSessionData") -> list[tuple[int, bool]]:
    rows = served.get(f"/xapi/commands/available?project=P1&xsiType={xsi_type}").json()
    other = served.get(f"/xapi/projects/P1/commands/available?xsiType={xsi_type}").json()
    assert rows == other
    return [(row["wrapper-id"], row["enabled"]) for row in rows]


def test_available_lists_all_of_the_type_and_whether_both_switches_are_on(served: Served) -> None:
    fill(served)
    command, wrapper = _add(served)
    assert _available(served) == [(wrapper, False)]
    assert served.get(f"/xapi/wrappers/{wrapper}/enabled").json() is False
    served.put(f"/xapi/wrappers/{wrapper}/enabled")
    assert _available(served) == [(wrapper, False)]
    _enable(served, command)
    assert _available(served) == [(wrapper, True)]
    assert _available(served, "xnat:mrScanData") == []
    assert _available(served, "") == []
    state = served.get(f"/xapi/projects/P1/wrappers/{wrapper}/enabled").json()
    assert state == {"enabled-for-site": True, "enabled-for-project": True, "project": "P1"}
    served.put(f"/xapi/wrappers/{wrapper}/disabled")
    assert _available(served) == [(wrapper, False)]


@pytest.mark.parametrize("output", [False, True])
def test_a_collaborator_launches_what_has_no_output(served: Served, output: bool) -> None:
    session = fill(served)
    handlers = [{"name": "maps", "accepts-command-output": "maps", "as-a-child-of": "session"}]
    about = {**COMMAND["xnat"][0], "output-handlers": handlers if output else []}
    command = served.post("/xapi/commands", json={**COMMAND, "xnat": [about]}).json()
    wrapper = served.get(f"/xapi/commands/{command}").json()["xnat"][0]["id"]
    _enable(served, command)
    reader = add_user(served, "reader", "Collaborators")
    assert _available(reader) == ([] if output else [(wrapper, True)])
    path = f"/xapi/projects/P1/wrappers/{wrapper}/root/session/launch"
    answer = reader.post(path, json={"session": session, "model": "2p"})
    assert answer.status_code == (403 if output else 200)


def test_a_launch_is_described_with_its_values(served: Served) -> None:
    fill(served)
    _, wrapper = _add(served)
    path = f"/xapi/projects/P1/wrappers/{wrapper}/launch?session=/archive/experiments/E"
    about = served.get(path).json()
    assert set(about) == {"meta", "container-server-config", "input-config", "input-values"}
    assert (about["meta"]["wrapper-id"], about["meta"]["command-name"]) == (wrapper, "t2")
    values = {one["name"]: one["values"][0]["value"] for one in about["input-values"]}
    assert values == {"session": "/archive/experiments/E", "model": ""}
    kinds = {one["name"]: one["input-type"] for one in about["input-config"]}
    assert kinds == {"session": "text", "model": "select-one"}


def test_the_docker_server_is_described(served: Served) -> None:
    about = served.get("/xapi/docker/server").json()
    assert about["status-email-enabled"] is True
    assert about["container-user"] is None
    assert about["backend"] == "docker"
    assert {"path-translation-xnat-prefix", "build-path-translation", "gpu-vendor"} <= set(about)
    assert served.get("/xapi/containers/version").json() == {"version": "3.7.3"}


def test_the_docker_server_is_set_as_a_whole(served: Served) -> None:
    """What is not sent is as the service takes it: without a word on mails there are none."""
    host = {"host": "unix:///var/run/docker.sock", "container-user": "1001"}
    answer = served.post("/xapi/docker/server", json=host)
    assert answer.status_code == 201
    about = served.get("/xapi/docker/server").json()
    assert about == answer.json()
    assert about["container-user"] == "1001"
    assert about["status-email-enabled"] is False
    assert about["auto-cleanup"] is False
    assert about["name"] == host["host"]
    wrong: list[tuple[object, str]] = [
        ({"backend": "docker"}, "Host cannot be empty"),
        ({"backend": "kubernetes", "container-user": "tomcat"}, "integer value"),
        ({"backend": "podman", "host": "x"}, "backend"),
        ([], "JSON object"),
    ]
    for body, words in wrong:
        answer = served.post("/xapi/docker/server", json=body)
        assert (answer.status_code, words in answer.text) == (400, True)
    assert served.get("/xapi/docker/server").json() == about
    fill(served)
    owner = add_user(served, "owner", "Owners")
    assert owner.get("/xapi/docker/server").status_code == 200
    assert owner.post("/xapi/docker/server", json=host).status_code == 403


def test_images_that_commands_name_are_listed_and_told_apart(served: Served) -> None:
    _add(served)
    installed = served.get("/xapi/docker/images?installed=true").json()
    assert [one["tags"] for one in installed] == [["xnat-pic/pipelines:1.0"]]
    both = served.get("/xapi/docker/images").json()
    assert both[1:] == [{"image-id": None, "tags": [COMMAND["image"]], "labels": {}}]


@pytest.mark.parametrize("target", ["{id}", "/archive/experiments/{id}", "S1_MR"])
@pytest.mark.parametrize("path", ["root/session/launch", "launch"])
def test_launch_without_runner_fails_in_the_workflow(
    served: Served, target: str, path: str
) -> None:
    session = fill(served)
    command, wrapper = _add(served)
    _enable(served, command)
    body = {"session": target.format(id=session), "model": "3p"}
    answer = served.post(f"/xapi/projects/P1/wrappers/{wrapper}/{path}", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["status"] == "success"
    assert (found["command-id"], found["wrapper-id"]) == (command, wrapper)
    workflow = served.get(f"/data/workflows/{found['workflow-id']}").json()["items"][0]
    assert workflow["data_fields"]["status"] == "Failed"
    assert "no runner for containers" in workflow["data_fields"]["details"]
    assert workflow["data_fields"]["id"] == session
    container = served.get("/xapi/projects/P1/containers").json()[0]
    assert container["workflow-id"] == found["workflow-id"]
    assert container["status"] == "Failed"
    assert "no runner" in served.get(f"/xapi/containers/{container['id']}/logs/stderr").text


def test_launch_says_what_is_missing(served: Served) -> None:
    session = fill(served)
    command, wrapper = _add(served)
    path = f"/xapi/projects/P1/wrappers/{wrapper}/root/session/launch"
    assert served.post(path, json={"session": session, "model": "2p"}).status_code == 403
    _enable(served, command)
    # What is wrong with the values is found when the command is put together: see the runner.
    assert served.post(path, json={"session": session}).json()["status"] == "success"
    assert served.post(path, json={"session": "nothing", "model": "2p"}).status_code == 500
    wrong = "/archive/projects/P1/subjects/S1/experiments/nothing"
    assert served.post(path, json={"session": wrong, "model": "2p"}).status_code == 500
    assert served.post("/xapi/projects/P1/wrappers/99/launch", json={}).status_code == 404


def test_bulk_launch_goes_on_after_a_failure(served: Served) -> None:
    session = fill(served)
    command, wrapper = _add(served)
    _enable(served, command)
    answer = served.post(
        f"/xapi/projects/P1/wrappers/{wrapper}/root/session/bulklaunch",
        json={"session": f'["nothing", "/archive/experiments/{session}"]', "model": "2p"},
    ).json()
    assert [one["params"]["session"] for one in answer["failures"]] == ["nothing"]
    assert len(answer["successes"]) == 1


def test_runner_gets_the_command(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    session = fill(served)
    command, wrapper = _add(served)
    _enable(served, command)
    seen: list[Run] = []
    monkeypatch.setattr(launching, "find_runner", lambda kind: seen.append if kind else None)
    path = f"/xapi/wrappers/{wrapper}/launch"
    assert served.post(path, json={"session": session, "model": "2p"}).json()["status"] == "success"
    for _ in range(500):
        if served.get("/xapi/containers").json()[0]["status"] == "Failed":
            break
    assert seen[0].command["image"] == COMMAND["image"]
    assert seen[0].command["wrapper"]["name"] == "t2-session"
    assert dict(seen[0].parameters) == {"session": [session], "model": ["2p"]}


def test_without_containers_there_are_no_addresses(serve: ServeArchive) -> None:
    served = serve(containers=False)
    assert served.get("/xapi/commands").status_code == 404
    assert served.get("/xapi/containers/version").status_code == 404
    assert served.get("/xapi/docker/server").status_code == 404
