"""The verdict of a benchmark on the last committed result."""

import json
from dataclasses import fields

import pytest
from bench import last
from bench.table import Row


def row(target: str, times_nginx: float | None, load: str = "chat") -> Row:
    values = dict.fromkeys((field.name for field in fields(Row)), None)
    return Row(
        **{
            **values,
            "load": load,
            "connections": 32,
            "target": target,
            "samples": 1,
            "calls_per_s": 1.0,
            "times_nginx": times_nginx,
        }
    )


@pytest.mark.parametrize(
    ("now", "word"), [(10.0, "same"), (11.4, "same"), (11.6, "worse"), (8.4, "better")]
)
def test_a_ratio_is_judged_beside_the_committed_one(now: float, word: str):
    (verdict,) = last.compare([row("nginx", 1.0), row("hub", now)], {"chat x32": 10.0})
    assert verdict.word == word
    assert ("by 16 %" in str(verdict)) is (word in {"worse", "better"})


def test_only_what_was_measured_both_times_is_judged():
    rows = [row("hub", None), row("hub", 3.0, "stream 40"), row("hub-postgres", 2.0)]
    assert last.compare(rows, {"chat x32": 10.0}) == []


def test_saving_keeps_rows_that_were_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path):
    file = tmp_path / "last.json"
    file.write_text(json.dumps({"made": "then", "times_nginx": {"chat x32": 9.0, "old x1": 4.0}}))
    monkeypatch.setattr(last, "FILE", file)
    last.save([row("hub", 8.123)], "now")
    assert json.loads(file.read_text()) == {
        "made": "now",
        "times_nginx": {"chat x32": 8.12, "old x1": 4.0},
    }
    assert last.load()["chat x32"] == 8.12
