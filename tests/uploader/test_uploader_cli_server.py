"""Commands that speak with a server: what they say, and the code they end with."""

import json

import keyring
import pytest
from archive_server import serving
from click.testing import CliRunner
from disk import edit_rows, with_values, write_group
from keyring_in_memory import Memory

from sandbox.archive.archive import Archive, Settings
from uploader.cli import main


@pytest.fixture
def ring():
    before = keyring.get_keyring()
    backend = Memory()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name in ("SERVER", "USER", "PASSWORD", "CA_BUNDLE"):
        monkeypatch.delenv(f"XNAT_PIC_{name}", raising=False)
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))

    def invoke(*arguments, code=0, typed=None, **env):
        done = CliRunner().invoke(
            main, [str(one) for one in arguments], input=typed, env=env or None
        )
        assert done.exit_code == code, done.output
        return done

    return invoke


def test_login_once_then_work_without_a_password(xnat, ring, run, tmp_path):
    write_group(tmp_path / "data")
    plan = tmp_path / "plan.csv"
    done = run("login", "--server", xnat.url, "--user", "admin", typed="admin\n")
    assert "kept in the keyring of this system until 20" in done.stderr
    assert len(ring.kept) == 1
    run("scan", tmp_path / "data", "--project", "P1", "-o", plan)
    done = run("upload", plan)  # server and user are those of the login
    assert "login from the keyring of this system" in done.stderr
    assert "Sessions: 3 done." in done.stderr
    (value,) = ring.kept.values()
    alias = json.loads(value)["alias"]
    done = run("logout")
    assert "Forgotten: the login in the keyring" in done.stderr
    assert "not withdrawn" not in done.stderr
    assert ring.kept == {}
    shown = xnat.served.get("/data/services/tokens/show").json()
    assert alias not in [one["alias"] for one in shown]
    done = run("check", plan, code=5)
    assert "xnat-pic-uploader login" in done.stderr
    assert "No login was stored" in run("logout").stderr


def test_login_asks_for_what_is_not_given(xnat, ring, run):
    done = run("login", typed=f"{xnat.url}\nadmin\nadmin\n", code=2)
    assert "No user is named" in done.stderr  # nobody sits at this terminal
    done = run("login", "--user", "admin", typed=f"{xnat.url}\nadmin\n")
    assert "admin is logged in" in done.stderr


def test_memory_keeps_nothing(xnat, ring, run):
    done = run(
        "login", "--server", xnat.url, "--user", "admin", "--store", "memory", typed="admin\n"
    )
    assert "memory only" in done.stderr
    assert ring.kept == {}


def test_codes_of_wrong_calls(xnat, run, tmp_path):
    plan = tmp_path / "plan.csv"
    write_group(tmp_path / "data")
    run("scan", tmp_path / "data", "--project", "P1", "-o", plan)
    env = {"XNAT_PIC_SERVER": xnat.url, "XNAT_PIC_USER": "admin", "XNAT_PIC_PASSWORD": "admin"}
    assert "No server is named" in run("check", plan, code=2).stderr
    assert "no.csv" in run("check", tmp_path / "no.csv", code=2, **env).stderr
    assert "no journal" in run("report", plan, code=2).stderr
    assert "ending .html" in run("report", plan, "-o", "r.txt", code=2).stderr
    assert "--anonymise" in run("upload", plan, "--map-uids", code=2, **env).stderr
    assert "--raw" in run("upload", plan, "--raw", tmp_path / "no", code=3, **env).stderr
    run("upload", plan, "--jobs", "99", code=2, **env)
    refused = run("check", plan, code=5, **{**env, "XNAT_PIC_PASSWORD": "wrong"})
    assert "refuses the login of admin" in refused.stderr


