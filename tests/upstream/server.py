"""OpenAI's, Anthropic's and Google's endpoints, failing as a scenario asks."""

import asyncio
import json
import ssl
from typing import Any

from tests.upstream import answers, events, gemini, media, messages, responses
from tests.upstream.connection import ClientGoneError, Connection, Request, chunk, head
from tests.upstream.record import MAX_KEPT_BODY_BYTES, Log, Record
from tests.upstream.scenarios import BadScenarioError, Scenario, parse

BAD_KEY = "bad-key"
MAX_SILENCE_S = 600.0
JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream; charset=utf-8"
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
ERRORS = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "billing_hard_limit_reached", "Billing hard limit reached."),
    403: ("invalid_request_error", "unsupported_country", "Country not supported."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached."),
}
SERVER_ERROR = ("server_error", None, "The server had an error while processing your request.")
TEXTS = {
    "/v1/chat/completions": (answers.chat_text, events.chat_stream),
    "/v1/completions": (answers.completion_text, events.completion_stream),
}
OBJECTS = {
    "/v1/embeddings": answers.embeddings,
    "/v1/images/generations": answers.images,
    "/v1/moderations": media.moderations,
    "/v1/rerank": media.rerank,
}
PATHS = {
    *TEXTS,
    *OBJECTS,
    messages.PATH,
    messages.COUNT_PATH,
    responses.PATH,
    responses.COUNT_PATH,
    responses.COMPACT_PATH,
    *media.PATHS,
}
Json = dict[str, Any]


