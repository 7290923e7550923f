"""AIGNE's other paths: flat chats, pictures, embeddings, the older versions of each."""

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.aigne import envelope, output
from tests.api import Api
from tests.books import Books, Customer, nano
from tests.caller import PROMPT, Reply, post
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream
from tests.upstream.media import VIDEO_BYTES

CLIENT = {"x-aigne-hub-client-did": "did%3Aabt%3AzNKapp"}
EVENTS = {"accept": "text/event-stream"}
RATES = {"input": "3", "output": "15"}
BROKEN = "gpt-slow:5+long:40+cut:3"
CHATS = ("gpt-4o", "gpt-nousage", "gpt-503", BROKEN)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
ELSEWHERE = ("anthropic/claude-thinking:3", "google/gemini-thinking:3")


class Site:
    def __init__(self, hub: HubProcess, books: Books) -> None:
        self.hub = hub
        self.books = books
        self.customer = books.customer(nano("1000"))

    def ask(
        self,
        path: str,
        body: dict[str, Any],
        *,
        customer: Customer | None = None,
        **headers: str,
    ) -> Reply:
        key = (customer or self.customer).key
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return post(self.hub, path, json.dumps(body).encode(), key=key, headers=sent)

    def call(self, reply: Reply) -> dict[str, Any]:
        return self.books.call(reply.call_id)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Site]:
    models = [{"model": f"openai/{name}", "type": "chat", "rates": RATES} for name in CHATS]
    models += [{"model": model, "type": "chat", "rates": RATES} for model in ELSEWHERE]
    models += [
        {"model": "openai/gpt-image-1", "type": "image", "rates": {"image": "0.04"}},
        *(
            {"model": f"openai/{name}", "type": "video", "rates": {"second": "0.1"}}
            for name in ("sora-2", "sora-fails", "sora-breaks")
        ),
        {"model": "openai/embed", "type": "embedding", "rates": {"input": "1"}},
        {"model": "openai/unpriced", "type": "chat"},
        {"model": "idle/gpt-4o", "type": "chat", "rates": RATES},
        {"model": "openai/tts-1", "type": "speech", "rates": {"characters": "15"}},
    ]
    credentials = [{"name": "main", "api_key": "sk-good"}]
    providers = [
        {"name": name, "base_url": upstream.base_url, "credentials": credentials}
        for name in ("openai", "anthropic", "google")
    ]
    config = {
        "providers": [*providers, {"name": "idle", "kind": "openai"}],
        "models": models,
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("paths"), config) as hub, Books(hub) as books:
        yield Site(hub, books)


