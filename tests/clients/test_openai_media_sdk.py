"""The official `openai` package's other operations, against a real hub and a real upstream."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import pytest
from openai import OpenAI
from tests.books import Books, nano
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream
from tests.upstream.media import VIDEO_BYTES, sound

# OpenAI has given up some of these; others serve them still.
pytestmark = [
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning"),
]
MODELS = [
    ("omni-moderation-latest", "moderation", {"request": "0.25"}),
    ("gpt-500", "moderation", {"request": "0.25"}),
    ("tts-1", "speech", {"characters": "15"}),
    ("gpt-4o-mini-tts", "speech", {"input": "1000", "audio_output": "2000"}),
    ("gpt-cached:0+nousage", "speech", {"input": "1000", "audio_output": "2000"}),
    ("gpt-error200", "speech", {"characters": "15"}),
    ("gpt-slow:100+cut:3", "speech", {"characters": "15"}),
    ("gpt-slow:100+errorevent:3", "speech", {"characters": "15"}),
    ("whisper-1", "transcription", {"second": "0.0001"}),
    ("gpt-cached:1+nousage", "transcription", {"second": "0.0001"}),
    ("gpt-long:1", "transcription", {"second": "0.0001"}),
    ("gpt-tokens:14:101", "transcription", {"input": "1000", "output": "2000"}),
    ("sora-2", "video", {"second": "0.1"}),
    ("sora-fails", "video", {"second": "0.1"}),
    ("sora-breaks", "video", {"second": "0.1"}),
    ("gpt-503", "video", {"second": "0.1"}),
    ("rerank-v3.5", "rerank", {"search": "0.002"}),
    ("gpt-nousage", "rerank", {"search": "0.002"}),
    ("gpt-tokens:815:0", "rerank", {"input": "50"}),
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    config = config_for(upstream, models=[], billing={"enabled": True})
    config["models"] += [
        {"model": f"openai/{name}", "type": kind, "rates": rates} for name, kind, rates in MODELS
    ]
    with HubProcess(tmp_path_factory.mktemp("media"), config) as running:
        running.grant("1000")
        yield running
        assert running.balance()["held"] == "0"
        running.verified()


@pytest.fixture
def client(hub: HubProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=hub.base_url, api_key=hub.key, max_retries=0) as made:
        yield made


TEXT = "grüezi"


def last_call(hub: HubProcess) -> dict:
    return hub.calls(limit=1)[0]


def test_moderations_are_charged_by_the_call(client: OpenAI, hub: HubProcess):
    answer = client.moderations.create(model="openai/omni-moderation-latest", input=["bad", "good"])
    assert [result.flagged for result in answer.results] == [True, False]
    call = last_call(hub)
    assert (call["type"], call["outcome"]) == ("moderation", "completed")
    assert call["credits"] == "0.25"


def test_a_moderation_needs_no_model(client: OpenAI, hub: HubProcess):
    parts = [{"type": "text", "text": "good"}]
    assert not client.moderations.create(input=parts).results[0].flagged
    assert last_call(hub)["model"] == "openai/omni-moderation-latest"


def test_a_failed_moderation_is_free(client: OpenAI, hub: HubProcess):
    with pytest.raises(openai.InternalServerError):
        client.moderations.create(model="openai/gpt-500", input="good")
    assert last_call(hub)["credits"] == "0"


def rerank(client: OpenAI, model: str, count: int = 3) -> dict:
    """Ask as Cohere's and Jina's clients do; OpenAI's has no method of its own for it."""
    documents = ["x" * place for place in range(count)]
    body = {"model": model, "query": "which?", "documents": documents, "top_n": 2}
    return client.post("/rerank", body=body, cast_to=dict)


