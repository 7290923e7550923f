"""Answers about texts and media that are no chat: OpenAI's shapes, and Cohere's rerank."""

import base64
import hashlib
import io
import json
import wave
from email import message_from_bytes
from typing import Any

from tests.upstream.answers import BadRequestError, images, usage
from tests.upstream.connection import Connection, Request, chunk, head
from tests.upstream.record import Record
from tests.upstream.scenarios import Scenario

Json = dict[str, Any]
DOCUMENTS_PER_SEARCH = 100
SPEECH = "/v1/audio/speech"
HEARD = ("/v1/audio/transcriptions", "/v1/audio/translations")
PICTURES = ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations")
VIDEOS = "/v1/videos"
PATHS = {SPEECH, VIDEOS, *HEARD, *PICTURES[1:]}
JSON_TYPE = "application/json"
VIDEO_BYTES = bytes(range(256)) * 4_096
WORDS = ["one ", "two ", "three"]
SSE_TYPE = "text/event-stream; charset=utf-8"
MAX_SILENCE_S = 600.0
_STANDINGS = {"fails": "failed", "lasts": "in_progress"}


def moderations(body: Json, _: Scenario) -> Json:
    """Return a judgement an input: `bad` is flagged."""
    given = body.get("input")
    items = given if isinstance(given, list) else [given]
    results = [
        {
            "flagged": "bad" in str(item),
            "categories": {"violence": "bad" in str(item)},
            "category_scores": {"violence": 0.9 if "bad" in str(item) else 0.0},
            "category_applied_input_types": {"violence": ["text"]},
        }
        for item in items
    ]
    return {"id": "modr-1", "model": body["model"], "results": results}


