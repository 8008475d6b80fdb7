"""Mapped UIDs hang on a key that lies beside the plan: the same in every run, and hard to guess."""

import hashlib
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from disk import write_group, write_study

from uploader.cli import main
from uploader.deidentification.mode import (
    DeidentificationMode,
    key_path,
    load_deidentifier,
    read_key,
)
from uploader.errors import PlanError
from uploader.planning.journal import Journal
from xnat_pic.errors import WrongCallError

MAPPED = DeidentificationMode(anonymise=True, map_uids=True)


@pytest.fixture
def run(xnat, tmp_path):
    env = {
        "XNAT_PIC_SERVER": xnat.url,
        "XNAT_PIC_USER": "admin",
        "XNAT_PIC_PASSWORD": "admin",
        "XNAT_PIC_HOME": str(tmp_path / "home"),
    }

    def invoke(*arguments, code=0):
        done = CliRunner().invoke(main, [str(one) for one in arguments], env=env)
        assert done.exit_code == code, done.output
        return done

    return invoke


@pytest.fixture
def plan(run, tmp_path):
    write_group(tmp_path / "data")
    plan = tmp_path / "plans" / "plan.csv"
    plan.parent.mkdir()
    run("scan", tmp_path / "data", "--project", "P1", "-o", plan)
    return plan


def _studies(xnat, project="P1"):
    rows = xnat.served.rows(
        f"/data/projects/{project}/experiments",
        xsiType="xnat:imageSessionData",
        columns="ID,label,UID",
    )
    return {row["label"]: row["UID"] for row in rows}


def _verdicts(run, *arguments, code=0):
    rows = json.loads(run("check", *arguments, "--json", code=code).stdout)
    return {row["verdict"] for row in rows}


def test_key_is_made_once_private_and_in_no_other_file(run, plan, xnat):
    said = run("upload", plan, "--anonymise", "--map-uids").output
    path = key_path(plan)
    key = read_key(path)
    assert len(key) == 32
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said += run("upload", plan, "--anonymise", "--map-uids").output
    assert read_key(path) == key
    said += run("verify", plan, "--json").output + run("report", plan).output
    assert key.hex() not in said
    for other in plan.parent.iterdir():
        if other != path:
            content = other.read_bytes()
            assert key not in content
            assert key.hex().encode() not in content


def test_uid_without_the_key_is_no_plain_hash_and_differs_by_key(run, plan, xnat):
    run("upload", plan, "--anonymise", "--map-uids")
    sent = _studies(xnat)["m01_pre_MR"]
    assert sent.startswith("2.25.")
    originals = [b"2.25.1", b"\x002.25.1"]
    hashes = [hashlib.sha256(one).digest()[:16] for one in originals]
    fixed = 0xF << 76 | 0x3 << 62  # version and variant of a UUID are no part of the hash
    for one in hashes:
        assert int(sent[5:]) & ~fixed != int.from_bytes(one, "big") & ~fixed
    other = plan.with_name("other.csv")
    other.write_bytes(plan.read_bytes().replace(b"P1", b"P2"))
    run("upload", other, "--anonymise", "--map-uids", "--create-project")
    assert _studies(xnat, "P2")["m01_pre_MR"] != sent


def test_second_plan_with_the_first_key_adds_only_what_is_new(run, plan, xnat, tmp_path):
    run("upload", plan, "--anonymise", "--map-uids")
    before = _studies(xnat)
    write_study(
        tmp_path / "data" / "group" / "treated" / "timepoint" / "post1m" / "m01", "4", "m01"
    )
    second = plan.with_name("second.csv")
    run("scan", tmp_path / "data", "--project", "P1", "-o", second)
    assert "bad" in _verdicts(run, second, "--anonymise", "--map-uids", code=8)
    with_first = ("--anonymise", "--map-uids-with", key_path(plan))
    assert _verdicts(run, second, *with_first) == {"same", "new"}
    assert not key_path(second).exists()  # check writes nothing
    done = json.loads(run("upload", second, *with_first, "--json").stdout)
    outcomes = sorted(row["outcome"] for row in done["rows"])
    assert outcomes == ["done"] + ["nothing to do"] * 3
    after = _studies(xnat)
    assert {label: after[label] for label in before} == before
    assert len(after) == 4
    assert read_key(key_path(second)) == read_key(key_path(plan))
    assert _verdicts(run, second) == {"same"}
    verified = json.loads(run("verify", second, "--json").stdout)
    assert {row["proof"] for row in verified["rows"]} == {"pixels equal"}


def test_lost_or_exchanged_key_is_refused_before_anything_is_doubled(run, plan, xnat):
    run("upload", plan, "--anonymise", "--map-uids")
    path = key_path(plan)
    content = path.read_bytes()
    path.unlink()
    for name in ("check", "verify"):
        assert "is gone" in run(name, plan, code=2).stderr
    assert "is gone" in run("upload", plan, "--anonymise", "--map-uids", code=2).stderr
    path.write_bytes(content[:-3] + (b"0" if content[-3:-2] != b"0" else b"1") + content[-2:])
    assert "is not the one" in run("verify", plan, code=2).stderr
    assert len(_studies(xnat)) == 3
    path.write_bytes(content)
    assert _verdicts(run, plan) == {"same"}


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"XNAT-PIC key of mapped UIDs 1\nabc\n"])
def test_what_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "k"
    path.write_bytes(content)
    with pytest.raises(PlanError, match="holds no key"):
        read_key(path)
    with pytest.raises(PlanError, match="cannot be read"):
        read_key(tmp_path / "no")


def test_two_keys_are_a_contradiction(tmp_path):
    plan, other = tmp_path / "plan.csv", tmp_path / "other.csv"
    for one in (plan, other):
        with Journal(one.with_name(f"{one.name}.journal")) as journal:
            assert load_deidentifier(one, journal, MAPPED, record=True).key
    with pytest.raises(WrongCallError, match="different keys"):
        load_deidentifier(plan, None, replace(MAPPED, map_uids_with=key_path(other)), record=True)


def test_other_uids_without_anonymisation_are_a_wrong_call(tmp_path):
    with pytest.raises(WrongCallError, match="--anonymise"):
        DeidentificationMode(map_uids=True)
    with pytest.raises(WrongCallError, match="--anonymise"):
        DeidentificationMode(map_uids_with=tmp_path / "k")


def test_key_that_cannot_be_written_stops_before_anything_is_sent(tmp_path, monkeypatch):
    plan = tmp_path / "plan.csv"

    def refuse(path, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    with (
        Journal(tmp_path / "plan.csv.journal") as journal,
        pytest.raises(PlanError, match="cannot be written"),
    ):
        load_deidentifier(plan, journal, MAPPED, record=True)
    assert not list(tmp_path.glob("*uid-key*")) + list(tmp_path.glob(".*part"))
