"""`rates`: imports from price lists, setting by hand, versions."""

import asyncio
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from aigne_hub.bootstrap import apply_declarations, open_hub
from aigne_hub.catalog.openrouter_prices import OpenRouterPrices
from aigne_hub.cli import main
from aigne_hub.cli.price_sources import fetch
from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.settings import load_settings
from aigne_hub.storage import engine
from aigne_hub.storage.catalogue import load_snapshot

HUB = """\
version: 1
providers:
  - {name: openai, base_url: "http://127.0.0.1:9/v1"}
  - {name: local, kind: openai, base_url: "http://127.0.0.1:9/v1"}
models:
  - {model: openai/gpt-4o-mini, type: chat}
  - {model: openai/gpt-4o, type: chat, rates: {input: "3", output: "9"}}
  - {model: openai/whisper-1, type: transcription}
  - {model: local/gpt-4o-mini, type: chat}
  - {model: local/llama, type: chat}
"""
GENAI = ("rates", "import", "--from", "genai-prices")


@pytest.fixture(scope="module")
def initialised(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rates") / "data"
    folder.mkdir()
    (folder / "hub.yaml").write_text(HUB)
    assert main(["init", "--json", "--data-dir", str(folder)]) == 0
    return folder


def names(changes):
    return [change["model"] for change in changes]


def in_force(run):
    return {rate["model"]: rate for rate in run("rates", "list")[1]}


def test_an_import_prices_what_the_hub_offers_and_leaves_what_hub_yaml_prices(run):
    before = in_force(run)
    code, shown, _ = run(*GENAI, "--markup", "1.2", "--dry-run")
    assert code == 0
    assert names(shown["created"]) == ["openai/gpt-4o-mini", "openai/whisper-1"]
    assert (shown["updated"], shown["unchanged"], shown["dry_run"]) == ([], 0, True)
    assert shown["declared"] == ["openai/gpt-4o"]
    assert {"local/llama", "local/gpt-4o-mini"} <= set(shown["unlisted"])
    assert in_force(run) == before

    code, done, _ = run(*GENAI, "--markup", "1.2")
    assert code == 0
    assert {**done, "dry_run": True} == shown
    rates = in_force(run)
    mini = rates["openai/gpt-4o-mini"]
    assert (mini["version"], mini["amounts"]["input"], mini["cost"]["input"]) == (1, "0.18", "0.15")
    assert mini["amounts"]["service_tiers"]["batch"] == {"input": "0.09", "output": "0.36"}
    assert mini["source"].startswith("genai-prices 0.")
    assert rates["openai/whisper-1"]["amounts"] == {"second": "0.00012"}
    assert rates["openai/gpt-4o"] == before["openai/gpt-4o"]

    code, again, _ = run(*GENAI, "--margin", "20%")
    assert (code, again["created"], again["updated"], again["unchanged"]) == (0, [], [], 2)
    assert in_force(run) == rates


def test_an_import_is_narrowed_and_a_provider_can_be_priced_by_another_vendor(run):
    _, shown, _ = run(*GENAI, "--provider", "local=openai", "--dry-run")
    assert (names(shown["created"]), shown["unlisted"]) == (["local/gpt-4o-mini"], ["local/llama"])
    _, shown, _ = run(*GENAI, "--provider", "openai", "--model", "*/whisper*", "--dry-run")
    assert names(shown["created"]) == ["openai/whisper-1"]
    _, shown, _ = run(*GENAI, "--provider", "anthropic")
    assert (shown["created"], shown["unchanged"]) == ([], 0)
    for unknown in ("nobody", "local=nobody"):
        code, refused, _ = run(*GENAI, "--provider", unknown)
        assert (code, refused["error"]["code"]) == (4, "not_found")


def reconciled(folder, more=""):
    """Apply hub.yaml as a start does; return what calls would then see."""
    with (folder / "hub.yaml").open("a") as file:
        file.write(more)
    hub = open_hub(load_settings(os.environ), os.environ)
    apply_declarations(hub)
    with engine.reading(hub.engine) as view:
        snapshot = load_snapshot(view, hub.keyring)
    hub.engine.dispose()
    return snapshot


def test_what_a_credit_costs_is_taken_from_its_sale_or_the_option(run, data_dir):
    reconciled(data_dir, 'billing: {payments: {credit_price: "0.01"}}\n')
    _, shown, _ = run(*GENAI, "--dry-run")
    assert shown["created"][0]["rates"]["input"] == "15"
    assert shown["created"][0]["cost"]["input"] == "0.15"
    _, shown, _ = run(*GENAI, "--dry-run", "--credit-price", "0.5")
    assert shown["created"][0]["rates"]["input"] == "0.3"


def test_credits_sold_in_another_currency_need_their_price_in_dollars(run, data_dir):
    reconciled(data_dir, 'billing: {payments: {credit_price: "0.9", currency: eur}}\n')
    code, refused, _ = run(*GENAI, "--dry-run")
    assert (code, refused["error"]["code"]) == (2, "invalid_request")
    code, shown, _ = run(*GENAI, "--dry-run", "--credit-price", "1")
    assert (code, shown["created"][0]["rates"]["input"]) == (0, "0.15")


def test_prices_survive_a_start_of_a_hub_whose_file_gives_none(run, data_dir):
    run(*GENAI)
    rates = in_force(run)
    snapshot = reconciled(data_dir)
    assert in_force(run) == rates
    assert snapshot.models["openai/gpt-4o-mini"].rates.base.input == 150_000_000
    # The file gives a price and no cost: what the vendor lists is the cost of its calls.
    declared = snapshot.models["openai/gpt-4o"]
    assert (declared.rates.base.input, declared.cost.base.input) == (3 * 10**9, 2_500_000_000)


def litellm(folder, input_price, name="gpt-4o-mini"):
    file = folder / "prices.json"
    entry = {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": input_price,
        "output_cost_per_token": 6e-07,
    }
    file.write_text(json.dumps({name: entry}))
    return str(file)


def test_a_litellm_file_is_imported_and_a_collapse_needs_force(run, tmp_path):
    code, done, _ = run("rates", "import", "--from", "litellm", litellm(tmp_path, 1.5e-07))
    assert (code, names(done["created"])) == (0, ["openai/gpt-4o-mini"])
    assert in_force(run)["openai/gpt-4o-mini"]["source"].startswith("litellm sha256:")
    rates = in_force(run)

    collapsed = litellm(tmp_path, 1e-12)
    code, refused, errors = run("rates", "import", "--from", "litellm", collapsed)
    assert (code, refused["error"]["code"]) == (3, "conflict")
    assert "--force" in errors
    assert in_force(run) == rates
    code, done, _ = run("rates", "import", "--from", "litellm", collapsed, "--force", "--dry-run")
    assert (code, names(done["updated"])) == (0, ["openai/gpt-4o-mini"])
    assert done["updated"][0]["before"]["input"] == "0.15"
    assert in_force(run) == rates

    gone = litellm(tmp_path, 1e-7, name="something-else")
    code, refused, _ = run("rates", "import", "--from", "litellm", gone)
    assert (code, refused["error"]["code"]) == (3, "conflict")
    code, done, _ = run("rates", "import", "--from", "litellm", gone, "--force")
    assert (code, done["updated"], done["created"]) == (0, [], [])
    assert in_force(run) == rates


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"a": {"input_cost_per_token": 1}}'])
def test_a_malformed_file_changes_nothing(run, tmp_path, text):
    run(*GENAI)
    rates = in_force(run)
    (tmp_path / "prices.json").write_text(text)
    for source in ("litellm", "openrouter"):
        code, refused, _ = run(
            "rates", "import", "--from", source, str(tmp_path / "prices.json"), "--force"
        )
        assert (code, refused["error"]["code"]) == (2, "invalid_request")
    assert in_force(run) == rates


