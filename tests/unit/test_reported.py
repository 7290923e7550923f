"""Errors inside answers that looked good: every format's own reader tells what they mean."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.contract.aws import message

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.gateway.dialects.anthropic.stream import AnthropicStreamMeter
from aigne_hub.gateway.dialects.gemini.stream import GeminiStreamMeter
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.gateway.dialects.openai.stream import OpenAIStreamMeter
from aigne_hub.gateway.dialects.responses.create import OpenAIResponses
from aigne_hub.gateway.dialects.responses.stream import OpenAIResponsesMeter
from aigne_hub.providers.languages.anthropic_reader import MessageReader
from aigne_hub.providers.languages.converse_reader import ConverseReader
from aigne_hub.providers.languages.gemini_reader import GenerateReader
from aigne_hub.providers.languages.openai import ChatReader
from aigne_hub.providers.usage import ANTHROPIC, CONVERSE, GEMINI, OPENAI

GOLDEN = Path(__file__).parent.parent / "golden" / "refusals"
METERS = {
    "openai": lambda: OpenAIStreamMeter(OPENAI, shows_usage=True),
    "anthropic": lambda: AnthropicStreamMeter(ANTHROPIC),
    "google": lambda: GeminiStreamMeter(GEMINI),
    "openrouter": lambda: OpenAIStreamMeter(OPENAI, shows_usage=True),
}
READERS: dict[str, Any] = {
    "openai": lambda: ChatReader(OPENAI),
    "anthropic": lambda: MessageReader(ANTHROPIC),
    "google": lambda: GenerateReader(GEMINI),
    "openrouter": lambda: ChatReader(OPENAI),
}


def cases(vendor: str) -> list[dict[str, Any]]:
    golden = json.loads((GOLDEN / f"{vendor}.json").read_text())
    return [said for said in golden["in_band"] if isinstance(said["error"], dict)]


EVERY = [
    pytest.param(vendor, said, id=f"{vendor}: {said['name']}")
    for vendor in METERS
    for said in cases(vendor)
]


def enveloped(vendor: str, error: object) -> dict[str, Any]:
    return {"type": "error", "error": error} if vendor == "anthropic" else {"error": error}


def fault_of(said: dict[str, Any]) -> Fault | None:
    return Fault(said["fault"]) if said["fault"] else None


@pytest.mark.parametrize(("vendor", "said"), EVERY)
def test_the_first_event_of_a_stream_tells(vendor: str, said: dict[str, Any]):
    meter = METERS[vendor]()
    meter.feed(b"data: %b\n\n" % json.dumps(enveloped(vendor, said["error"])).encode())
    assert isinstance(meter.failure, UpstreamError)
    assert meter.failure.fault == fault_of(said)


@pytest.mark.parametrize(("vendor", "said"), EVERY)
def test_what_is_read_to_be_translated_tells(vendor: str, said: dict[str, Any]):
    body = json.dumps(enveloped(vendor, said["error"])).encode()
    with pytest.raises(UpstreamError) as streamed:
        list(READERS[vendor]().feed(b"data: %b\n\n" % body))
    with pytest.raises(UpstreamError) as whole:
        READERS[vendor]().whole(body)
    assert streamed.value.fault == whole.value.fault == fault_of(said)


@pytest.mark.parametrize("said", cases("bedrock"), ids=lambda said: said["name"])
def test_an_exception_in_bedrocks_stream_tells(said: dict[str, Any]):
    headers = {":message-type": "exception", ":exception-type": said["called"]}
    data = message(headers, json.dumps(said["error"]).encode())
    with pytest.raises(UpstreamError) as caught:
        list(ConverseReader(CONVERSE).feed(data))
    assert caught.value.fault == fault_of(said)


@pytest.mark.parametrize("said", cases("openai"), ids=lambda said: said["name"])
def test_a_whole_answer_tells(said: dict[str, Any]):
    dialect = OpenAIChat()
    ask = dialect.ask(b'{"model":"m","messages":[]}')
    with pytest.raises(UpstreamError, match="200 with an error object") as caught:
        dialect.usage(ask, json.dumps({"error": said["error"]}).encode(), OPENAI)
    assert caught.value.fault == fault_of(said)


@pytest.mark.parametrize("said", cases("openai"), ids=lambda said: said["name"])
def test_a_response_that_failed_tells(said: dict[str, Any]):
    ask = OpenAIResponses().ask(b'{"model":"m","input":"x","stream":true}')
    failed = {"type": "response.failed", "response": {"id": "resp_1", "error": said["error"]}}
    for event in (failed, {**said["error"], "type": "error"}):
        meter = OpenAIResponsesMeter(OPENAI, ask)
        meter.feed(b"data: %b\n\n" % json.dumps(event).encode())
        assert meter.failure is not None
        assert meter.failure.fault == fault_of(said)