class Refusal(Exception):
    """An answer with OpenAI's error object."""

    def __init__(self, status: int, message: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kind, code, default = ERRORS.get(status, SERVER_ERROR)
        self.error: Json = {
            "error": {"message": message or default, "type": kind, "param": param, "code": code}
        }


class Upstream:
    """Answers calls and keeps their log."""

    def __init__(self) -> None:
        self._log = Log()
        self._responses = responses.Responses()
        self._connections = 0

    async def listen(
        self, host: str, port: int, context: ssl.SSLContext | None = None
    ) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._connect, host, port, ssl=context, backlog=1024)

    def _connect(self) -> Connection:
        self._connections += 1
        return Connection(self._handle, self._connections)

    async def _handle(self, request: Request, connection: Connection) -> None:
        if request.path.startswith("/_control/"):
            await self._control(request, connection)
            return
        record = self._log.open(request, connection)
        sent_before = connection.bytes_sent
        try:
            await self._answer_or_refuse(request, record, connection)
        except ClientGoneError:
            record.client_gone = True
            if connection.gone_at is not None:
                record.client_gone_ms = 1000 * (connection.gone_at - request.received_at)
        finally:
            now = asyncio.get_running_loop().time()
            record.bytes_sent = connection.bytes_sent - sent_before
            record.duration_ms = 1000 * (now - request.received_at)

    async def _answer_or_refuse(
        self, request: Request, record: Record, connection: Connection
    ) -> None:
        try:
            await self._answer(request, record, connection)
        except answers.BadRequestError as error:
            refusal = Refusal(400, str(error), error.param)
        except Refusal as error:
            refusal = error
        else:
            return
        record.status = refusal.status
        extra = {"retry-after": "1"} if refusal.status == 429 else None
        error = refusal.error
        if request.path.startswith(messages.PATH):
            error = messages.error(refusal.status, str(error["error"]["message"]))
            extra = {**(extra or {}), "request-id": f"req_{record.number}"}
        elif gemini.is_call(request.path):
            error = gemini.error(refusal.status, str(error["error"]["message"]))
        await connection.reply(refusal.status, _dump(error), JSON_TYPE, extra)

    async def _control(self, request: Request, connection: Connection) -> None:
        if (request.method, request.path) == ("GET", "/_control/log"):
            await connection.reply(200, _dump(self._log.as_json()), JSON_TYPE)
        elif (request.method, request.path) == ("POST", "/_control/reset"):
            self._log.reset()
            await connection.reply(200, b'{"ok":true}', JSON_TYPE)
        else:
            await connection.reply(404, b'{"ok":false}', JSON_TYPE)

    async def _answer(self, request: Request, record: Record, connection: Connection) -> None:
        if not record.key:
            raise Refusal(401, "You didn't provide an API key.")
        if record.key == BAD_KEY:
            raise Refusal(401)
        if gemini.is_call(request.path):
            await self._gemini(request, record, connection)
            return
        if await self._told_of(request, record, connection):
            return
        body, scenario = _read(request, record)
        if scenario.silent:
            await connection.pause(MAX_SILENCE_S)
        if scenario.status is not None:
            raise Refusal(scenario.status, _words(scenario, body, record))
        record.status = 502 if scenario.html else 200
        if scenario.html:
            await connection.reply(502, HTML, "text/html")
        elif scenario.error_in_200 or (scenario.error_after is not None and not record.stream):
            error = Refusal(500, _words(scenario, body, record)).error
            if request.path.startswith(messages.PATH):
                error = messages.error(529, "Overloaded")
            await connection.reply(200, _dump(error), JSON_TYPE)
        elif request.path.startswith((messages.PATH, responses.PATH)):
            family = messages if request.path.startswith(messages.PATH) else self._responses
            await family.serve(request, body, scenario, record, connection)
        elif record.stream and request.path in TEXTS:
            await self._stream(request.path, body, scenario, record, connection)
        else:
            await self._unary(request.path, body, scenario, record, connection)

    async def _told_of(self, request: Request, record: Record, connection: Connection) -> bool:
        """Answer what is asked of models and of what is stored."""
        stored = request.path.startswith(f"{responses.PATH}/") and request.path not in PATHS
        if request.path.startswith(f"{media.VIDEOS}/"):
            stored = True
            await media.about_video(request, record, connection)
        elif stored:
            await self._responses.about(request, record, connection)
        elif request.method == "GET":
            record.status = 200
            await connection.reply(200, _dump(_catalogue(request.path)), JSON_TYPE)
        return stored or request.method == "GET"

    async def _gemini(self, request: Request, record: Record, connection: Connection) -> None:
        """Answer a call whose model is in its path."""
        body = _object(request, record)
        record.model, method = gemini.called(request.path)
        record.stream = method == gemini.STREAM
        try:
            scenario = parse(record.model)
        except BadScenarioError as error:
            raise Refusal(400, str(error), "model") from None
        if scenario.silent:
            await connection.pause(MAX_SILENCE_S)
        if scenario.status is not None:
            raise Refusal(scenario.status, _words(scenario, body, record))
        record.status = 502 if scenario.html else 200
        if scenario.html:
            await connection.reply(502, HTML, "text/html")
            return
        await gemini.serve(request, body, scenario, record, connection)

    async def _unary(
        self, path: str, body: Json, scenario: Scenario, record: Record, connection: Connection
    ) -> None:
        if path in media.PATHS or record.stream:
            await media.serve(path, body, scenario, record, connection)
            return
        if path in OBJECTS:
            answer = OBJECTS[path](body, scenario)
        else:
            answer = _text_answer(path, body, scenario, record)
        payload = _dump(answer)
        if scenario.delay_ms:
            await connection.pause(scenario.delay_ms / 1000)
        if scenario.bad_json:
            payload = payload[: len(payload) // 2]
        if scenario.breaks_after is None:
            await connection.reply(200, payload, JSON_TYPE)
            return
        opening = head(200, JSON_TYPE, {"content-length": str(len(payload))})
        await connection.send(opening + payload[: len(payload) // 2])
        await _break(scenario, connection, Refusal(500))

    async def _stream(
        self, path: str, body: Json, scenario: Scenario, record: Record, connection: Connection
    ) -> None:
        compose, streamed = TEXTS[path]
        text, count = compose(body, scenario), answers.choices(body)
        stream = streamed(body, _identifier(record), text, count)
        opening = b"".join(chunk(stream.chunk(choice)) for choice in stream.opening)
        headers = {"transfer-encoding": "chunked", "x-request-id": f"req_{record.number}"}
        await connection.send(head(200, SSE_TYPE, headers) + opening)
        for choice in stream.content[: scenario.breaks_after]:
            # The loop turns once for each chunk, so that each is a write of its own.
            await asyncio.sleep(0)
            if scenario.delay_ms:
                await connection.pause(scenario.delay_ms / 1000)
            data = stream.chunk(choice)
            if scenario.bad_json and not record.chunks_sent:
                data = data[: len(data) // 2] + b"\n\n"
            await connection.send(chunk(data))
            record.chunks_sent += 1
            record.tokens_sent += 1
        if scenario.breaks_after is not None:
            await _break(scenario, connection, Refusal(500, _words(scenario, body, record)))
            return
        closing = [stream.chunk(choice) for choice in stream.closing]
        usage = answers.usage(body, scenario, len(text.pieces) * count)
        if stream.reports_usage and usage is not None:
            closing.append(stream.usage_chunk(usage))
        if scenario.hang or not scenario.done:
            await connection.send(b"".join(map(chunk, closing)))
            await (connection.pause(MAX_SILENCE_S) if scenario.hang else connection.finish())
            return
        closing.append(events.DONE)
        await connection.send(b"".join(map(chunk, closing)) + b"0\r\n\r\n")


def _words(scenario: Scenario, body: Json, record: Record) -> str | None:
    """Return what an error says of itself, None for OpenAI's usual words."""
    if not scenario.echo:
        return None
    said = json.dumps(body.get("messages") or body.get("prompt") or body.get("input"))
    return f"Cannot serve Authorization: Bearer {record.key}, which asked {said}"


async def _break(scenario: Scenario, connection: Connection, refusal: Refusal) -> None:
    """End an answer the way its scenario fails; where several are asked for, the first here."""
    if scenario.cut_after is not None:
        await connection.reset()
    elif scenario.fin_after is not None:
        await connection.finish()
    elif scenario.stall_after is not None:
        await connection.pause(MAX_SILENCE_S)
    else:
        await connection.send(chunk(events.event(refusal.error)) + b"0\r\n\r\n")


def _read(request: Request, record: Record) -> tuple[Json, Scenario]:
    """Return the body and its scenario, and note both in the record."""
    if request.method != "POST" or request.path not in PATHS:
        raise Refusal(404, f"Invalid URL ({request.method} {request.path})")
    body = _object(request, record)
    if not isinstance(body.get("model"), str):
        raise Refusal(400, "you must provide a model parameter")
    record.model, record.stream = body["model"], bool(body.get("stream")) or media.streams(body)
    try:
        return body, parse(body["model"])
    except BadScenarioError as error:
        raise Refusal(400, str(error), "model") from None


def _object(request: Request, record: Record) -> Json:
    """Return the body, and note it in the record."""
    try:
        body = media.form(request) if media.is_form(request) else json.loads(request.body)
    except ValueError:
        raise Refusal(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise Refusal(400, "you must provide a JSON object")
    if record.body_bytes <= MAX_KEPT_BODY_BYTES:
        record.body = body
    return body


def _text_answer(path: str, body: Json, scenario: Scenario, record: Record) -> Json:
    text, count = TEXTS[path][0](body, scenario), answers.choices(body)
    chat = path == "/v1/chat/completions"
    said = {"message": answers.chat_message(text)} if chat else {"text": text.whole}
    answer: Json = {
        "id": _identifier(record),
        "object": "chat.completion" if chat else "text_completion",
        "created": answers.CREATED,
        "model": body["model"],
        "choices": [
            {"index": index, **said, "logprobs": None, "finish_reason": text.finish_reason}
            for index in range(count)
        ],
        "system_fingerprint": answers.FINGERPRINT,
    }
    record.tokens_sent = len(text.pieces) * count
    usage = answers.usage(body, scenario, record.tokens_sent)
    return answer if usage is None else {**answer, "usage": usage}


def _identifier(record: Record) -> str:
    return f"{'chatcmpl' if 'chat' in record.path else 'cmpl'}-{record.number}"


def _catalogue(path: str) -> Json:
    names = answers.CATALOGUE
    if path == "/v1/models":
        return {"object": "list", "data": [answers.model(name) for name in names]}
    name = path.removeprefix("/v1/models/")
    if name not in names:
        raise Refusal(404)
    return answers.model(name)


def _dump(payload: Any) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