@pytest.mark.parametrize(
    ("model", "count", "credits_", "source"),
    [
        ("rerank-v3.5", 3, "0.002", "provider"),
        ("rerank-v3.5", 101, "0.004", "provider"),
        ("gpt-nousage", 101, "0.004", "counted"),
        ("gpt-tokens:815:0", 3, "0.04075", "provider"),
    ],
)
def test_rerank_is_charged_by_search_units_or_tokens(
    client: OpenAI, hub: HubProcess, model: str, count: int, credits_: str, source: str
):
    answer = rerank(client, f"openai/{model}", count)
    assert [result["index"] for result in answer["results"]] == [count - 1, count - 2]
    call = last_call(hub)
    assert (call["type"], call["credits"], call["usage_source"]) == ("rerank", credits_, source)


def test_a_path_serves_models_of_its_own_type(client: OpenAI):
    with pytest.raises(openai.BadRequestError, match="this path serves rerank models"):
        rerank(client, "openai/omni-moderation-latest")


def speak(client: OpenAI, model: str, **more):
    return client.audio.speech.create(model=f"openai/{model}", voice="alloy", input=TEXT, **more)


def events_of(client: OpenAI, model: str) -> list[dict]:
    with client.audio.speech.with_streaming_response.create(
        model=f"openai/{model}", voice="alloy", input=TEXT, stream_format="sse"
    ) as answer:
        lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines]


def test_speech_is_passed_on_whole_and_charged_by_its_characters(client: OpenAI, hub: HubProcess):
    answer = speak(client, "tts-1")
    assert answer.content == sound(TEXT)
    assert answer.response.headers["content-type"] == "audio/wav"
    call = last_call(hub)
    assert (call["type"], call["units"], call["usage_source"]) == ("speech", len(TEXT), "counted")
    assert answer.response.headers["x-aigne-hub-credits"] == call["credits"] == "0.00009"


def test_speech_priced_by_tokens_is_counted_by_its_length(client: OpenAI, hub: HubProcess):
    speak(client, "gpt-4o-mini-tts")
    call = last_call(hub)
    # A tenth of a second a character, twenty tokens a second; and seven bytes of text.
    assert (call["input_tokens"], call["output_tokens"]) == (2, 12)
    assert call["credits"] == "0.026"


def test_speech_as_events_is_charged_by_their_report(client: OpenAI, hub: HubProcess):
    events = events_of(client, "gpt-4o-mini-tts")
    assert [event["type"] for event in events] == [
        *["speech.audio.delta"] * len(TEXT),
        "speech.audio.done",
    ]
    call = last_call(hub)
    assert events[-1]["usage"] == {
        "input_tokens": 14,
        "output_tokens": 101,
        "total_tokens": 115,
        "credits": call["credits"],
    }
    assert (call["credits"], call["usage_source"]) == ("0.216", "provider")


def test_speech_as_events_without_a_report_is_counted(client: OpenAI, hub: HubProcess):
    events = events_of(client, "gpt-cached:0+nousage")
    call = last_call(hub)
    assert call["usage_source"] == "counted"
    usage = events[-1]["usage"]
    assert (usage["output_tokens"], usage["credits"]) == (call["output_tokens"], call["credits"])


def test_speech_that_is_an_error_is_free(client: OpenAI, hub: HubProcess):
    with pytest.raises(openai.InternalServerError) as raised:
        speak(client, "gpt-error200")
    assert raised.value.code == "upstream_error"
    assert last_call(hub)["credits"] == "0"


def test_speech_that_breaks_off_ends_badly_and_costs_its_characters(
    client: OpenAI, hub: HubProcess
):
    with pytest.raises((openai.APIError, httpx2.HTTPError)):
        speak(client, "gpt-slow:100+cut:3")
    call = last_call(hub)
    assert (call["outcome"], call["credits"]) == ("upstream_failed", "0.00009")


@pytest.mark.parametrize("model", ["gpt-slow:100+cut:3", "gpt-slow:100+errorevent:3"])
def test_speech_that_breaks_off_amid_its_events_costs_its_characters(
    client: OpenAI, hub: HubProcess, model: str
):
    events = events_of(client, model)
    assert events[-1]["error"]["code"] == "upstream_error"
    call = last_call(hub)
    assert (call["outcome"], call["credits"]) == ("upstream_failed", "0.00009")


