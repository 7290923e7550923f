"""What OpenAI's operations that are never streamed have in common."""

from typing import Any

import msgspec

from aigne_hub.domain.errors import HubError, InvalidRequest, UpstreamError
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Ask, StreamMeter
from aigne_hub.gateway.dialects.openai_errors import error_body, error_event
from aigne_hub.gateway.dialects.openai_usage import Reporting, is_present
from aigne_hub.providers.usage import Wire


class DataAnswer(Reporting):
    """The members of a list answer that are looked at."""

    data: list[msgspec.Raw] = []  # noqa: RUF012 - msgspec copies an empty default
    error: msgspec.Raw = msgspec.Raw()


decode_data = msgspec.json.Decoder(DataAnswer).decode


class OpenAIWhole:
    """The part of dialects.Dialect that needs no stream and no text."""

    def counted(self, _ask: Ask, input_tokens: int, _output: int) -> Usage:
        return Usage(input_tokens=input_tokens)

    def output_of(self, _body: bytes) -> int:
        return 0

    def meter(self, _ask: Ask, _wire: Wire) -> StreamMeter:
        raise InvalidRequest("This operation is not streamed; leave out `stream`.", param="stream")

    def error(self, error: HubError, timestamp_ms: int) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        return error_event(error, timestamp_ms)


def peeked(decode: Any, body: bytes) -> Any:
    """Decode a peek, or raise InvalidRequest that says where the body is wrong."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        param = text.rpartition("`$.")[2].rstrip("`") if "`$." in text else None
        raise InvalidRequest(f"The request body is not valid: {text}.", param=param) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.") from None


def answered(decode: Any, body: bytes) -> Any:
    """Decode a whole answer; raises UpstreamError for an error object or invalid JSON."""
    try:
        answer = decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamError("The upstream's answer is not valid JSON of this kind.") from None
    if is_present(answer.error):
        raise UpstreamError("The upstream answered 200 with an error object.")
    return answer