def test_check_lists_bad_rows_together_and_ends_with_8(xnat, run, tmp_path):
    plan = tmp_path / "plan.csv"
    write_group(tmp_path / "data")
    env = {"XNAT_PIC_SERVER": xnat.url, "XNAT_PIC_USER": "admin", "XNAT_PIC_PASSWORD": "admin"}
    run("scan", tmp_path / "data", "--project", "NOT_THERE", "-o", plan)
    done = run("check", plan, code=8, **env)
    assert "3 of 3 rows cannot be uploaded as they stand" in done.stderr
    assert done.stderr.count("There is no project NOT_THERE") == 1
    assert "error: all 3 rows: There is no project NOT_THERE" in done.stderr
    assert done.stdout == ""
    rows = json.loads(run("check", plan, "--json", code=8, **env).stdout)
    assert {row["verdict"] for row in rows} == {"bad"}
    done = run("upload", plan, code=8, **env)
    assert "failed: all 3 rows: There is no project NOT_THERE" in done.stderr
    assert done.stderr.count("There is no project") == 1
    text = plan.read_text("utf-8-sig")
    head, _, last = text.rstrip().rpartition("NOT_THERE")
    plan.write_text(head + "P1" + last + "\n", encoding="utf-8")
    lines = run("check", plan, code=8, **env).stderr.splitlines()
    (place,) = [k for k, line in enumerate(lines) if "There is no project NOT_THERE" in line]
    assert lines[place].startswith("error: 2 of 3 rows: ")
    rows = json.loads(run("check", plan, "--json", code=8, **env).stdout)
    bad = [row["session"] for row in rows if row["verdict"] == "bad"]
    assert len(bad) == 2
    assert lines[place + 1] == f"  {', '.join(bad)}"


def test_anonymised_plan_stays_so(xnat, run, tmp_path):
    plan = tmp_path / "plan.csv"
    write_group(tmp_path / "data")
    env = {"XNAT_PIC_SERVER": xnat.url, "XNAT_PIC_USER": "admin", "XNAT_PIC_PASSWORD": "admin"}
    run("scan", tmp_path / "data", "--project", "P1", "-o", plan)
    run("upload", plan, "--anonymise", "--map-uids", **env)
    verified = json.loads(run("verify", plan, "--json", **env).stdout)
    assert {row["proof"] for row in verified["rows"]} == {"pixels equal"}
    assert "sent the objects anonymised" in run("upload", plan, code=2, **env).stderr
    assert {one["verdict"] for one in json.loads(run("check", plan, "--json", **env).stdout)} == {
        "same"
    }


def test_set_variables_asks_before_it_writes(xnat, run, tmp_path):
    plan = tmp_path / "plan.csv"
    write_group(tmp_path / "data")
    env = {"XNAT_PIC_SERVER": xnat.url, "XNAT_PIC_USER": "admin", "XNAT_PIC_PASSWORD": "admin"}
    run("scan", tmp_path / "data", "--project", "P1", "-o", plan)
    run("upload", plan, **env)

    def later(row, confirm=True):
        if row.variables["timepoint"] not in ("post1w", "post2w"):
            return row
        return with_values(row, timepoint="post2w", confirm=confirm)

    edit_rows(plan, lambda row: later(row, confirm=False))
    done = run("set-variables", plan, "--yes", code=8, **env)
    assert "write timepoint=post2w into its column confirmed" in done.stderr
    assert "Of 1 row nothing is written." in done.stderr
    assert "Every value is as in the plan" not in done.stderr
    edit_rows(plan, later)
    done = run("set-variables", plan, typed="n\n", code=8, **env)
    assert "timepoint of session m01_post1w_MR: post1w -> post2w" in done.stderr
    assert "Nothing was written" in done.stderr
    done = run("set-variables", plan, typed="y\n", **env)
    assert "1 value written" in done.stderr
    assert "Every value is as in the plan" in run("set-variables", plan, **env).stderr
    run("report", plan)
    page = (tmp_path / "plan.csv.report.html").read_text("utf-8")
    assert "post1w -&gt; post2w" in page


def test_unprotected_address_is_warned_of(run, tmp_path):
    plan = tmp_path / "plan.csv"
    write_group(tmp_path / "data")
    run("scan", tmp_path / "data", "--project", "P1", "-o", plan)
    done = run("check", plan, "--server", "http://xnat.invalid", "--user", "u", code=5)
    assert "travels unprotected" in done.stderr


@pytest.fixture
def ready(xnat, run, tmp_path):
    """A plan of three sessions, and the environment to send it."""
    write_group(tmp_path / "data")
    run("scan", tmp_path / "data", "--project", "P1", "-o", tmp_path / "plan.csv")
    return {"XNAT_PIC_SERVER": xnat.url, "XNAT_PIC_USER": "admin", "XNAT_PIC_PASSWORD": "admin"}