def test_speech_that_cannot_be_paid_goes_nowhere(hub: HubProcess, upstream: FakeUpstream):
    with Books(hub) as books:
        poor = books.customer(nano("0.00008"))
        upstream.reset()
        with (
            OpenAI(base_url=hub.base_url, api_key=poor.key, max_retries=0) as client,
            pytest.raises(openai.APIStatusError) as raised,
        ):
            speak(client, "tts-1")
        assert (raised.value.status_code, raised.value.code) == (402, "insufficient_credits")
        assert (poor.call()["outcome"], upstream.log()) == ("rejected", [])


def test_speech_is_repeated_for_an_idempotency_key(client: OpenAI, hub: HubProcess):
    headers = {"Idempotency-Key": "speech"}
    first = speak(client, "tts-1", extra_headers=headers)
    again = speak(client, "tts-1", extra_headers=headers)
    assert again.content == first.content
    assert again.response.headers["content-type"] == "audio/wav"
    assert again.response.headers["idempotent-replayed"] == "true"


def hear(client: OpenAI, model: str, data: bytes | None = None, **more):
    file = ("speech.wav", sound(TEXT) if data is None else data)
    return client.audio.transcriptions.create(model=f"openai/{model}", file=file, **more)


@pytest.mark.parametrize(
    ("model", "form", "units", "credits_", "source"),
    [
        ("whisper-1", "json", 7, "0.0007", "provider"),
        ("whisper-1", "verbose_json", 3, "0.00025", "provider"),
        ("whisper-1", "text", 1, "0.00006", "counted"),
        ("whisper-1", "srt", 1, "0.00006", "counted"),
        ("gpt-cached:1+nousage", "json", 1, "0.00006", "counted"),
        ("gpt-tokens:14:101", "json", 1, "0.216", "provider"),
    ],
)
def test_a_transcription_is_charged_by_what_it_reports_else_by_the_sounds_length(
    client: OpenAI, hub: HubProcess, model: str, form: str, units: int, credits_: str, source: str
):
    answer = hear(client, model, response_format=form)
    assert getattr(answer, "text", answer) == "one two three"
    call = last_call(hub)
    assert (call["type"], call["outcome"]) == ("transcription", "completed")
    assert (call["units"], call["credits"], call["usage_source"]) == (units, credits_, source)


def test_a_form_reaches_the_upstream_as_it_was_but_for_the_model(
    client: OpenAI, upstream: FakeUpstream
):
    upstream.reset()
    more = {"language": "de", "prompt": "ümlaut", "timestamp_granularities": ["word", "segment"]}
    hear(client, "whisper-1", sound("x"), **more, response_format="verbose_json")
    (record,) = upstream.log()
    # The upstream reads it with the standard library's parser.
    file = {"file": "speech.wav", "bytes": len(sound("x"))}
    assert {**record["body"]["file"], "sha256": ""} == {**file, "sha256": ""}
    assert record["body"]["file"]["sha256"] == hashlib.sha256(sound("x")).hexdigest()
    assert (record["body"]["model"], record["body"]["prompt"]) == ("whisper-1", "ümlaut")
    assert record["body"]["timestamp_granularities[]"] == ["word", "segment"]


def test_a_transcript_streams_and_its_last_event_has_credits(client: OpenAI, hub: HubProcess):
    events = list(hear(client, "gpt-tokens:14:101", stream=True))
    assert [event.type.rpartition(".")[2] for event in events] == [*["delta"] * 3, "done"]
    call = last_call(hub)
    usage = events[-1].usage
    assert (usage.input_tokens, usage.output_tokens) == (14, 101)
    assert usage.model_extra["credits"] == call["credits"] == "0.216"
    assert call["usage_source"] == "provider"


