"""How a descriptor runs: every behaviour that was seen of the real engine."""

import shlex
import time
from contextlib import contextmanager

import pytest
from engine_bench import argument, call, declared, parameter, pipeline, resource, step

ECHO = {
    "echo": resource("echo", argument("a"), argument("b"), argument("f", "flag")),
    "sh": resource("sh", argument("c", "c")),
    "touch": resource("touch", argument("file")),
    "pwd": resource("pwd"),
}
BUILD = f"^{parameter('builddir')}^"


def said(ended):
    """Return what the steps said, without the lines that name the commands."""
    return [line for line in ended.log.splitlines() if not line.startswith("--- ")]


def test_the_smallest_pair_that_ran(bench, tmp_path):
    """A loop over a single value, a folder for it, bytes counted into a file."""
    source = tmp_path / "bytes"
    source.write_bytes(b"12345")
    count = resource("wc", argument("bytes", "c"), argument("in"), argument("out", ">", prefix=""))
    folder = f"^concat({parameter('builddir')},'/',PIPELINE_LOOPON(scans))^"
    file = f"^concat({parameter('builddir')},'/',PIPELINE_LOOPON(scans),'/n')^"
    text = pipeline(
        step("1", call("mkdir", p=None, dirname=folder)),
        step("2", call("count", **{"bytes": None, "in": str(source), "out": file})),
        head="<loop id='scans' xpath=\"^/Pipeline/parameters/parameter[name='scanids']"
        '/values/list^"/>',
    )
    made = {
        "mkdir": resource("mkdir", argument("p", "p"), argument("dirname")),
        "count": count,
    }
    for wanted in (["4"], ["4", "5"]):
        ended = bench.run(text, made, scanids=f"[{','.join(wanted)}]")
        assert ended.status == "Complete", ended.fields
        assert set(ended.steps) == {f"{n}:{scan}" for n in (1, 2) for scan in wanted}
        for scan in wanted:
            assert (ended.build / scan / "n").read_text("utf-8").split()[0] == "5"


def test_one_value_is_unique_and_several_are_a_list(bench):
    counts = "^concat(count(/Pipeline/parameters/parameter[name='{0}']/values/unique),'-'," \
        "count(/Pipeline/parameters/parameter[name='{0}']/values/list))^"  # fmt: skip
    text = pipeline(step("1", call("echo", a=counts.format("one"), b=counts.format("two"))))
    ended = bench.run(text, ECHO, one="[x]", two="[x,y]")
    assert said(ended) == ["1-0 0-2"]


def test_launch_parameters_stand_for_the_descriptors_and_are_evaluated_too(bench):
    text = pipeline(
        step("1", call("echo", a=f"^{parameter('given')}^", b=f"^{parameter('own')}^")),
        parameters=declared("given", "old") + declared("own", "^concat('m','ade')^"),
    )
    ended = bench.run(text, ECHO, given="^concat('e','vil')^")
    assert said(ended) == ["evil made"]


@pytest.mark.parametrize("broken", ["^concat('a'^", "^1 to^", "^fileUtils:getJSESSION('x')^"])
def test_a_broken_expression_among_launch_parameters_leaves_the_run_queued(bench, broken):
    text = pipeline(step("1", call("echo", a="x")))
    ended = bench.run(text, ECHO, unused=broken)
    assert ended.status == "Queued"
    assert not list(ended.build.glob("**/LOGS/*"))
    assert broken.strip("^") in ended.reason
    assert "details" not in ended.fields


def test_a_launch_parameter_may_read_the_others_but_a_log_holds_no_token(bench):
    text = pipeline(step("1", call("echo", a=f"^{parameter('v')}^")))
    label = parameter("label")
    assert said(bench.run(text, ECHO, v=f"^concat('on ',{label})^")) == ["on S1_MR"]
    ended = bench.run(text, ECHO, v=f"^{parameter('pwd')}^")
    assert said(ended) == ["########"]


def test_parameters_are_made_from_each_other_in_any_order(bench):
    text = pipeline(
        step("1", call("echo", a=f"^{parameter('c')}^")),
        parameters=declared("c", f"^concat({parameter('b')},'c')^")
        + declared("b", f"^concat({parameter('a')},'b')^")
        + declared("a", "a"),
    )
    assert said(bench.run(text, ECHO)) == ["abc"]
    text = pipeline(
        step("1", call("echo", a="x")),
        parameters=declared("c", f"^{parameter('b')}^") + declared("b", f"^{parameter('c')}^"),
    )
    ended = bench.run(text, ECHO)
    assert ended.status == "Queued"
    assert "made from itself" in ended.reason


