"""OpenAI's `/v1/responses/compact`: a long conversation made short, as Codex asks for it.

https://platform.openai.com/docs/api-reference/responses/compact, looked up in November 2026.
"""

from typing import Any, ClassVar

import msgspec

from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, quote_tokens
from aigne_hub.gateway.dialects import Ask, NeutralForm
from aigne_hub.gateway.dialects.responses.create import OpenAIResponses


class _Peek(msgspec.Struct):
    stream: ClassVar[None] = None
    max_output_tokens: ClassVar[None] = None
    store: ClassVar[bool] = False
    background: ClassVar[None] = None
    prompt: ClassVar[msgspec.Raw] = msgspec.Raw()
    tools: ClassVar[None] = None
    model: str
    input: msgspec.Raw = msgspec.Raw()
    previous_response_id: str | None = None
    conversation: msgspec.Raw = msgspec.Raw()


class OpenAICompaction(OpenAIResponses):
    """Never streamed, and no member bounds its output: that is held for whole, or refused."""

    operation = "responses/compact"
    form: NeutralForm | None = None
    _decode: Any = msgspec.json.Decoder(_Peek).decode

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:  # noqa: ARG002 - the protocol's names
        return quote_tokens(
            rates,
            input_tokens=input_tokens,
            output_limit=output_max,
            stream=False,
            explicit=True,
            n=1,
        )