def test_a_model_that_does_not_stream_answers_whole(client: OpenAI, hub: HubProcess):
    with client.audio.transcriptions.with_streaming_response.create(
        model="openai/gpt-long:1", file=("speech.wav", sound(TEXT)), stream=True
    ) as answer:
        assert json.loads(answer.read())["text"] == "one two three"
        assert answer.headers["content-type"] == "application/json"
    assert last_call(hub)["credits"] == "0.0007"


def test_translations(client: OpenAI, hub: HubProcess):
    file = ("speech.wav", sound(TEXT))
    assert client.audio.translations.create(model="openai/whisper-1", file=file).text
    assert last_call(hub)["credits"] == "0.0007"


def test_a_form_is_repeated_whatever_its_boundary(client: OpenAI, hub: HubProcess):
    headers = {"Idempotency-Key": "form"}
    hear(client, "whisper-1", extra_headers=headers)
    calls = len(hub.calls())
    assert hear(client, "whisper-1", extra_headers=headers).text
    assert len(hub.calls()) == calls
    with pytest.raises(openai.UnprocessableEntityError):
        hear(client, "whisper-1", data=sound("other"), extra_headers=headers)


def test_a_recording_that_cannot_be_paid_goes_nowhere(hub: HubProcess, upstream: FakeUpstream):
    with Books(hub) as books:
        books.customers = 10
        poor = books.customer(nano("0.00005"))
        upstream.reset()
        with (
            OpenAI(base_url=hub.base_url, api_key=poor.key, max_retries=0) as client,
            pytest.raises(openai.APIStatusError) as raised,
        ):
            hear(client, "whisper-1")
        assert raised.value.status_code == 402
        assert (poor.call()["outcome"], upstream.log()) == ("rejected", [])


PICTURE = ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(300), "image/png")


@pytest.mark.parametrize("image", [PICTURE, [PICTURE, PICTURE]])
def test_edits_are_charged_by_the_picture(client: OpenAI, hub: HubProcess, image):
    answer = client.images.edit(
        model="openai/gpt-image-1", image=image, mask=PICTURE, prompt="a tree", n=2
    )
    assert len(answer.data) == 2
    call = last_call(hub)
    assert (call["type"], call["units"], call["credits"]) == ("image", 2, "0.08")


def test_edits_as_json_and_variations(client: OpenAI, hub: HubProcess):
    images = [{"image_url": "data:image/png;base64,aGVsbG8="}]
    body = {"model": "openai/gpt-image-1", "prompt": "a tree", "images": images}
    assert client.post("/images/edits", body=body, cast_to=dict)["data"]
    assert last_call(hub)["credits"] == "0.04"
    assert client.images.create_variation(model="openai/gpt-image-1", image=PICTURE, n=3).data
    assert last_call(hub)["credits"] == "0.12"


def test_pictures_stream_with_their_partial_ones(client: OpenAI, hub: HubProcess):
    events = list(
        client.images.generate(
            model="openai/gpt-image-1", prompt="a tree", stream=True, partial_images=2
        )
    )
    events += client.images.edit(
        model="openai/gpt-image-1", image=PICTURE, prompt="a tree", stream=True
    )
    assert [event.type for event in events] == [
        *["image_generation.partial_image"] * 2,
        "image_generation.completed",
        "image_edit.completed",
    ]
    made, edited = hub.calls(limit=2)
    for event, call in ((events[2], edited), (events[3], made)):
        assert (call["units"], call["credits"]) == (1, "0.04")
        assert event.usage.model_extra["credits"] == call["credits"]


def test_a_video_is_charged_by_the_second_and_fetched_for_nothing(
    client: OpenAI, hub: HubProcess, upstream: FakeUpstream
):
    job = client.videos.create(model="openai/sora-2", prompt="a tree", seconds="8")
    assert job.status == "queued"
    call = last_call(hub)
    assert (call["type"], call["units"], call["credits"]) == ("video", 8, "0.8")
    upstream.reset()
    assert client.videos.retrieve(job.id).status == "completed"
    content = client.videos.download_content(job.id)
    assert content.read() == VIDEO_BYTES
    assert content.response.headers["content-type"] == "video/mp4"
    assert client.videos.delete(job.id).deleted
    assert [record["method"] for record in upstream.log()] == ["GET", "GET", "DELETE"]
    assert last_call(hub)["id"] == call["id"]