def test_loops_clone_steps_and_loop_values_stand_together(bench):
    text = pipeline(
        step("1", call("echo", a="^PIPELINE_LOOPON(n)^", b="^PIPELINE_LOOPVALUE(n)^")),
        step("2", call("echo", a="^PIPELINE_LOOPVALUE(n)^")),
        head="<loop id='n'><value>7</value><value>8</value></loop>",
    )
    ended = bench.run(text, ECHO)
    assert ended.steps == {"1:7": "Complete", "1:8": "Complete", "2": "Complete"}
    assert said(ended) == ["7 7 8", "8 7 8", "7 8"]


def test_a_loop_without_values_makes_no_step(bench):
    loop = "<loop id='n' xpath=\"^/Pipeline/parameters/parameter[name='none']/values/list^\"/>"
    text = pipeline(step("1", call("echo", a="^PIPELINE_LOOPON(n)^")), head=loop)
    ended = bench.run(text, ECHO)
    assert (ended.status, ended.steps) == ("Complete", {})


def test_expressions_are_xpath_2(bench):
    chosen = "^if (count(/Pipeline/steps/step) eq 1) then upper-case('yes') else 'no'^"
    ended = bench.run(pipeline(step("1", call("echo", a=chosen))), ECHO)
    assert said(ended) == ["YES"]


@pytest.mark.parametrize(
    "wrong",
    ["^fileUtils:getJSESSION('x')^", "^concat('a'^", "^1 to^", "^doc('file:///etc/passwd')^"],
)
def test_what_is_no_plain_xpath_ends_the_run_with_a_sentence(bench, wrong):
    ended = bench.run(pipeline(step("1", call("echo", a=wrong))), ECHO)
    assert ended.status == "Failed"
    assert "cannot be evaluated" in ended.err
    assert "root:" not in ended.err + ended.log + str(ended.fields)


def test_documents_that_break_the_schema_still_run(bench):
    text = pipeline(step("1", call("echo", a="x"))).replace("<name>", "<odd/><name>", 1)
    assert bench.run(text, ECHO).status == "Complete"


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("", True),
        ("EXISTS({})", True),
        ("!EXISTS({})", False),
        ("EXISTS({}/nothing)", False),
        ("EXISTS({}/nothing) OR EXISTS({})", True),
        ("EXISTS({}/nothing) AND EXISTS({})", False),
        ("EXISTS({}) OR EXISTS({}/nothing)", True),
        ("EXISTS({}) AND EXISTS({}/nothing)", False),
        ("EXISTS({}) AND EXISTS({})", True),
        ("EXISTS({}/nothing) OR EXISTS({}/nothing)", False),
        ("true or false and false", False),
        ("false and false or true", True),
        ("^count(/Pipeline/steps/step) = 1^", True),
        ("^ '{}' = 'other one' ^", False),
        (f"EXISTS(^{parameter('builddir')}^)", True),
    ],
)
def test_preconditions(bench, tmp_path, condition, runs):
    condition = condition.replace("{}", str(tmp_path))
    text = pipeline(step("1", call("echo", a="ran"), precondition=condition))
    ended = bench.run(text, ECHO)
    assert ended.status == "Complete"
    assert ended.steps == {"1": "Complete" if runs else "Skipped"}
    assert said(ended) == (["ran"] if runs else [])


def test_a_strict_condition_that_does_not_hold_ends_the_run(bench):
    first = step("1", call("echo", a="x"), precondition="false", preconditionType="strict")
    ended = bench.run(pipeline(first, step("2", call("echo", a="y"))), ECHO)
    assert ended.status == "Failed"
    assert ended.steps == {"1": "Skipped", "2": "Queued"}


def test_a_failing_step_ends_the_run_unless_it_may_fail(bench):
    wrong = call("sh", c="'echo gone wrong >&2; exit 3'")
    after = step("2", call("echo", a="after"))
    ended = bench.run(pipeline(step("1", wrong), after), ECHO)
    assert ended.status == "Failed"
    assert ended.steps == {"1": "Failed", "2": "Queued"}
    assert ended.fields["step_description"] == f"See {ended.build}/LOGS/Demo.err for errors"
    assert "details" not in ended.fields
    assert "status 3" in ended.reason
    assert ended.err == "gone wrong\n"
    assert "after" not in ended.log
    ended = bench.run(pipeline(step("1", wrong, continueOnFailure="true"), after), ECHO)
    assert ended.status == "Complete"
    assert ended.steps == {"1": "Failed", "2": "Complete"}
    assert said(ended) == ["after"]