def flat(model: str = "openai/gpt-4o", **members: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": PROMPT}], **members}


def as_aigne(
    site: Site, path: str, body: dict[str, Any], *, customer: Customer | None = None, **more: str
) -> Reply:
    return post(
        site.hub,
        path,
        json.dumps(body).encode(),
        key=(customer or site.customer).key,
        headers={**CLIENT, **more},
    )


@pytest.mark.parametrize("path", ["/v2/chat/completions", "/v2/completions"])
def test_a_flat_chat_of_aignes_client_is_json(site: Site, path: str):
    reply = as_aigne(site, path, flat(maxTokens=2))
    said = "say hello"
    assert reply.json == {"role": "assistant", "text": said, "content": said}
    call = site.call(reply)
    assert call["app_did"] == "did:abt:zNKapp"
    assert (call["input_tokens"], call["output_tokens"]) == (4, 2)
    assert reply.headers["x-aigne-hub-credits"] == call["credits"] != "0"


def test_a_prompt_is_a_message(site: Site):
    reply = as_aigne(site, "/v2/completions", {"model": "openai/gpt-4o", "prompt": PROMPT})
    assert reply.json["text"] == PROMPT


def test_anybody_else_is_answered_in_openais_format(site: Site):
    reply = site.ask("/api/v2/chat/completions", flat())
    assert reply.json["object"] == "chat.completion"
    streamed = site.ask("/api/v2/chat/completions", flat(stream=True))
    assert streamed.done
    old = site.ask("/api/v2/completions", {"model": "openai/gpt-4o", "prompt": PROMPT})
    assert old.json["object"] == "text_completion"


@pytest.mark.parametrize("stream", [False, True])
def test_events_are_chosen_by_accept_alone(site: Site, stream: bool):
    reply = as_aigne(site, "/v2/chat/completions", flat(stream=stream), **EVENTS)
    assert reply.streamed
    *chunks, last = reply.events
    assert all(set(chunk["delta"]) == {"role", "content", "toolCalls"} for chunk in chunks)
    assert "".join(chunk["delta"]["content"] for chunk in chunks) == PROMPT
    usage = last["usage"]
    assert (usage["promptTokens"], usage["completionTokens"], usage["totalTokens"]) == (4, 4, 8)
    assert usage["credits"] == site.call(reply)["credits"]
    assert not reply.done
    assert b"event:" not in reply.body


def test_a_stream_without_events_is_bare_text(site: Site):
    reply = as_aigne(site, "/v2/chat/completions", flat(stream=True))
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.body.decode() == PROMPT
    call = site.call(reply)
    assert (call["outcome"], call["output_tokens"]) == ("completed", 4)


def test_what_a_provider_does_not_report_is_counted(site: Site):
    for headers in ({}, EVENTS):
        reply = as_aigne(site, "/v2/chat/completions", flat("openai/gpt-nousage"), **headers)
        call = site.call(reply)
        assert (call["usage_source"], call["output_tokens"]) == ("counted", 4)


@pytest.mark.parametrize("events", [False, True])
def test_calls_of_tools_have_their_arguments_as_text(site: Site, events: bool):
    body = flat(tools=TOOLS, toolChoice="required")
    reply = as_aigne(site, "/v2/chat/completions", body, **(EVENTS if events else {}))
    said = reply.events[-2]["delta"] if events else reply.json
    call = said["toolCalls"][0]
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "text"}
    history = [
        {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
        {"role": "assistant", "toolCalls": said["toolCalls"]},
        {"role": "tool", "content": "sunny", "toolCallId": call["id"]},
    ]
    again = as_aigne(site, "/v2/chat/completions", {**flat(tools=TOOLS), "messages": history})
    assert again.json["text"] == PROMPT


def test_a_flat_stream_that_breaks_says_so_in_its_last_event(site: Site):
    reply = as_aigne(site, "/v2/chat/completions", flat(BROKEN), **EVENTS)
    assert reply.status == 200
    assert reply.error["code"] == "upstream_error"
    bare = as_aigne(site, "/v2/chat/completions", flat(BROKEN, stream=True))
    assert bare.body.startswith(b"w0 w1 ")
    assert b"ERROR: The upstream broke off" in bare.body
    assert site.call(bare)["outcome"] == site.call(reply)["outcome"] == "upstream_failed"


def test_an_error_before_the_answer_is_an_event_for_who_accepts_events(site: Site):
    poor = site.books.customer(1)
    path = "/api/v2/chat/completions"
    failed = as_aigne(site, path, flat("openai/gpt-503"))
    assert (failed.status, failed.error["code"]) == (502, "upstream_error")
    told = as_aigne(site, path, flat("openai/gpt-503"), **EVENTS)
    assert (told.status, told.streamed, told.error["code"]) == (200, True, "upstream_error")
    assert site.call(told)["outcome"] == "upstream_failed"
    refused = as_aigne(site, path, flat(), customer=poor)
    event = as_aigne(site, path, flat(), customer=poor, **EVENTS)
    assert (refused.status, event.status) == (402, 200)
    for error in (refused.error, event.error):
        assert (error["type"], error["code"]) == ("NOT_ENOUGH", "insufficient_credits")
        assert error["link"] in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"model": "openai/gpt-4o"},
        {"model": "openai/gpt-4o", "messages": []},
        {**flat(), "prompt": "x"},
        {**flat(), "topP": "high"},
        {**flat(), "n": 2},
    ],
)
def test_a_malformed_flat_chat_is_the_callers_mistake(site: Site, body: dict[str, Any]):
    reply = as_aigne(site, "/v2/chat/completions", body)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")


# -- models of every provider ----------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ELSEWHERE)
def test_models_whose_providers_speak_other_formats_are_reached(
    site: Site, model: str, stream: bool
):
    def ask(**given: Any) -> dict[str, Any]:
        body = envelope(model, stream=stream, **given)
        return output(post(site.hub, "/api/v2/chat", body, key=site.customer.key))

    said = ask()
    assert (said["text"], said["thoughts"]) == (PROMPT, "t0 t1 t2 ")
    assert said["modelWithProvider"] == model
    call = site.books.call(said["usage"]["modelCallId"])
    assert (call["credits"], call["usage_source"]) == (said["usage"]["credits"], "provider")
    (asked,) = ask(tools=TOOLS, toolChoice="required")["toolCalls"]
    assert asked["function"] == {"name": "weather", "arguments": {"city": "text"}}
    history = [
        {"role": "user", "content": PROMPT},
        {"role": "agent", "toolCalls": [asked]},
        {"role": "tool", "content": "sunny", "toolCallId": asked["id"]},
    ]
    assert ask(tools=TOOLS, messages=history)["usage"]["inputTokens"] > 0
    told = as_aigne(site, "/v2/chat/completions", flat(model, stream=stream))
    assert PROMPT in told.body.decode()