def test_a_video_without_seconds_or_with_a_picture(client: OpenAI, hub: HubProcess):
    client.videos.create(model="openai/sora-2", prompt="a tree", input_reference=PICTURE)
    assert last_call(hub)["credits"] == "0.4"
    body = {"prompt": "a tree", "seconds": 12}
    assert client.post("/videos", body=body, cast_to=dict)["status"] == "queued"
    assert (last_call(hub)["credits"], last_call(hub)["model"]) == ("1.2", "openai/sora-2")


def test_a_video_that_failed_is_refunded_once(hub: HubProcess):
    with Books(hub) as books:
        books.customers = 20
        customer = books.customer(nano("10"))
        with OpenAI(base_url=hub.base_url, api_key=customer.key, max_retries=0) as client:
            job = client.videos.create(model="openai/sora-fails", prompt="a tree")
            assert customer.balance == nano("9.6")
            with ThreadPoolExecutor(4) as pool:
                polls = list(pool.map(client.videos.retrieve, [job.id] * 8))
        assert {poll.status for poll in polls} == {"failed"}
        assert (customer.balance, customer.held) == (nano("10"), 0)


def test_a_video_is_its_accounts_own(client: OpenAI, hub: HubProcess, upstream: FakeUpstream):
    job = client.videos.create(model="openai/sora-2", prompt="a tree")
    upstream.reset()
    with Books(hub) as books:
        books.customers = 30
        other = books.customer(nano("10"))
    with OpenAI(base_url=hub.base_url, api_key=other.key, max_retries=0) as stranger:
        for ask in (
            stranger.videos.retrieve,
            stranger.videos.download_content,
            stranger.videos.delete,
        ):
            for name in (job.id, "video_0", "no.video"):
                with pytest.raises(openai.NotFoundError) as raised:
                    ask(name)
                assert (raised.value.code, raised.value.param) == ("not_found", "video_id")
    assert upstream.log() == []


def test_videos_are_listed_for_their_account(hub: HubProcess):
    with Books(hub) as books:
        books.customers = 40
        customer = books.customer(nano("10"))
        with OpenAI(base_url=hub.base_url, api_key=customer.key, max_retries=0) as client:
            assert client.videos.list().data == []
            made = [client.videos.create(model="openai/sora-2", prompt="a").id for _ in range(4)]
            made += [client.videos.create(model="openai/sora-fails", prompt="a").id]
            page = client.videos.list(limit=3)
            assert [job.id for job in page.data] == made[:1:-1]
            assert [job.status for job in page.data] == ["failed", "completed", "completed"]
            assert [job.id for job in client.videos.list(limit=2)] == made[::-1]
            assert [job.id for job in client.videos.list(after=made[1])] == made[:1]
            for wrong in ({"limit": 0}, {"limit": 101}, {"after": "video_0"}, {"order": "asc"}):
                with pytest.raises(openai.BadRequestError):
                    client.videos.list(**wrong)
        assert customer.balance == nano("8.4")


def test_a_video_that_breaks_off_does_not_end_well(client: OpenAI):
    job = client.videos.create(model="openai/sora-breaks", prompt="a tree")
    with pytest.raises((openai.APIError, httpx2.HTTPError)):
        client.videos.download_content(job.id).read()


def test_a_job_that_is_not_made_is_free(client: OpenAI, hub: HubProcess):
    with pytest.raises(openai.InternalServerError):
        client.videos.create(model="openai/gpt-503", prompt="a tree")
    assert last_call(hub)["credits"] == "0"
    for seconds in ("0", "1.5", "many", 3_601):
        with pytest.raises(openai.BadRequestError) as raised:
            client.videos.create(model="openai/sora-2", prompt="a", seconds=seconds)
        assert raised.value.param == "seconds"
