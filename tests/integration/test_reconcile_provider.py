"""`ledger reconcile`: a hub's calls beside what its provider says it served."""

import json

import pytest
from tests.books import Books, nano
from tests.caller import PROMPT, ask
from tests.conftest import config_for
from tests.hub import HubProcess

REPORTED = "gpt-tokens:100:20+cached:40"
SILENT = "gpt-long:8+nousage"
BROKEN = "gpt-long:20+cut:4"
MODELS = [REPORTED, SILENT, BROKEN]
# What the vendor charges: dollars per 1,000,000 tokens.
COST = {"input": "1", "output": "10", "cache_read": "0.5"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory, upstream, database, database_for):
    config = config_for(upstream, models=MODELS, billing={"enabled": True})
    for model in config["models"]:
        if model["model"].endswith(REPORTED):
            model["cost"] = COST
    folder = tmp_path_factory.mktemp("reconcile")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        with Books(running) as books:
            key = books.customer(nano("1000")).key
            for stream in (False, True, True):
                assert ask(running, f"openai/{REPORTED}", key=key, stream=stream).status == 200
            assert ask(running, f"openai/{SILENT}", key=key).status == 200
            ask(running, f"openai/{BROKEN}", key=key, stream=True)
        running.calls_when_closed(5)
        yield running


@pytest.fixture(scope="module")
def day(hub):
    """The day on which the calls were made."""
    (found,) = {call["started_at"][:10] for call in hub.calls()}
    return found


def export(folder, *rows):
    file = folder / "usage.csv"
    lines = ["date,model,input,cached,output,cost", *rows]
    file.write_text("\n".join(lines))
    return str(file)


# 60 uncached at 1, 40 cached at 0.5, 20 out at 10: 0.00028 a call.
AGREES = f"{REPORTED},300,120,60,0.00084"


def test_a_bill_that_agrees(hub, day, tmp_path):
    calls = {call["model"].removeprefix("openai/"): call for call in hub.calls()}
    rows = [f"{day},{AGREES}"]
    for model in (SILENT, BROKEN):
        call = calls[model]
        rows.append(f"{day},{model},{call['input_tokens']},0,{call['output_tokens']},")
    file = export(tmp_path, *rows)
    told = hub.cli("ledger", "reconcile", file, "--provider", "openai", "--tolerance", "0")
    assert told["ok"] is True
    (row,) = (row for row in told["rows"] if row["model"] == REPORTED)
    assert row["own"] == {
        "calls": 3,
        "input_tokens": 300,
        "cached_tokens": 120,
        "output_tokens": 60,
        "cost": "0.00084",
        "failed_attempts": 0,
        "failed_cost": "0",
    }
    assert told["total"]["own"]["calls"] == 5


def test_differences_and_their_causes(hub, day, tmp_path):
    file = export(
        tmp_path,
        f"{day},{REPORTED},300,120,60,0.002",
        f"{day},{SILENT},900,0,800,",
        f"{day},{BROKEN},900,0,900,",
        f"{day},gpt-other,5,0,5,0.1",
    )
    done = hub.run("ledger", "reconcile", file, "--provider", "openai")
    assert done.returncode == 1
    told = {row["model"]: row for row in json.loads(done.stdout)["rows"]}
    assert told[REPORTED]["off"] == ["cost"]
    assert told[REPORTED]["causes"] == ["the tokens agree: the declared cost is not what is billed"]
    assert told[SILENT]["off"] == ["input_tokens", "output_tokens"]
    assert told[SILENT]["causes"] == ["1 calls were counted, for want of a report"]
    assert told[BROKEN]["causes"][-1] == "1 calls failed after content was delivered"
    assert told["gpt-other"]["causes"] == [
        "no call of this hub: another program uses the same account"
    ]
    assert told[SILENT]["own"]["input_tokens"] == -(-len(PROMPT) // 4)


def test_other_days_and_other_providers_are_left_out(hub, tmp_path):
    file = export(tmp_path, "2020-01-01,gpt-4o,1,0,1,")
    period = ("--since", "2020-01-02", "--until", "2020-01-03")
    told = hub.cli("ledger", "reconcile", file, "--provider", "openai", *period)
    assert (told["ok"], told["rows"]) == (True, [])
    told = json.loads(hub.run("ledger", "reconcile", file, "--provider", "open_i").stdout)
    assert [row["own"]["calls"] for row in told["rows"]] == [0]


@pytest.mark.parametrize(
    ("text", "options", "word"),
    [
        ("nonsense", (), "first line"),
        ("date,model,input\n", (), "no row"),
        ("date,model,input\n2026-01-31,m,1\n", ("--tolerance", "x"), "tolerance"),
        ("date,model,input\n2026-01-31,m,1\n", ("--tolerance", "101"), "tolerance"),
        ("date,model,input\n2026-01-31,m,1\n", ("--since", "now"), "--since"),
        ("date,model,input\n2026-01-31,m,1\n", ("--until", "2026-01-01"), "before it begins"),
    ],
)
def test_bad_input_is_told_in_words(run, tmp_path, text, options, word):
    file = tmp_path / "usage.csv"
    file.write_text(text)
    code, _, error = run("ledger", "reconcile", str(file), "--provider", "openai", *options)
    assert code == 2
    assert word in error