def test_bad_arguments_of_an_import(run, tmp_path):
    for arguments in (
        ("genai-prices", "a-file"),
        ("litellm",),
        ("litellm", str(tmp_path / "none.json")),
        ("genai-prices", "--markup", "0"),
        ("genai-prices", "--markup", "-1"),
        ("genai-prices", "--markup", "1e3"),
        ("genai-prices", "--markup", "1", "--margin", "1"),
        ("genai-prices", "--margin", "x"),
        ("genai-prices", "--credit-price", "0"),
        ("elsewhere",),
        ("openrouter", "http://127.0.0.1:1/models"),
        ("openrouter", "http://[::1]/models"),
        ("openrouter", "http://user:secret@openrouter.ai/"),
    ):
        code, refused, errors = run("rates", "import", "--from", *arguments)
        assert code in {1, 2}, arguments
        assert refused["error"]["code"] in {"invalid_request", "upstream_error"}, arguments
        assert "secret" not in errors


def test_a_missing_package_is_named(run, monkeypatch):
    monkeypatch.setattr("aigne_hub.cli.price_sources.find_spec", lambda _: None)
    code, refused, errors = run(*GENAI)
    assert (code, refused["error"]["code"]) == (2, "invalid_request")
    assert "pip install 'aigne-hub[prices]'" in errors