# -- whether calls are taken -----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v2/status", "/v2/status", "/ai-kit/api/v2/status"])
def test_the_status_is_always_a_200(site: Site, path: str):
    poor = site.books.customer(0)
    rich, nobody = Api(site.hub, site.customer.key), Api(site.hub)
    assert nobody.get(path).json == rich.get(path).json == {"available": True}
    assert rich.get(path, model="openai/gpt-4o").json == {"available": True}
    assert nobody.get(path, model="openai:gpt-4o").json == {"available": True}
    refused = {
        402: Api(site.hub, poor.key).get(path),
        404: rich.get(path, model="openai/none"),
        400: rich.get(path, model="openai/unpriced"),
        503: nobody.get(path, model="idle/gpt-4o"),
        401: Api(site.hub, "blocklet-wrong").get(path),
    }
    for code, answer in refused.items():
        assert answer.status == 200
        assert (answer.json["available"], answer.json["code"]) == (False, code)
        assert answer.json["error"]
    told = refused[402].json
    assert (told["type"], told["link"] in told["error"]) == ("NOT_ENOUGH", True)


# -- pictures --------------------------------------------------------------------------------


def test_a_picture_in_the_envelope(site: Site, upstream: FakeUpstream):
    options = {"model": "openai/gpt-image-1", "outputFormat": "png"}
    given = {"prompt": "a cat", "n": 2, "outputFileType": "url", "modelOptions": options}
    reply = site.ask("/ai-kit/api/v2/image", {"input": given, "agent": "$CHAT_MODEL"})
    value = output(reply)
    assert [(file["type"], file["mimeType"]) for file in value["images"]] == [
        ("file", "image/png")
    ] * 2
    assert base64.b64decode(value["images"][0]["data"]).startswith(b"\x89PNG")
    assert value["modelWithProvider"] == "openai/gpt-image-1"
    assert value["usage"]["credits"] == site.call(reply)["credits"] == "0.08"


@pytest.mark.parametrize("path", ["/api/v2/image/generations", "/v2/images"])
def test_a_picture_by_three_names(site: Site, path: str):
    reply = site.ask(path, {"model": "gpt-image-1", "prompt": "a cat", "responseFormat": None})
    value = reply.json
    (picture,) = value["images"]
    assert picture["base64"] == picture["b64_json"] == picture["b64Json"]
    assert value["data"] == value["images"]
    assert value["model"] == "gpt-image-1"
    assert value["usage"]["aigneHubCredits"] == 0.04


@pytest.mark.parametrize(
    "picture", ["data:image/png;base64,aGk=", {"type": "file", "data": "aGk="}]
)
def test_a_picture_from_a_picture(site: Site, upstream: FakeUpstream, picture: object):
    upstream.reset()
    given = {"prompt": "a hat on it", "image": [picture], "model": "openai/gpt-image-1"}
    reply = site.ask("/api/v2/image", {"input": given})
    assert output(reply)["images"]
    (seen,) = upstream.log()
    assert seen["path"].endswith("/images/edits")


def test_a_local_picture_is_refused(site: Site):
    given = {"prompt": "x", "image": {"type": "local", "path": "/x"}, "model": "gpt-image-1"}
    reply = site.ask("/api/v2/image", {"input": given})
    assert (reply.status, reply.error["param"]) == (400, "image")


def test_a_poor_caller_draws_nothing(site: Site):
    given = {"input": {"prompt": "x", "model": "gpt-image-1"}}
    reply = site.ask("/api/v2/image", given, customer=site.books.customer(1))
    assert (reply.status, reply.error["type"]) == (402, "NOT_ENOUGH")


# -- videos ----------------------------------------------------------------------------------


def film(model: str = "openai/sora-2", **given: Any) -> dict[str, Any]:
    return {
        "input": {"prompt": "a tree", "seconds": "8", "modelOptions": {"model": model}, **given}
    }


