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
from sandbox.engine.report import Reporter

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
    mail = "process_T2 update: Completed processing of S1_MR in project P1"
    page = containers.page(ended.number, mail) + str(ended.fields)
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
    ['m 1\'s "T2" é', "' touch {} #", "line\ntouch {}", "#SAID#", "a | touch {}", "$HOME > {} & x"],
)
def test_values_arrive_unchanged_and_run_nothing(containers, tmp_path, value):
    mark = tmp_path / "mark"
    value = value.replace("{}", str(mark))
    ended = containers.done(SHELL, session=root(containers), said=value)
    assert ended.status == "Complete", ended.fields
    assert (ended.folder / "stdout.log").read_text("utf-8") == f"{value}|\n"
    assert not mark.exists()


@pytest.mark.parametrize("value", ["$(id)", "a;b", "a && b", "a || b", "`id`", "3.5 (amide)"])
@pytest.mark.parametrize("line", ["printf #SAID#", SHELL["command-line"]])
def test_five_signs_are_refused_in_every_value(containers, value, line):
    """Wherever it goes, and whoever it is from; the run is there, and mails nobody."""
    ended = containers.done(changed(**{"command-line": line}), session=root(containers), said=value)
    assert ended.status == "Failed (Command resolution)"
    assert ended.fields["details"].startswith(
        "Submitted data does not match command resolution requirements. "
        'Input "said" has a value containing illegal string "'
    )
    assert not (ended.folder / "stdout.log").exists()
    assert "comments" not in ended.fields


def test_other_signs_reach_the_shell_as_they_are(containers):
    """The service quotes nothing: what must not be read by the shell belongs in a variable."""
    command = changed(**{"command-line": "printf %s #SAID#"})
    ended = containers.done(command, session=root(containers), said="a > here | cat")
    assert ended.status == "Complete", ended.fields


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": [{"name": "said", "required": True}]}, "required input: said."),
        (
            {"inputs": [{"name": "said", "default-value": "a(b"}]},
            'containing illegal string "("',
        ),
        (
            {"inputs": [{"name": "said", "type": "boolean", "false-value": "x;y"}]},
            'containing illegal string ";"',
        ),
    ],
)
def test_defaults_and_what_stands_for_yes_and_no_are_looked_at_too(containers, change, words):
    ended = containers.done(changed(**change), session=root(containers))
    assert ended.status == "Failed (Command resolution)"
    assert words in ended.fields["details"]


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
    # The service hands on the last details that it wrote itself.
    assert ended.fields["details"] == "Processing finished. Uploading files."
    assert containers.log(ended) == "scan 3 has no echoes\n"


def test_a_step_that_fails_is_mailed_with_its_log_and_told_by_the_service(containers):
    command = changed(**{"command-line": "sh -c 'echo wrong >&2; exit 4'"})
    ended = containers.done(command, session=root(containers))
    assert ended.status == "Failed"
    assert ended.fields["details"] == "Non-zero exit code and/or failure status from container"
    assert containers.log(ended) == "wrong\n"
    page = containers.page(ended.number, "shell update: Failed processing of S1_MR in project P1")
    assert "Attached: stderr.log\nwrong" in page


@pytest.mark.parametrize(
    ("image", "words"),
    [("other/tool:1", "no container engine"), ("xnat-pic/pipelines:9", "No such")],
)
def test_an_image_that_is_not_there_starts_nothing(containers, image, words):
    ended = containers.done(changed(image=image), session=root(containers))
    assert ended.status == "Failed (Container launch)"
    assert words in ended.fields["details"]


def test_the_states_of_a_run_are_those_of_the_service(containers, monkeypatch):
    seen, state = [], Reporter.state

    def recorded(self, status, **values):
        seen.append((status, values.get("details", "")))
        state(self, status, **values)

    monkeypatch.setattr(Reporter, "state", recorded)
    containers.done(SHELL, session=root(containers))
    uploading = "Processing finished. Uploading files."
    assert seen == [
        ("_Queued", ""), ("Staging", "Command resolution"), ("Queued", ""), ("Created", ""),
        ("Running", ""), ("die", ""), ("_die", "Queued for finalizing"), ("Finalizing", uploading),
        ("Complete", uploading),
    ]  # fmt: skip


@pytest.mark.parametrize("off", ["host", "admin"])
def test_no_mail_where_the_site_mails_nobody(containers, off):
    if off == "host":
        containers.host(status_email_enabled=False)
    else:
        containers.prefer(adminEmail="administrator@xnat.org")
    try:
        ended = containers.done(SHELL, session=root(containers))
    finally:
        containers.host()
        containers.prefer(adminEmail="admin@localhost")
    assert ended.status == "Complete"
    assert "comments" not in ended.fields


def test_a_batch_starts_all_its_runs_at_once(containers, tmp_path):
    """Each waits for the others: with fewer at a time none would come to its end."""
    count = 5
    line = f"sh -c 'touch {tmp_path}/$XNAT_WORKFLOW_ID; n=0; while [ $(ls {tmp_path} | wc -l) -lt "
    line += f"{count} ]; do n=$((n+1)); [ $n -lt 200 ] || exit 3; sleep 0.1; done'"
    wrapper = containers.add(changed(**{"command-line": line}))
    path = f"/xapi/projects/P1/wrappers/{wrapper}/root/session/bulklaunch"
    body = {"session": json.dumps([root(containers)] * count)}
    answer = containers.served.post(path, json=body).json()
    ended = [containers.end(one["workflow-id"]) for one in answer["successes"]]
    assert [one.status for one in ended] == ["Complete"] * count


def test_a_required_output_that_was_not_made_fails_the_run(containers):
    command = changed(
        mounts=[{"name": "out", "writable": True, "path": "/out"}],
        outputs=[{"name": "made", "required": True, "mount": "out", "path": "x"}],
    )
    command["xnat"][0]["output-handlers"] = [
        {"name": "h", "accepts-command-output": "made", "as-a-child-of": "session", "label": "OUT"}
    ]
    ended = containers.done(command, session=root(containers))
    assert ended.status == "Failed (Upload)"
    assert "no file of its output made" in ended.fields["details"]
    command["command-line"] = "sh -c 'mkdir -p /out/x/y; echo 1 > /out/x/y/z.txt; echo 2 > /out/no'"
    ended = containers.done(command, session=root(containers))
    assert ended.status == "Complete", ended.fields
    path = f"/data/experiments/{containers.session}/resources/OUT"
    assert containers.names(path) == ["y/z.txt"]
    assert containers.served.get(f"{path}/files/y/z.txt").text == "1\n"


def test_a_mount_is_closed_to_others(containers):
    """As Tomcat's umask leaves it, with the files that are mounted."""
    command = changed(
        **{"command-line": "sh -c 'stat -c %a /out'"},
        mounts=[{"name": "out", "writable": True, "path": "/out"}],
    )
    ended = containers.done(command, session=root(containers))
    assert containers.log(ended, "stdout") == "750\n"


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
