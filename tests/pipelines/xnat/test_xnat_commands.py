"""The commands ``step`` and ``run`` as an engine and as a person call them."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pipelines.cli import main


def _call(words, env, **options):
    """Run the program in a process of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("XNAT_PIC_", "XNAT_"))}
    return subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import main; main()", *map(str, words)],
        env={**clean, **env}, capture_output=True, text=True, encoding="utf-8", timeout=120,
        **options,
    )  # fmt: skip


def _everything(bench, tmp_path):
    """Return the content of every file on the server's disk but its database, and of the work."""
    found = {}
    for folder in (tmp_path / "archive", tmp_path / "WORK"):
        for path in folder.rglob("*"):
            if path.is_file() and ".sqlite" not in path.name and ".db" not in path.name:
                found[path] = path.read_bytes()
    return found


@pytest.mark.parametrize("by", ["options", "environment"])
def test_a_step_as_an_engine_calls_it_leaves_no_secret(bench, tmp_path, by):
    alias, secret = bench.token()
    words = [
        "step", "process_T1w_SR", "--project=P1", f"--session={bench.mr}",
        "--label=m 1's \"T1\" é", f"--workdir={tmp_path / 'WORK'}", "--scans=40001,20001",
        "--model=", "--sigma=auto", "--json",
    ]  # fmt: skip
    env = {}
    if by == "options":
        # The engine gives the address with a slash at its end.
        words += [f"--host={bench.served.url}/", f"--alias={alias}", f"--secret={secret}"]
    else:
        env = {"XNAT_HOST": bench.served.url, "XNAT_USER": alias, "XNAT_PASS": secret}
    done = _call(words, env)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {row["scan"] for row in said["maps"]} == {"40001"}
    assert 'm 1\'s "T1" é' in done.stderr
    files = _everything(bench, tmp_path)
    assert sum(b"process_T1w_SR" in content for content in files.values()) >= 2
    for word in (secret, alias):
        assert word not in done.stdout + done.stderr
        assert [path for path, data in files.items() if word.encode() in data] == []


def test_a_value_that_holds_the_token_is_refused_before_it_is_said(bench, tmp_path):
    """The classic engine evaluates ``^...parameter[name='pwd']...^`` among launch parameters."""
    alias, secret = bench.token()
    for part in (alias, secret):
        words = [
            "step", "process_T1w_SR", "--project=P1", f"--session={bench.mr}", "--label=m",
            f"--workdir={tmp_path / 'WORK'}", f"--host={bench.served.url}", f"--alias={alias}",
            f"--secret={secret}", f"--model=x{part}x",
        ]  # fmt: skip
        done = _call(words, {})
        assert done.returncode == 2
        assert "holds the token of this run" in done.stderr
        assert secret not in done.stdout + done.stderr
        assert alias not in done.stdout + done.stderr


def test_a_step_that_fails_keeps_its_folder_without_a_secret(bench, tmp_path):
    alias, secret = bench.token()
    env = {"XNAT_HOST": bench.served.url, "XNAT_USER": alias, "XNAT_PASS": secret}
    work = tmp_path / "WORK"
    words = ["step", "process_T2", "--project=P1", f"--session={bench.pet}", f"--workdir={work}"]
    done = _call(words, env)
    assert done.returncode == 3
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("xnat-pic-pipelines: ")
    assert "no scan that serves process_T2" in last
    assert "Traceback" not in done.stderr
    assert "serves process_T2" in (work / "LOGS" / "log.txt").read_text(encoding="utf-8")
    summary = [n for n in bench.files(f"/data/experiments/{bench.pet}") if n.startswith("XNAT_PIC")]
    assert {n.rpartition("/")[2] for n in summary} == {"summary.json", "log.txt"}
    for word in (secret, alias):
        assert [
            p for p, data in _everything(bench, tmp_path).items() if word.encode() in data
        ] == []


def test_a_person_runs_a_pipeline_from_a_terminal(bench, tmp_path):
    rows = bench.served.rows("/data/projects/P1/experiments")
    label = next(row["label"] for row in rows if row["ID"] == bench.mr)
    env = {
        "XNAT_PIC_PASSWORD": bench.served.password,
        "XNAT_PIC_USER": "admin",
        "TMPDIR": str(tmp_path),
    }
    before = set(tmp_path.iterdir())
    words = ["run", "process_T1w_SR", "--server", bench.served.url, "--project", "P1"]
    done = _call([*words, "--session", label, "--scans", "40001", "--json"], env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["maps"]
    assert any(one.endswith("/maps.json") for one in bench.scan("40001"))
    assert not [one for one in set(tmp_path.iterdir()) - before if "xnat-pic" in one.name]
    wrong = _call([*words, "--session", "m99"], env)
    assert wrong.returncode == 3
    assert "has no session m99" in wrong.stderr
    no = _call([*words, "--session", label], {**env, "XNAT_PIC_PASSWORD": "another"})
    assert no.returncode == 5
    assert "refuses the login of admin" in no.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["process_T2", "--project", "P1"], "Name it with --session"),
        (["process_T9", "--project", "P1", "--session", "E"], "There is no pipeline process_T9"),
        (["process_T2", "--project", "P/1", "--session", "E"], "is no ID of a project"),
        (["process_T2", "--project", "P1", "--session", "E", "--model", "9"], "no choice for"),
    ],
)
def test_a_wrong_call_is_said_before_anything_is_asked(tmp_path, words, said):
    env = {"XNAT_HOST": "http://127.0.0.1:9", "XNAT_USER": "ann", "XNAT_PASS": "word-of-ann"}
    words = ["step", *words, "--workdir", str(tmp_path / "w")]
    done = CliRunner(env=env).invoke(main, words)
    assert done.exit_code == 2, done.output
    assert said in done.output


def test_a_step_without_a_login_says_where_it_comes_from(tmp_path, monkeypatch):
    for name in ("XNAT_HOST", "XNAT_USER", "XNAT_PASS"):
        monkeypatch.delenv(name, raising=False)
    words = ["step", "process_T2", "--project", "P1", "--session", "E", "--workdir", str(tmp_path)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "XNAT_HOST, XNAT_USER, XNAT_PASS" in done.output


def test_the_version_is_said_without_loading_what_a_run_needs():
    code = (
        "import sys\nsys.argv[1:] = ['step', '--version']\nfrom pipelines.cli import main\n"
        "try:\n    main()\nfinally:\n    "
        "print(sorted({'numpy', 'requests', 'pydicom', 'pyxnat'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("xnat-pic-pipelines ")
    assert second == "[]"
