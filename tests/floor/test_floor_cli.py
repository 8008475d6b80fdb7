"""How a command ends, whatever ends it."""

import io
import json
import signal
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from xnat_pic.cli import ProgressBars, command_group, echo_json, run_command
from xnat_pic.errors import CorruptDataError, LoginError


def _group():
    @command_group("try-it", {0: "all done", 4: "corrupt input"})
    def main():
        """Try it."""

    @main.command("end")
    @click.argument("how")
    def end(how):
        """End in a way."""

        def work():
            if how == "corrupt":
                raise CorruptDataError("It is \x1b damaged.", hint="Copy it again.")
            if how == "login":
                raise LoginError("No.")
            if how == "os":
                raise FileNotFoundError(2, "No such file", "a.txt")
            if how == "abort":
                raise click.Abort
            if how == "stop":
                raise KeyboardInterrupt
            if how == "bug":
                raise TypeError("ours")
            echo_json({"µ": 1})
            return 8 if how == "part" else None

        run_command("try-it", work, stopped="stopped; what is done stays.")

    return main


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("well", 0, ""),
        ("part", 8, ""),
        ("corrupt", 4, "try-it: It is damaged. Copy it again.\n"),
        ("login", 5, "try-it: No.\n"),
        ("os", 2, "try-it: a.txt cannot be read or written: No such file.\n"),
        ("abort", 2, "\ntry-it: nothing was typed; stopped.\n"),
        ("stop", 8, "try-it: stopped; what is done stays.\n"),
    ],
)
def test_every_end_has_its_words_and_its_code(how, code, said):
    done = CliRunner().invoke(_group(), ["end", how])
    assert (done.exit_code, done.stderr) == (code, said)


def test_a_bug_of_ours_is_not_hidden():
    done = CliRunner().invoke(_group(), ["end", "bug"])
    assert isinstance(done.exception, TypeError)


def test_data_goes_to_standard_output_as_json():
    assert CliRunner().invoke(_group(), ["end", "well"]).stdout == '{\n "µ": 1\n}\n'


def test_help_shows_the_exit_codes_and_version_is_there():
    shown = CliRunner().invoke(_group(), ["-h"]).stdout
    assert "    0  all done\n    4  corrupt input\n" in shown
    assert CliRunner().invoke(_group(), ["--version"]).stdout.startswith("try-it ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_program(shell):
    done = CliRunner().invoke(_group(), ["completion", shell])
    assert done.exit_code == 0
    assert "_TRY_IT_COMPLETE" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGTERM")
def test_sigterm_ends_as_ctrl_c_does():
    code = (
        "import time\nfrom xnat_pic.cli import run_command\n"
        "def work():\n"
        "    try:\n        print('ready', flush=True)\n        time.sleep(60)\n"
        "    finally:\n        print('clean', flush=True)\n"
        "run_command('p', work, stopped_code=130)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "clean\n", "p: stopped.\n")


def test_progress_is_silent_where_nobody_watches(capsys):
    with ProgressBars() as bars:
        bars.update("a", 1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_json_is_printed_whatever_the_console_can_show(encoding, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", console)
    echo_json({"path": "σ µ \udcff"})
    console.flush()
    text = console.buffer.getvalue().decode(encoding)
    assert json.loads(text) == {"path": "σ µ \udcff"}