def test_a_work_directory_must_exist(bench, tmp_path):
    there, missing = tmp_path / "a b", tmp_path / "nowhere"
    there.mkdir()
    text = pipeline(step("1", call("pwd"), workdirectory=str(there)))
    assert said(bench.run(text, ECHO)) == [str(there)]
    ended = bench.run(text.replace(str(there), str(missing)), ECHO)
    assert ended.status == "Failed"
    assert str(missing) in ended.err
    assert not missing.exists()


def test_logs_lie_where_the_descriptor_says(bench):
    ended = bench.run(pipeline(step("1", call("echo", a="hello"))), ECHO)
    names = {one.name for one in (ended.build / "LOGS").iterdir()}
    assert names == {"Demo.log", "Demo.err", "Demo_Demo.xml"}
    assert ended.log.splitlines() == ["--- 1: echo hello", "hello"]


def test_arguments_have_prefix_name_and_value_as_described(bench):
    made = {
        "args": resource(
            "printf",
            argument("format"),
            argument("plain", "p"),
            argument("long", "long", prefix="--"),
            argument("joined", "j=", prefix="--", nospace="true"),
            argument("slash", "s", prefix="/"),
            argument("bare", "word", prefix=""),
            argument("flag", "f"),
            argument("unused", "u"),
            argument("many", "m"),
        )
    }
    given = call(
        "args", format="'%s|'", plain="1", long="2", joined="3", slash="4", bare="5", flag=None,
        many=["6", "7"],
    )  # fmt: skip
    ended = bench.run(pipeline(step("1", given)), made)
    assert said(ended) == ["-p|1|--long|2|--j=3|/s|4|word|5|-f|-m|6|-m|7|"]


def test_sensitive_values_are_masked_wherever_they_are_shown(bench):
    made = {"say": resource("echo", argument("open"), argument("hidden", "h", isSensitive="true"))}
    text = pipeline(step("1", call("say", open="seen", hidden="'very hidden'")))
    ended = bench.run(text, made)
    assert ended.status == "Complete"
    everything = "".join(
        one.read_text("utf-8") for one in ended.folder.rglob("*") if one.is_file()
    ) + str(ended.fields)
    assert "very hidden" not in everything
    assert "--- 1: echo seen -h ########" in ended.log
    assert said(ended) == ["seen -h ########"]


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("tool 1.2", "tool 1.2"),
        ("tool, version 1.2", ""),
        ("tool version 1.2\nwritten in 2024", "1.2"),
        ("tool\nversion 1.2", ""),
    ],
)
def test_a_version_is_read_as_the_engine_reads_it(bench, tmp_path, said, version):
    program = tmp_path / "tool"
    program.write_text(f"#!/bin/sh\necho '{said}'\n", "utf-8")
    program.chmod(0o755)
    made = {"tool": resource("tool", location=str(tmp_path))}
    ended = bench.run(pipeline(step("1", call("tool"))), made)
    (steps,) = ended.build.glob("LOGS/*.xml")
    assert f'version="{version}"' in steps.read_text("utf-8")


def test_of_a_program_that_is_missing_nothing_is_told(bench):
    made = {"gone": resource("no-such-program-here")}
    ended = bench.run(pipeline(step("1", call("gone"))), made)
    assert ended.status == "Failed"
    assert (ended.build / "LOGS" / "Demo.err").read_text("utf-8") == ""
    assert "status 127" in ended.reason


def test_errors_are_written_when_the_step_ends(bench, tmp_path):
    go = tmp_path / "go"
    wait = f"'echo early >&2; until test -e {go}; do sleep 0.02; done'"
    bench.write(pipeline(step("1", call("sh", c=wait))), ECHO)
    number = bench.launch()
    err = bench.served.archive.folder / "runs" / number / "build" / "LOGS" / "Demo.err"
    deadline = time.monotonic() + 60
    while not err.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    state = bench.state(number)
    assert (state["status"], state["percentageComplete"]) == ("Running", "100.0")
    assert err.read_text("utf-8") == ""
    go.touch()
    assert bench.end(number).err == "early\n"


def test_letters_beyond_ascii_are_lost_on_a_server_of_ascii(bench):
    text = pipeline(step("1", call("echo", a=f"^{parameter('v')}^")))
    assert said(bench.run(text, ECHO, v="für")) == ["für"]
    with engine_charset(bench, "US-ASCII"):
        ended = bench.run(text, ECHO, v="für")
    assert said(ended) == ["f?r"]