def rerank(body: Json, scenario: Scenario) -> Json:
    """Return the documents, longest first; billed in search units, or in tokens if it has some."""
    documents = body.get("documents")
    if not isinstance(documents, list) or not isinstance(body.get("query"), str):
        raise BadRequestError("query and documents are needed", "documents")
    order = sorted(range(len(documents)), key=lambda place: -len(str(documents[place])))
    results = [{"index": place, "relevance_score": 1 / (1 + place)} for place in order]
    answer: Json = {"id": "rerank-1", "results": results[: body.get("top_n")]}
    if scenario.input_tokens is not None:
        counted = usage(body, scenario, 0)
        answer["usage"] = {"total_tokens": counted["prompt_tokens"]}
    elif scenario.usage:
        units = -(-len(documents) // DOCUMENTS_PER_SEARCH)
        answer["meta"] = {"billed_units": {"search_units": units}}
    return answer


def is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("multipart/form-data")


def form(request: Request) -> Json:
    """Return the fields of a form: text as text, a file as its name, size and hash.

    Read by the standard library, which knows nothing of the hub's parser.
    """
    content_type = request.headers["content-type"].encode("latin-1")
    message = message_from_bytes(b"content-type: " + content_type + b"\r\n\r\n" + request.body)
    fields: Json = {}
    for part in message.get_payload():
        data = part.get_payload(decode=True)
        name, file = part.get_param("name", header="content-disposition"), part.get_filename()
        if file is None:
            value: Any = data.decode()
        else:
            digest = hashlib.sha256(data).hexdigest()
            value = {"file": file, "bytes": len(data), "sha256": digest}
        if name in fields:
            value = [*(fields[name] if isinstance(fields[name], list) else [fields[name]]), value]
        fields[name] = value
    return fields


def streams(body: Json) -> bool:
    return body.get("stream_format") == "sse" or body.get("stream") in {True, "true"}


async def serve(
    path: str, body: Json, scenario: Scenario, record: Record, connection: Connection
) -> None:
    """Answer with media, or with what was heard in some."""
    if streams(body) and scenario.words is None:
        await _events(_events_of(path, body, scenario), scenario, record, connection)
        return
    if scenario.delay_ms:
        await connection.pause(scenario.delay_ms / 1000)
    if path in HEARD:
        payload, kind = _transcript(body, scenario)
    elif path == VIDEOS:
        identifier = f"video_{record.number}_{body['model']}"
        job = _job(identifier, "queued") | {"seconds": str(body.get("seconds", 4))}
        payload, kind = json.dumps(job).encode(), JSON_TYPE
    elif path == SPEECH:
        payload, kind = sound(body["input"]), "audio/wav"
    else:
        made = images({"prompt": "", **body, "n": int(body.get("n", 1))}, scenario)
        payload, kind = json.dumps(made).encode(), "application/json"
    if scenario.breaks_after is None:
        await connection.reply(200, payload, kind)
        return
    await connection.send(head(200, kind, {"content-length": str(len(payload))}))
    await connection.send(payload[: len(payload) // 2])
    await connection.pause(MAX_SILENCE_S if scenario.stall_after is not None else 0.1)
    await connection.reset()


def _transcript(body: Json, scenario: Scenario) -> tuple[bytes, str]:
    """Return what was heard: with the seconds of the file's name, or tokens if it has some."""
    text, form = "".join(WORDS), body.get("response_format", "json")
    if form in {"text", "srt", "vtt"}:
        return text.encode(), "text/plain; charset=utf-8"
    answer: Json = {"text": text}
    if form == "verbose_json":
        answer |= {"task": "transcribe", "language": "english", "duration": 2.5, "segments": []}
    elif scenario.input_tokens is not None:
        answer["usage"] = _tokens(scenario)
    elif scenario.usage:
        answer["usage"] = {"type": "duration", "seconds": 7}
    return json.dumps(answer).encode(), "application/json"


def _tokens(scenario: Scenario) -> Json:
    read, made = scenario.input_tokens or 14, scenario.output_tokens or 101
    return {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}


def _events_of(path: str, body: Json, scenario: Scenario) -> list[Json]:
    reported = {"usage": _tokens(scenario)} if scenario.usage else {}
    if path == SPEECH:
        letters = [base64.b64encode(sound(letter)).decode() for letter in body["input"]]
        parts = [{"type": "speech.audio.delta", "audio": audio} for audio in letters]
        return [*parts, {"type": "speech.audio.done", **reported}]
    if path in HEARD:
        parts = [{"type": "transcript.text.delta", "delta": word} for word in WORDS]
        done = {"type": "transcript.text.done", "text": "".join(WORDS)}
        if reported:
            reported["usage"]["type"] = "tokens"
        return [*parts, {**done, **reported}]
    name = "image_generation" if path == PICTURES[0] else "image_edit"
    whole = {"b64_json": "aGVsbG8=", "created_at": 1, "size": "1024x1024", "quality": "high"}
    whole |= {"background": "opaque", "output_format": "png"}
    count = int(body.get("partial_images") or 0)
    parts = [
        {"type": f"{name}.partial_image", **whole, "partial_image_index": place}
        for place in range(count)
    ]
    made = {"type": f"{name}.completed", **whole, **reported}
    return [*parts, *[made] * int(body.get("n") or 1)]


def sound(text: str) -> bytes:
    """Return a tenth of a second of wave for each character."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(b"\x01\x02" * 2_400 * len(text))
    return file.getvalue()


def _job(identifier: str, status: str) -> Json:
    error = {"code": "moderation_blocked", "message": "no"} if status == "failed" else None
    model = identifier.split("_", 2)[2]
    job = {"id": identifier, "object": "video", "status": status, "model": model, "error": error}
    return job | {"progress": 0, "created_at": 1, "size": "720x1280"}


async def about_video(request: Request, record: Record, connection: Connection) -> None:
    """Answer what is asked of a job.

    One of a model `…-fails` has failed, `…-lasts` goes on, `…-gone` is not known any more, and
    the video of `…-breaks` breaks off.
    """
    identifier, _, rest = request.path.removeprefix(f"{VIDEOS}/").partition("/")
    record.status = 200
    if rest == "content":
        length = {"content-length": str(len(VIDEO_BYTES))}
        if identifier.endswith("-breaks"):
            await connection.send(head(200, "video/mp4", length) + VIDEO_BYTES[:100_000])
            await connection.pause(0.1)
            await connection.reset()
            return
        await connection.reply(200, VIDEO_BYTES, "video/mp4")
    elif request.method == "DELETE":
        gone = {"id": identifier, "object": "video.deleted", "deleted": True}
        await connection.reply(200, json.dumps(gone).encode(), JSON_TYPE)
    else:
        status = _STANDINGS.get(identifier.rpartition("-")[2], "completed")
        record.status = 404 if identifier.endswith("-gone") else 200
        job = _job(identifier, status)
        await connection.reply(record.status, json.dumps(job).encode(), JSON_TYPE)


async def _events(
    events: list[Json], scenario: Scenario, record: Record, connection: Connection
) -> None:
    await connection.send(head(200, SSE_TYPE, {"transfer-encoding": "chunked"}))
    for event in events[: scenario.breaks_after]:
        if scenario.delay_ms:
            await connection.pause(scenario.delay_ms / 1000)
        named = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
        await connection.send(chunk(named.encode()))
        record.chunks_sent += 1
    if scenario.delay_ms:
        await connection.pause(scenario.delay_ms / 1000)
    if scenario.cut_after is not None:
        await connection.reset()
    elif scenario.stall_after is not None:
        await connection.pause(MAX_SILENCE_S)
    elif scenario.error_after is not None:
        await connection.send(chunk(b'data: {"error":{"message":"no more"}}\n\n') + b"0\r\n\r\n")
    else:
        await connection.send(b"0\r\n\r\n")
