"""Commands of the Container Service, run as the service would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from mouse_session import T1, T2
from trees import present_files

from sandbox.archive import accounts
from sandbox.archive.launching import CONTAINER, Run
from sandbox.containers import inputs, mounts
from sandbox.containers.runner import execute
from sandbox.engine.errors import RunError

SHELL = {
    "name": "shell",
    "image": "xnat-pic/pipelines:1.0",
    "command-line": 'sh -c \'printf "%s|" "$SAID"\'',
    "environment-variables": {"SAID": "#SAID#"},
    "inputs": [{"name": "said", "replacement-key": "#SAID#", "default-value": "nothing"}],
    "xnat": [
        {
            "name": "shell",
            "contexts": ["xnat:mrSessionData"],
            "external-inputs": [{"name": "session", "type": "Session", "required": True}],
        }
    ],
}


def changed(**values):
    """Return the command with other parts."""
    return json.loads(json.dumps({**SHELL, **values}))


def root(containers):
    return f"/archive/experiments/{containers.session}"


def test_the_committed_session_command_makes_maps_and_leaves_no_secret(
    containers, committed, monkeypatch
):
    secrets, issue = [], accounts.issue_token

    def recorded(*arguments):
        made = issue(*arguments)
        secrets.append(made[1])
        return made

    monkeypatch.setattr(accounts, "issue_token", recorded)
    ended = containers.done(committed("process_T2"), session=root(containers), scans=T2, model="3p")
    assert ended.status == "Complete", ended.fields
    made = containers.names(f"/data/experiments/{containers.session}/scans/{T2}")
    assert sum(name.endswith("maps.json") for name in made) == 1
    kept = "".join(p.read_text("utf-8") for p in ended.folder.glob("*.log"))
    assert f"serve t2: {T2}" in kept
    assert secrets, "the run had a token of its own"
    for path, content in present_files(containers.served.archive.folder):
        assert not any(one.encode() in content for one in secrets), path
    page = containers.page(ended.number, "is done on S1_MR") + str(ended.fields)
    assert not any(one in page for one in secrets)


def test_the_committed_scan_command_gets_mounts_and_hands_over_outputs(containers, committed):
    scan = f"/data/experiments/{containers.session}/scans/{T1}"
    ended = containers.done(committed("process_T1w_SR_scan"), scan=f"{root(containers)}/scans/{T1}")
    assert ended.status == "Complete", ended.fields
    mounted = {one.name for one in (ended.folder / "mount0").rglob("*") if one.is_file()}
    assert mounted == {Path(n).name for n in containers.names(f"{scan}/resources/DICOM")}
    made = containers.names(f"{scan}/resources/PROCESSED_T1_SR")
    assert any(name.endswith("maps.json") for name in made)
    assert any(name.endswith("T1map.nii.gz") for name in made)


def test_the_same_command_without_an_xnat(mouse, committed, tmp_path):
    """Inputs mounted, outputs collected: nothing but the file of the command and two folders."""
    command = committed("process_T2_scan")
    (source,) = {path.parent for path in mouse.rglob("*.dcm") if T2 in path.parent.name}
    run = Run(
        kind=CONTAINER, workflow=12, name="process_T2_scan", item="", label="", xsi_type="",
        project="", launch_time="", parameters={}, host="", alias="", secret="", login="",
        folder=tmp_path, command={**command, "wrapper": command["xnat"][0]},
    )  # fmt: skip
    out = tmp_path / "out"
    out.mkdir()
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    status = execute(run, inputs.resolve(run), {"input": source, "output": out})
    assert status == 0, (tmp_path / "stderr.log").read_text("utf-8")
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    (found,) = (out / "run12").glob("sub-m01_T2map.nii.gz")
    image = np.asarray(nibabel.load(found).dataobj)
    assert np.isfinite(image).any()
    assert 10 < np.nanmedian(image[image > 0]) < 300  # ms, of tissue


@pytest.mark.parametrize(
    "value",
    ['m 1\'s "T2" é', "$(touch {})", "`touch {}`", "'; touch {} #", "line\ntouch {}", "#SAID#"],
)
def test_values_arrive_unchanged_and_run_nothing(containers, tmp_path, value):
    mark = tmp_path / "mark"
    value = value.replace("{}", str(mark))
    ended = containers.done(SHELL, session=root(containers), said=value)
    assert ended.status == "Complete", ended.fields
    assert (ended.folder / "stdout.log").read_text("utf-8") == f"{value}|\n"
    assert not mark.exists()


@pytest.mark.parametrize("value", ["$(id)", "a;b", "a b|c", "'", "a\nb", "*", "`id`", "a>b"])
def test_what_the_shell_reads_is_refused_in_a_command_line(containers, value):
    command = changed(**{"command-line": "printf #SAID#"})
    ended = containers.done(command, session=root(containers), said=value)
    assert ended.status == "Failed"
    assert "must not hold" in ended.fields["details"]
    assert not (ended.folder / "stdout.log").exists()


def test_flags_and_replacement_keys_of_a_command_line(containers):
    command = changed(
        **{
            "command-line": "printf %s| #A# #B# [EMPTY]",
            "inputs": [
                {"name": "A", "default-value": "1", "command-line-flag": "--a"},
                {
                    "name": "B", "type": "boolean", "default-value": True, "true-value": "yes",
                    "command-line-flag": "--b", "command-line-separator": "=",
                },
                {"name": "C", "replacement-key": "[EMPTY]", "command-line-flag": "--c"},
            ],
            "environment-variables": {},
        }
    )  # fmt: skip
    command["command-line"] = command["command-line"].replace("%s|", "'%s,'")
    ended = containers.done(command, session=root(containers))
    assert (ended.folder / "stdout.log").read_text("utf-8") == "--a,1,--b=yes,\n"


def test_the_container_finds_its_login_and_nothing_of_the_servers(containers, monkeypatch):
    monkeypatch.setenv("XNAT_PIC_PASSWORD", "never-handed-on")
    line = "sh -c 'env | sort; echo $XNAT_PASS | wc -c'"
    ended = containers.done(changed(**{"command-line": line}), session=root(containers))
    said = (ended.folder / "stdout.log").read_text("utf-8").splitlines()
    given = dict(one.split("=", 1) for one in said if "=" in one)
    assert given["XNAT_HOST"] == containers.served.url
    assert given["XNAT_USER"] == given["XNAT_PASS"] == "########"
    assert given["XNAT_WORKFLOW_ID"] == given["XNAT_EVENT_ID"] == ended.number
    assert "never-handed-on" not in "".join(said)
    assert int(said[-1]) > 20, "the secret is there, and masked only in what is kept"


def test_details_that_a_step_writes_are_gone_and_its_reason_is_in_the_log(containers, tmp_path):
    """The service writes the details at every change of state."""
    step = tmp_path / "step.py"
    step.write_text(
        "import os, sys, requests\n"
        "host, number = os.environ['XNAT_HOST'], os.environ['XNAT_WORKFLOW_ID']\n"
        "login = os.environ['XNAT_USER'], os.environ['XNAT_PASS']\n"
        "address = f'{host}/data/workflows/{number}?format=json'\n"
        "known = requests.get(address, auth=login, timeout=10).json()['items'][0]['data_fields']\n"
        "keys = ('id', 'data_type', 'pipeline_name', 'launch_time', 'status')\n"
        "values = {f'wrk:workflowData/{key}': known[key] for key in keys}\n"
        "values['wrk:workflowData/details'] = 'two of three scans'\n"
        "answer = requests.put(f'{host}/data/workflows', params=values, auth=login, timeout=10)\n"
        "answer.raise_for_status()\n"
        "print('scan 3 has no echoes', file=sys.stderr)\n",
        "utf-8",
    )
    command = changed(**{"command-line": f"{sys.executable} {step}"})
    ended = containers.done(command, session=root(containers))
    assert ended.status == "Complete", ended.fields
    assert "details" not in ended.fields
    log = containers.served.get(f"/xapi/containers/{ended.number}/logs/stderr").text
    assert log == "scan 3 has no echoes\n"


@pytest.mark.parametrize(
    ("change", "given", "words"),
    [
        ({"image": "other/tool:1"}, {}, "no container engine"),
        ({"command-line": "sh -c 'echo wrong >&2; exit 4'"}, {}, "status 4.\nwrong"),
        (
            {"inputs": [{"name": "said", "type": "select-one", "select-values": ["a", "b"]}]},
            {"said": "c"},
            "choose among a, b",
        ),
    ],
)
def test_what_goes_wrong_is_told_in_a_sentence(containers, change, given, words):
    ended = containers.done(changed(**change), session=root(containers), **given)
    assert ended.status == "Failed"
    assert words in ended.fields["details"]
    containers.page(ended.number, "shell failed on S1_MR")  # the mail


def test_a_required_output_that_was_not_made_fails_the_run(containers):
    command = changed(
        mounts=[{"name": "out", "writable": True, "path": "/out"}],
        outputs=[{"name": "made", "required": True, "mount": "out", "path": "x"}],
    )
    command["xnat"][0]["output-handlers"] = [
        {"name": "h", "accepts-command-output": "made", "as-a-child-of": "session", "label": "OUT"}
    ]
    ended = containers.done(command, session=root(containers))
    assert ended.status == "Failed"
    assert "no file of its output made" in ended.fields["details"]
    command["command-line"] = "sh -c 'mkdir -p /out/x/y; echo 1 > /out/x/y/z.txt; echo 2 > /out/no'"
    ended = containers.done(command, session=root(containers))
    assert ended.status == "Complete", ended.fields
    path = f"/data/experiments/{containers.session}/resources/OUT"
    assert containers.names(path) == ["y/z.txt"]
    assert containers.served.get(f"{path}/files/y/z.txt").text == "1\n"


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../b", "", "nul\0"])
def test_names_that_lead_out_of_a_mount_are_refused(tmp_path, name):
    with pytest.raises(RunError, match="no name of a file"):
        mounts.inside(tmp_path, name)


def test_links_out_of_a_mount_are_not_handed_over(containers, tmp_path):
    secret = tmp_path / "outside"
    secret.write_text("outside", "utf-8")
    command = changed(
        **{"command-line": f"sh -c 'ln -s {secret} /out/link; echo in > /out/file'"},
        mounts=[{"name": "out", "writable": True, "path": "/out"}],
        outputs=[{"name": "made", "required": True, "mount": "out"}],
    )
    command["xnat"][0]["output-handlers"] = [
        {"name": "h", "accepts-command-output": "made", "label": "LINKS"}
    ]
    ended = containers.done(command, session=root(containers))
    assert ended.status == "Complete", ended.fields
    path = f"/data/experiments/{containers.session}/resources/LINKS"
    assert containers.names(path) == ["file"]


def test_the_step_program_needs_no_window_and_answers_its_version_at_once():
    """As in the image: no display, an environment of its own, a home that is nobody's."""
    program = Path(sys.executable).with_name("xnat-pic-pipelines")
    done = subprocess.run(
        [program, "step", "--version"],
        env={"PATH": os.defpath, "HOME": "/nonexistent"},
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("xnat-pic-pipelines ")