@contextmanager
def engine_charset(bench, name):
    path = "/xapi/siteConfig/sandboxEngineCharset"
    assert bench.served.post(path, data=name).status_code == 200
    try:
        yield
    finally:
        assert bench.served.post(path, data="UTF-8").status_code == 200


def test_the_step_knows_the_number_of_its_workflow(bench):
    ended = bench.run(pipeline(step("1", call("echo", a=f"^{parameter('workflowid')}^"))), ECHO)
    assert said(ended) == [ended.number]


def test_the_program_is_asked_for_its_version_after_the_step(bench, tmp_path):
    program = tmp_path / "bin" / "tool"
    program.parent.mkdir()
    calls = tmp_path / "calls"
    program.write_text(f'#!/bin/sh\necho "$*" >> {calls}\necho tool 1.2\n', "utf-8")
    program.chmod(0o755)
    made = {"tool": resource("tool", argument("a"), location=str(program.parent))}
    ended = bench.run(pipeline(step("1", call("tool", a="work"))), made)
    assert calls.read_text("utf-8").splitlines() == ["work", "--version"]
    (steps,) = ended.build.glob("LOGS/*.xml")
    assert 'version="tool 1.2"' in steps.read_text("utf-8")


def test_the_address_ends_with_a_slash_and_the_login_is_a_token(bench):
    text = pipeline(step("1", call("echo", a=f"^{parameter('host')}^", b=f"^{parameter('user')}^")))
    ended = bench.run(text, ECHO, user="me", pwd="mine", host="http://elsewhere")
    (line,) = said(ended)
    host, user = line.split()
    assert host == bench.served.url + "/"
    assert user == "########"  # a token: masked, and not what the launch gave


@pytest.mark.parametrize(
    "value",
    [
        'm 1\'s "T2" é',
        "$(touch {})",
        "`touch {}`",
        "; touch {} #",
        "a' ; touch {} ; echo 'b",
        'a" ; touch {} ; echo "b',
        "x && touch {} || touch {}",
        "'$(touch {})'",
        '"$(touch {})"',
        '"`touch {}`"',
        "> {}",
        "line\ntouch {}",
        "\\",
        "'",
        '"',
        "\\' ; touch {} ; '",
        "~ * ? [a] {{b,c}} !x ^y",
        "中文 ü",
    ],
)
def test_no_value_runs_anything(bench, tmp_path, value):
    mark = tmp_path / "mark"
    value = value.replace("{}", str(mark))
    quoted = f"""^concat("'",replace({parameter("v")},"'","'\\\\''"),"'")^"""
    made = {"print": resource("printf", argument("format"), argument("a"), argument("raw"))}
    text = pipeline(step("1", call("print", format="'%s|'", a=quoted)))
    ended = bench.run(text, made, v=value)
    assert ended.status == "Complete", ended.fields
    assert said(ended) == f"{value}|".split("\n")
    raw = pipeline(step("1", call("print", format="'%s|'", raw=f"^{parameter('v')}^")))
    bench.run(raw, made, v=value)
    assert not mark.exists(), shlex.quote(value)


@pytest.mark.parametrize("value", ['"\\\\$(touch {})"', '"\\$\\\\`touch {}`"'])
def test_backslashes_between_quotes_hide_no_command(bench, tmp_path, value):
    mark = tmp_path / "mark"
    made = {"print": resource("printf", argument("format"), argument("raw"))}
    raw = pipeline(step("1", call("print", format="'%s|'", raw=f"^{parameter('v')}^")))
    bench.run(raw, made, v=value.replace("{}", str(mark)))
    assert not mark.exists(), shlex.quote(value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("echo", "../../outside"), "install the pipelines again"),
        (("step id=", "step gotoStepId='2' id="), "not run here"),
        (('step id="1"', 'step id=""'), "names of their own"),
        (("argument id=\"a\"", "argument id=\"zz\""), "no argument zz"),
        (("echo", "hook"), "only Executable"),
        (("<value>x</value>", "<value>^PIPELINE_LOOPON(n)^</value>"), "no loop n"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_told_in_a_sentence(bench, change, words):
    text = pipeline(step("1", call("echo", a="x")))
    assert change[0] in text, text
    made = ECHO | {"hook": resource("hook", argument("a"), kind="WebService")}
    ended = bench.run(text.replace(*change), made)
    assert ended.status in ("Failed", "Queued")
    assert words in (ended.err if ended.status == "Failed" else ended.reason)