def test_a_video_is_waited_for(site: Site):
    before = site.customer.balance
    reply = site.ask("/ai-kit/api/v2/video", film(), x_request_id="film-1")
    value = output(reply)
    (video,) = value["videos"]
    assert (video["mimeType"], value["seconds"]) == ("video/mp4", 8)
    assert base64.b64decode(video["data"]) == VIDEO_BYTES
    assert value["modelWithProvider"] == "openai/sora-2"
    call = site.books.call(value["usage"]["modelCallId"])
    assert (call["type"], call["units"], call["outcome"]) == ("video", 8, "completed")
    assert value["usage"]["credits"] == call["credits"] == "0.8"
    assert site.customer.balance == before - nano("0.8")
    assert reply.call_id == value["usage"]["modelCallId"]
    assert reply.headers["x-request-id"] == "film-1"
    assert reply.headers["x-aigne-hub-credits"] == "0.8"


def test_a_video_that_fails_is_refunded(site: Site):
    customer = site.books.customer(nano("1"))
    reply = site.ask("/api/v2/video", film("openai/sora-fails"), customer=customer)
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")
    assert (customer.balance, customer.held) == (nano("1"), 0)


def test_a_video_that_breaks_off_is_still_at_the_provider(site: Site):
    reply = site.ask("/api/v2/video", film("openai/sora-breaks"))
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")
    assert site.call(reply)["credits"] == "0.8"


def test_a_repetition_waits_for_the_same_video(site: Site, upstream: FakeUpstream):
    upstream.reset()
    first, again = (site.ask("/api/v2/video", film(), idempotency_key="film") for _ in range(2))
    assert again.body == first.body
    assert sum(seen["method"] == "POST" for seen in upstream.log()) == 1


def test_a_caller_who_leaves_has_a_video_all_the_same(site: Site):
    customer = site.books.customer(nano("1"))
    connection = http.client.HTTPConnection("127.0.0.1", site.hub.port)
    headers = {"Authorization": f"Bearer {customer.key}"}
    connection.request("POST", "/api/v2/video", json.dumps(film()), headers)
    call = customer.call()
    connection.close()
    assert (call["outcome"], call["credits"]) == ("completed", "0.8")
    assert customer.balance == nano("0.2")


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (film(image={"type": "file", "data": "aGk="}), 400),
        (film(seconds="long"), 400),
        (film("openai/none"), 404),
        (film("openai/gpt-4o"), 400),
        ({"input": {"prompt": "x"}}, 400),
        ({"prompt": "x"}, 400),
    ],
)
def test_what_is_no_video_is_refused(site: Site, given: dict[str, Any], status: int):
    assert site.ask("/api/v2/video", given).status == status


def test_a_poor_caller_makes_no_video(site: Site):
    reply = site.ask("/api/v2/video", film(), customer=site.books.customer(1))
    assert (reply.status, reply.error["type"]) == (402, "NOT_ENOUGH")


# -- embeddings and sound --------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a b c", ["a", "b c"]])
def test_embeddings_in_both_forms(site: Site, text: object):
    asked = {"input": {"input": text, "modelOptions": {"model": "openai/embed"}}}
    value = site.ask("/api/v2/embeddings", asked).json
    flat_reply = site.ask("/v2/embeddings", {"model": "openai/embed", "input": text})
    vectors = [one["embedding"] for one in flat_reply.json["data"]]
    assert value["embeddings"] == vectors
    usage = value["usage"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["credits"]) == (3, 0, "0.000003")
    assert flat_reply.json["usage"]["aigneHubCredits"] == 0.000003
    assert site.call(flat_reply)["credits"] == "0.000003"


def test_embeddings_without_a_model_or_a_text_are_refused(site: Site):
    for body in ({"input": "x"}, {"input": {"input": ""}, "model": "openai/embed"}, {}):
        reply = site.ask("/api/v2/embeddings", body)
        assert (reply.status, reply.error["code"]) == (400, "invalid_request")


def test_speech_is_openais(site: Site):
    body = {"model": "openai/tts-1", "input": "hello there", "voice": "alloy"}
    reply = site.ask("/api/v2/audio/speech", body)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("audio/")


def test_the_books_add_up(site: Site):
    """Runs last: what is gone from the balance is the sum of all calls."""
    spent = sum(nano(call["credits"]) for call in site.customer.calls())
    assert (site.customer.balance, site.customer.held) == (nano("1000") - spent, 0)
    site.hub.verified()