def test_one_finding_of_many_rows_is_said_once_with_its_rows(xnat, run, ready, tmp_path):
    plan = tmp_path / "plan.csv"
    run("upload", plan, **ready)
    lines = plan.read_text("utf-8-sig").replace(",treated,", ",control,").splitlines()
    place = next(k for k, line in enumerate(lines) if line.startswith("include,"))
    column = lines[place].split(",").index("confirmed") - lines[place].count(",") - 1
    for k in range(place + 1, len(lines)):
        cells = lines[k].split(",")
        cells[column] = "group=control" if "control" in cells else ""
        lines[k] = ",".join(cells)
    plan.write_text("\n".join(lines), encoding="utf-8")
    lines = run("check", plan, code=8, **ready).stderr.splitlines()
    (place,) = [k for k, line in enumerate(lines) if "group of the session is" in line]
    assert lines[place].startswith("error: 2 of 3 rows: ")
    assert lines[place + 1] == "  m01_pre_MR, m01_post1w_MR"
    assert lines[-2:] == [
        "2 of 3 rows cannot be uploaded as they stand.",
        "Rows: 2 bad, 1 same; 0 files to send.",
    ]


def test_a_report_never_takes_the_place_of_its_plan(run, ready, tmp_path):
    plan = tmp_path / "plan.csv"
    run("upload", plan, **ready)
    before = plan.read_bytes()
    done = run("report", plan, "-o", tmp_path / "plan.html", code=2)
    assert "would take the place of the plan" in done.stderr
    assert plan.read_bytes() == before


def test_a_plan_whose_folder_is_gone_says_so(run, ready, tmp_path):
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    for command in ("check", "upload", "verify"):
        done = run(command, tmp_path / "plan.csv", code=2, **ready)
        assert "The folder of the plan is not there" in done.stderr


def test_verify_of_a_project_that_is_not_there(run, ready, tmp_path):
    other = tmp_path / "other.csv"
    run("scan", tmp_path / "data", "--project", "NONE", "-o", other)
    done = run("verify", other, code=8, **ready)
    assert "error: all 3 rows: There is no project NONE" in done.stderr
    assert "Sessions: 3 not verified." in done.stderr


def test_where_nobody_types_nothing_is_done(xnat, run, ready, tmp_path):
    plan = tmp_path / "plan.csv"
    run("upload", plan, **ready)
    edit_rows(
        plan,
        lambda row: with_values(row, group="control") if row.subject == "m01" else row,
    )
    done = run("set-variables", plan, typed="", code=2, **ready)
    assert "nothing was typed" in done.stderr
    run("verify", plan, code=8, **ready)


def test_login_without_keyring_and_person_is_kept_in_memory(xnat, run, ready, monkeypatch):
    from keyring.backends.fail import Keyring as NoKeyring

    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())
    try:
        done = run("login", typed="", **ready)
    finally:
        keyring.set_keyring(before)
    assert "memory only" in done.stderr


def test_server_that_speaks_no_https_is_named_so(xnat, run, ready, tmp_path):
    address = xnat.url.replace("http:", "https:")
    done = run("check", tmp_path / "plan.csv", "--server", address, code=6, **ready)
    assert "does not speak https" in done.stderr


def test_the_first_login_of_a_user_of_the_directory(tmp_path, ring, run):
    with serving(Archive(tmp_path / "ldap", Settings(directory=(("mouse", "cheese"),)))) as served:
        named = ("--server", served.url, "--user", "mouse")
        done = run("login", *named, typed="cheese\n", code=5)
        assert "--auth-method" in done.stderr
        method = ("--auth-method", "ldap")
        done = run("login", *named, *method, "--auth-provider", "no", typed="cheese\n", code=5)
        assert "knows no authentication provider no." in done.stderr
        assert "--auth-provider" in done.stderr
        run("login", *named, *method, typed="cheese\n")
        run("logout")
        # The method is remembered with the server and the user.
        done = run("login", typed="cheese\n")
        assert "mouse is logged in" in done.stderr


def test_every_command_lists_its_exit_codes(run):
    for command in sorted(main.commands):
        if command == "completion":
            continue
        shown = run(command, "--help").stdout
        assert "Exit codes:" in shown, command
        assert "8  done in part" in shown, command


def test_raw_data_of_a_missing_project_names_it(xnat, run, tmp_path):
    write_group(tmp_path / "data")
    plan = tmp_path / "plan.csv"
    env = {"XNAT_PIC_SERVER": xnat.url, "XNAT_PIC_USER": "admin", "XNAT_PIC_PASSWORD": "admin"}
    run("scan", tmp_path / "data", "--project", "NOWHERE", "-o", plan)
    raw = tmp_path / "raw" / "study"
    raw.mkdir(parents=True)
    (raw / "subject").write_bytes(b"##TITLE=")
    for command in (("upload", plan, "--raw", tmp_path / "raw"), ("set-variables", plan)):
        said = run(*command, code=8, **env).stderr
        assert "There is no project NOWHERE, or you may not see it." in said
        assert "Unable to find" not in said
