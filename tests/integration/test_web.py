"""The control plane over ASGI: operations, pages, wrong paths, failures."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from functools import cache

import httpx2
import pytest

from aigne_hub.logs import JsonLines
from aigne_hub.telemetry import Counters
from aigne_hub.web import probes
from aigne_hub.web.app import create_app
from aigne_hub.web.gauges import Gauge, Routing
from aigne_hub.web.operations import Check, Readiness
from aigne_hub.web.security import CONTENT_SECURITY_POLICY, SECURITY_HEADERS

ADDRESS = "http://127.0.0.1:8090"
BASE = f"{ADDRESS}/v1"
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PAGES = ("/", "/docs")


@dataclass
class Process:
    """A running hub, as the web layer sees one."""

    demo: bool = True
    billing: bool = False
    address: str = ADDRESS
    counters: Counters = field(default_factory=Counters)
    checks: tuple[Check, ...] = (Check("database", ok=True, detail="A commit took 1 ms."),)
    measured: dict[Gauge, float] = field(default_factory=dict)
    seen: Routing = field(default_factory=Routing)

    async def ready(self):
        return Readiness(ok=all(check.ok for check in self.checks), checks=self.checks)

    def routing(self):
        return self.seen

    def gauges(self):
        return self.measured

    def public_url(self):
        return self.address


@cache
def application():
    """Return an application for all tests: making one takes longer than most of them."""
    return create_app(Process(), None)


def ask(process, path, method="GET", **options):
    application().state.operations = process

    async def exchange():
        transport = httpx2.ASGITransport(application())
        async with httpx2.AsyncClient(transport=transport, base_url="http://hub.test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(exchange())


# -- operations ---------------------------------------------------------------------------


def test_live_asks_nothing():
    process = Process(checks=(Check("database", ok=False, detail="It is locked."),))
    answer = ask(process, "/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_when_every_check_passes():
    answer = ask(Process(), "/health/ready")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "status": "ready",
        "checks": [{"name": "database", "ok": True, "detail": "A commit took 1 ms."}],
    }


def test_ready_tells_which_check_failed():
    process = Process(checks=(Check("database", ok=False, detail="The disk is full."),))
    answer = ask(process, "/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "checks": [{"name": "database", "ok": False, "detail": "The disk is full."}],
    }


def test_ready_does_not_wait_for_a_check_that_hangs(monkeypatch):
    class Hanging(Process):
        async def ready(self):
            await asyncio.sleep(60)

    monkeypatch.setattr(probes, "READY_S", 0.05)
    answer = ask(Hanging(), "/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"][0]["detail"] == "The checks took longer than 0.05 s."


def test_metrics_of_an_idle_process_are_well_formed():
    answer = ask(Process(), "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "aigne_hub_calls_in_flight 0.0\n" in answer.text
    assert "# TYPE gen_ai_server_request_duration_seconds histogram\n" in answer.text


def test_metrics_carry_every_counter():
    process = Process(measured={Gauge.JOURNAL_QUEUE: 3, Gauge.JOURNAL_BATCHES: 40})
    counters = process.counters
    tally = counters.tallies["chat", "openai"]
    tally.outcomes["completed"] += 2
    tally.cache_read_tokens += 128
    tally.duration.observe((5_000, 50_000, 200_000, 1_000_000_000))
    tally.first_byte.observe([300_000])
    counters.refused["rate_limited"] += 1
    tally.charged_nano = 2_000_000_000
    tally.written_off_nano = 1
    counters.tallies["image", "openai"].charged_nano = 500_000_000
    counters.in_flight = 7
    lines = ask(process, "/metrics").text.splitlines()
    labels = 'gen_ai_operation_name="chat",gen_ai_provider_name="openai"'
    duration = "gen_ai_server_request_duration_seconds"
    assert {
        'aigne_hub_calls_total{outcome="completed",provider="openai",type="chat"} 2.0',
        f'gen_ai_client_token_usage_total{{{labels},gen_ai_token_type="cache_read"}} 128.0',
        f'{duration}_bucket{{{labels},le="0.01"}} 1.0',
        f'{duration}_bucket{{{labels},le="0.05"}} 2.0',
        f'{duration}_bucket{{{labels},le="0.25"}} 3.0',
        f'{duration}_bucket{{{labels},le="300.0"}} 3.0',
        f'{duration}_bucket{{{labels},le="+Inf"}} 4.0',
        f"{duration}_count{{{labels}}} 4.0",
        f"{duration}_sum{{{labels}}} 1000.255",
        f"gen_ai_server_time_to_first_token_seconds_sum{{{labels}}} 0.3",
        'aigne_hub_refused_total{code="rate_limited"} 1.0',
        "aigne_hub_charged_credits_total 2.5",
        "aigne_hub_written_off_credits_total 1e-09",
        "aigne_hub_calls_in_flight 7.0",
        "aigne_hub_journal_queue_operations 3.0",
        "# TYPE aigne_hub_journal_queue_operations gauge",
        "aigne_hub_journal_batches_total 40.0",
        "# TYPE aigne_hub_journal_batches_total counter",
    } - set(lines) == set()


def test_metrics_tell_what_was_seen_of_upstreams():
    seen = Routing(
        faults={("openai", "broken"): 5},
        bars={("openai", "broken"): 1},
        probes={"openai": 2},
        barred={"openai": 1, "azure": 0},
        retries={("openai/gpt", "granted"): 4, ("openai/gpt", "denied"): 3},
    )
    lines = ask(Process(seen=seen), "/metrics").text.splitlines()
    assert {
        'aigne_hub_attempts_failed_total{fault="broken",provider="openai"} 5.0',
        'aigne_hub_bars_total{fault="broken",provider="openai"} 1.0',
        'aigne_hub_probes_total{provider="openai"} 2.0',
        'aigne_hub_targets_barred{provider="openai"} 1.0',
        'aigne_hub_targets_barred{provider="azure"} 0.0',
        'aigne_hub_retries_total{model="openai/gpt",verdict="granted"} 4.0',
        'aigne_hub_retries_total{model="openai/gpt",verdict="denied"} 3.0',
    } - set(lines) == set()


def test_every_gauge_can_be_exposed():
    text = ask(Process(measured=dict.fromkeys(Gauge, 1.0)), "/metrics").text
    assert all(f"aigne_hub_{gauge} 1.0\n" in text for gauge in Gauge)


# -- pages --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_html_that_needs_no_script_and_no_other_host(path):
    answer = ask(Process(), path, headers=BROWSER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    html = answer.text
    assert html.startswith("<!doctype html>")
    assert html.count("<h1>") == 1
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=", html)
    assert not re.search(r'(?:href|src|action)="(?:https?:)?/', html)


@pytest.mark.parametrize("path", [*PAGES, "/nothing/below/here", "/a%2Fb", "/a/"])
def test_links_of_a_page_lead_to_the_root_of_the_hub(path):
    html = ask(Process(), path, headers=BROWSER).text
    sheet = re.search(r'rel="stylesheet" href="([^"]+)"', html)[1]
    at = httpx2.URL(f"http://hub.test/ai-kit{path}")
    assert at.join(sheet).path == "/ai-kit/static/hub.css"


def test_home_page_shows_a_call_that_the_demo_provider_answers():
    html = ask(Process(), "/").text
    assert f"<code>{BASE}</code>" in html
    assert f"curl {BASE}/chat/completions" in html
    assert "demo/echo" in html
    assert "aigne-hub keys create --user U" in html
    assert "credits grant" not in html


def test_home_page_without_the_demo_provider_says_where_models_are_listed():
    html = ask(Process(demo=False), "/").text
    assert "demo/echo" not in html
    assert "GET /v1/models" in html


def test_home_page_of_a_hub_that_charges_says_how_to_get_credits():
    html = ask(Process(billing=True), "/").text
    assert "charges credits" in html
    assert "aigne-hub credits grant --user U --amount 10" in html


def test_values_in_pages_are_escaped():
    html = ask(Process(address='http://h/"><b>'), "/").text
    assert "<b>" not in html
    assert "http://h/&#34;&gt;&lt;b&gt;/v1" in html


def test_style_sheet_is_served_and_revalidated():
    first = ask(Process(), "/static/hub.css")
    assert first.headers["content-type"] == "text/css; charset=utf-8"
    again = ask(Process(), "/static/hub.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


# -- headers ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/openapi.json", "/metrics", "/static/hub.css", "/no"])
def test_every_answer_carries_the_security_headers(path):
    headers = ask(Process(), path).headers
    assert {name: headers[name] for name in SECURITY_HEADERS} == {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
    }


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics", "/no", "/api/user/no", "/v1/no"])
def test_nobody_keeps_an_answer_that_does_not_ask_for_it(path):
    assert ask(Process(), path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/.git/config",
        "/hub.db",
    ],
)
def test_no_folder_is_listed_and_no_file_served_but_the_hubs_own(path):
    answer = ask(Process(), path)
    assert answer.status_code == 404
    assert not re.search("hub.css|import |SQLite", answer.text)


@pytest.mark.parametrize("path", ["/", "/docs", "/metrics", "/static/hub.css"])
def test_trace_is_not_served(path):
    answer = ask(Process(), path, "TRACE", headers={"x-secret": "hunter2"})
    assert answer.status_code == 405
    assert "hunter2" not in answer.text


def test_nothing_runs_in_debug_mode():
    assert not application().debug


@pytest.mark.parametrize("path", ["/", "/health/ready", "/metrics", "/static/hub.css", "/no"])
def test_head_is_get_without_content(path):
    get, head = ask(Process(), path), ask(Process(), path, "HEAD")
    assert head.content == b""
    assert head.status_code == get.status_code
    assert head.headers["content-length"] == str(len(get.content))


def test_a_well_formed_request_id_is_echoed_and_another_is_not():
    assert ask(Process(), "/", headers={"x-request-id": "r-1"}).headers["x-request-id"] == "r-1"
    assert "x-request-id" not in ask(Process(), "/", headers={"x-request-id": "a b"}).headers
    assert "x-request-id" not in ask(Process(), "/").headers


# -- wrong paths --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "guess"),
    [
        ("POST", "/chat/completions", f"Did you mean POST {BASE}/chat/completions?"),
        ("POST", "/v1/v1/chat/completions", f"Did you mean POST {BASE}/chat/completions?"),
        ("POST", "/v1/chat/completions/", f"Did you mean POST {BASE}/chat/completions?"),
        ("POST", "/openai/v1/completions", f"Did you mean POST {BASE}/completions?"),
        ("POST", "/openai/deployments/x/embeddings", f"Did you mean POST {BASE}/embeddings?"),
        ("POST", "/images/generations", f"Did you mean POST {BASE}/images/generations?"),
        ("GET", "/models", f"Did you mean GET {BASE}/models?"),
        ("GET", "/v1/v1/models/a/b", f"Did you mean GET {BASE}/models?"),
        ("POST", "/responses", f"Did you mean POST {ADDRESS}/v1/responses?"),
        ("POST", "/v1/videos/v1/remix", "This hub does not serve OpenAI's videos/v1/remix yet."),
        ("POST", "/v1/audio/voices", "This hub does not serve OpenAI's audio/voices yet."),
        ("POST", "/audio/speech", f"Did you mean POST {BASE}/audio/speech?"),
        ("POST", "/v1/v1/messages", f"Did you mean POST {BASE}/messages? The Anthropic base URL"),
        ("POST", "/anthropic/v1/messages/count_tokens", f"Did you mean POST {BASE}/messages/count"),
        ("POST", "/v1/messages/batches", "This hub does not serve Anthropic's messages/batches"),
        (
            "POST",
            "/google/v1beta/models/a/b:streamGenerateContent",
            f"Did you mean POST {ADDRESS}/v1beta/models/a/b:streamGenerateContent? The Gemini base",
        ),
        (
            "POST",
            "/models/a:countTokens",
            f"Did you mean POST {ADDRESS}/v1beta/models/a:countTokens? The Gemini base URL",
        ),
        ("POST", "/v1beta/cachedContents", "This hub does not serve this part of the Gemini API"),
        ("POST", "/hub/api/v2/chat", f"Did you mean POST {ADDRESS}/api/v2/chat? AIGNE's clients"),
        ("POST", "/api/v2/dream", "This hub does not serve this part of the AIGNE API yet."),
    ],
)
def test_a_wrong_path_is_explained(method, path, guess):
    answer = ask(Process(), path, method)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["message"].startswith(f"Nothing is served at {method} {path}. {guess}")
    assert f"The OpenAI base URL of this hub is {BASE}; {ADDRESS}/docs lists" in error["message"]
    assert (error["code"], error["type"]) == ("not_found", "invalid_request_error")
    assert error["param"] is None


@pytest.mark.parametrize("path", ["/api/chat", "/v1", "/v1/", "/favicon.ico", "/static/no.css"])
def test_an_unknown_path_names_the_base_url_without_a_guess(path):
    message = ask(Process(), path).json()["error"]["message"]
    assert message.startswith(f"Nothing is served at GET {path}. The OpenAI base URL of this hub")


def test_a_long_path_is_not_repeated_whole():
    message = ask(Process(), "/" + "x" * 5_000).json()["error"]["message"]
    assert len(message) < 500


def test_a_browser_gets_a_page_about_a_wrong_path():
    answer = ask(Process(), "/chat/<i>", headers=BROWSER)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "There is no such page" in answer.text
    assert BASE in answer.text
    assert "<i>" not in answer.text


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/*", ""])
def test_programs_get_json_about_a_wrong_path(accept):
    answer = ask(Process(), "/nothing", headers={"accept": accept})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("GET", "/v1/responses", "POST"),
        ("PUT", "/v1/videos", "GET, HEAD, POST"),
        ("POST", "/v1/videos/video_1", "GET, HEAD, DELETE"),
        ("GET", "/v1/responses/input_tokens", "POST"),
        ("PUT", "/v1/responses/resp_1", "GET, HEAD, DELETE"),
        ("GET", "/v1/responses/resp_1/cancel", "POST"),
        ("DELETE", "/v1/models/openai/gpt-4o", "GET, HEAD"),
        ("POST", "/v1/models/vendor/model:free", "GET, HEAD"),
        ("POST", "/health/live", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("PUT", "/static/hub.css", "GET, HEAD"),
    ],
)
def test_a_wrong_method_names_the_right_one(method, path, allowed):
    answer = ask(Process(), path, method)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    error = answer.json()["error"]
    assert error["code"] == "invalid_request"
    assert error["message"] == f"{method} is not served here; this path takes {allowed}."


# -- failures -----------------------------------------------------------------------------


class Failing(Process):
    def gauges(self):
        raise RuntimeError("password=hunter2")


def test_an_unexpected_failure_is_answered_without_its_cause():
    answer = ask(Failing(), "/metrics", headers=BROWSER)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search("hunter2|Traceback|RuntimeError", answer.text)


def test_an_unexpected_failure_is_logged_by_place_and_without_its_values(caplog):
    ask(Failing(), "/metrics?token=secret")
    (line,) = (json.loads(JsonLines().format(each)) for each in caplog.records if each.exc_info)
    assert line["level"] == "error"
    assert (line["event"], line["error"]) == ("request_failed", "RuntimeError")
    assert (line["method"], line["path"]) == ("GET", "/metrics")
    assert line["frames"][-1].endswith(" in gauges")
    assert not re.search("hunter2|secret", str(line))
