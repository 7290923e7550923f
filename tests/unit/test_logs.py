"""Lines on standard error: one an event, whatever is logged, and no value of a failure."""

import json
import logging

import pytest

from aigne_hub.logs import FRAMES_MAX, JsonLines, Lines, configure_logging, get_logger

HOSTILE = "a\r\nb\x1b[2J\u2028c\x00" + "d" * 1_000


@pytest.fixture
def say(capsys):
    """Give what logs one thing and returns the lines that came of it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def lines(event, *, as_json=True, level="info", kind="info", name="aigne_hub", **fields):
        configure_logging(level, as_json=as_json)
        getattr(get_logger(name), kind)(event, **fields)
        return capsys.readouterr().err.split("\n")[:-1]

    yield lines
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_event_is_one_object_with_its_fields(say):
    (line,) = say("a duty waits", kind="warning", duty="sweep", tries=3)
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {"event": "a duty waits", "duty": "sweep", "tries": 3, "level": "warning"}


@pytest.mark.parametrize("as_json", [True, False])
def test_nothing_that_is_logged_begins_another_line(say, as_json):
    (line,) = say(HOSTILE, as_json=as_json, kind="error", error=HOSTILE, list=[HOSTILE], none=None)
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    if as_json:
        said = json.loads(line)
        assert (said["event"], said["error"], said["list"]) == (HOSTILE, HOSTILE, [HOSTILE])


def test_what_json_has_not_is_shown_as_python_does(say):
    (line,) = say("odd", value={1, 2}, other=b"x")
    assert (json.loads(line)["value"], json.loads(line)["other"]) == ("{1, 2}", "b'x'")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_failure_is_told_by_its_type_and_frames_and_without_its_values(say, as_json):
    def fail(depth, password):
        if depth:
            fail(depth - 1, password)
        raise ValueError(password)

    try:
        fail(2 * FRAMES_MAX, "hunter2")
    except ValueError:
        (line,) = say("it failed", as_json=as_json, kind="exception", call_id="c")
    assert "ValueError" in line
    assert " in fail" in line
    assert "hunter2" not in line
    if as_json:
        assert len(json.loads(line)["frames"]) == FRAMES_MAX


def test_a_person_reads_one_line(say):
    (line,) = say("two words", as_json=False, kind="warning", name="n", text="a b", plain="ab")
    assert line.endswith("[warning] two words  text='a b' plain=ab")
    assert line[:4].isdigit()


def test_what_is_below_the_level_is_not_said(say):
    assert say("quiet", level="warning") == []
    assert len(say("quiet", level="debug")) == 1


def test_records_of_libraries_are_lines_of_the_same_kind(say):
    say("first")
    record = logging.LogRecord("lib", logging.ERROR, "x.py", 1, "a %s", ("cat",), None)
    said = json.loads(JsonLines().format(record))
    assert (said["event"], said["level"]) == ("a cat", "error")
    assert Lines().format(record).endswith("[error  ] a cat")
    # A server's news at `info` is not an operator's.
    assert logging.getLogger("uvicorn.error").level == logging.WARNING


def test_logs_go_to_standard_error_alone(say):
    assert len(say("once")) == 1
    (handler,) = logging.getLogger().handlers
    assert type(handler) is logging.StreamHandler
    others = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    assert [one.name for one in others if one.name.startswith("aigne_hub") and one.handlers] == []
