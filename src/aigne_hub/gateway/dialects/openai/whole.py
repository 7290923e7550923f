"""What OpenAI's operations that are never streamed have in common."""

import msgspec

from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Ask, EmbeddingForm, NeutralForm, StreamMeter
from aigne_hub.gateway.dialects.openai.errors import error_body, error_event
from aigne_hub.gateway.dialects.openai.usage import Reporting
from aigne_hub.providers.profiles import OPENAI_LANGUAGE
from aigne_hub.providers.usage import Wire


class DataAnswer(Reporting):
    """The members of a list answer that are looked at."""

    data: list[msgspec.Raw] = []  # noqa: RUF012 - msgspec copies an empty default
    error: msgspec.Raw = msgspec.Raw()


decode_data = msgspec.json.Decoder(DataAnswer).decode


class OpenAIWhole:
    """The part of dialects.Dialect that needs no stream and no text."""

    language = OPENAI_LANGUAGE
    forwards: tuple[bytes, ...] = ()
    request_id_header: bytes | None = None
    form: NeutralForm | EmbeddingForm | None = None

    def counted(self, _ask: Ask, input_tokens: int, _output: int) -> Usage:
        return Usage(input_tokens=input_tokens)

    def output_of(self, _body: bytes) -> int:
        return 0

    def meter(self, _ask: Ask, _wire: Wire) -> StreamMeter:
        raise InvalidRequest("This operation is not streamed; leave out `stream`.", param="stream")

    def error(self, error: HubError, timestamp_ms: int, _request_id: str) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        return error_event(error, timestamp_ms)