class Models(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"data": [{"id": "openai/x", "pricing": {"prompt": "1", "completion": "2"}}]}'
        found = self.path == "/api/v1/models"
        self.send_response(200 if found else 302)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_list_is_fetched_over_http_and_only_from_public_addresses():
    server = HTTPServer(("127.0.0.1", 0), Models)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        raw = asyncio.run(fetch(f"{address}/api/v1/models", {}, trusted=True))
        assert OpenRouterPrices(raw, "today").knows("openai")
        with pytest.raises(UpstreamError, match="answered 302"):
            asyncio.run(fetch(f"{address}/elsewhere", {}, trusted=True))
        with pytest.raises(UpstreamError, match="did not answer"):
            asyncio.run(fetch(f"{address}/api/v1/models", {}))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with pytest.raises(InvalidRequest):
        asyncio.run(fetch("file:///etc/passwd", {}))


def test_rates_are_set_by_hand_as_versions_and_their_history_is_kept(run):
    code, made, _ = run(
        "rates", "set", "openai/gpt-4o-mini", "input=0.2", "output=0.8",
        "service_tiers.batch.input=0.1", "--cost", "input=0.15", "--cost", "output=0.6",
        "--source", "a contract",
    )  # fmt: skip
    assert (code, made["version"], made["source"]) == (0, 1, "a contract")
    code, made, _ = run("rates", "set", "openai/gpt-4o-mini", "input=0.3", "output=0.9")
    assert (made["version"], made["cost"]) == (2, {"input": "0.15", "output": "0.6"})
    code, again, _ = run("rates", "set", "openai/gpt-4o-mini", "output=0.9", "input=0.3")
    assert again == made
    code, history, _ = run("rates", "history", "openai/gpt-4o-mini")
    assert [one["version"] for one in history] == [2, 1]
    assert history[0] == made
    _, listed, _ = run("rates", "list", "--model", "openai/gpt-4o-m*", "--all-versions")
    assert listed == history
    _, listed, _ = run("rates", "list", "--model", "openai/gpt-4o-m*")
    assert listed == history[:1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("openai/gpt-4o", "input=1"), 3),
        (("openai/nope", "input=1"), 4),
        (("gpt-4o-mini", "input=1"), 4),
        (("openai/gpt-4o-mini", "inptu=1"), 2),
        (("openai/gpt-4o-mini", "input=-1"), 2),
        (("openai/gpt-4o-mini", "second=1"), 2),
        (("openai/gpt-4o-mini", "cache_read=1"), 2),
        (("openai/gpt-4o-mini", "input=1", "--cost", "x"), 2),
    ],
)
def test_rates_that_cannot_be_set(run, arguments, code):
    before = in_force(run)
    found, refused, _ = run("rates", "set", *arguments)
    assert (found, refused["ok"]) == (code, False)
    assert in_force(run) == before


PERIOD = ("--since", "2020-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("openai/gpt-4o", "--since", "2020-01-01T00:00:00Z"), 2),
        (("openai/gpt-4o", "--since", "today", "--until", "2100-01-01T00:00:00Z"), 2),
        (("openai/gpt-4o", *PERIOD, "--rate", "x"), 2),
        (("openai/gpt-4o", *PERIOD, "--rate", "99"), 4),
        (("openai/gpt-4o-mini", *PERIOD), 4),
        (("openai/none", *PERIOD), 4),
    ],
)
def test_a_rerating_that_makes_no_sense_is_refused(run, arguments, code):
    found, refused, _ = run("rates", "rerate", *arguments)
    assert (found, refused["ok"]) == (code, False)


def test_a_rerating_of_no_calls_posts_nothing(run, capsys):
    code, shown, _ = run("rates", "rerate", "openai/gpt-4o", *PERIOD, "--rate", "1")
    assert (code, shown["version"], shown["calls"], shown["posted"]["calls"]) == (0, 1, 0, 0)
    assert main(["rates", "rerate", "openai/gpt-4o", *PERIOD, "--dry-run"]) == 0
    assert "0 of 0 calls change by 0 credits" in capsys.readouterr().err


def test_margins_are_reported_and_set(run):
    run(*GENAI)
    code, report, _ = run("rates", "margin", "--provider", "openai")
    assert (code, report["total"]["calls"]) == (0, 0)
    below = {one["model"] for one in report["models"] if one["below_cost"]}
    assert below == {"openai/gpt-4o"}
    code, done, _ = run("rates", "margin", "--set", "20%", "--provider", "openai")
    assert names(done["updated"]) == ["openai/gpt-4o-mini", "openai/whisper-1"]
    assert in_force(run)["openai/gpt-4o-mini"]["amounts"]["input"] == "0.18"
    for arguments in (("--dry-run",), ("--set", "1", "--since", "2020-01-01T00:00:00Z")):
        assert run("rates", "margin", *arguments)[0] == 2
