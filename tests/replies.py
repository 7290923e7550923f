"""Answers of every wire, whole and as events, with everything in them that is read."""

from typing import Any

Json = dict[str, Any]

# -- OpenAI chat -----------------------------------------------------------------------------

_CHAT_USAGE: Json = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
_CALL: Json = {
    "index": 0,
    "id": "c1",
    "type": "function",
    "function": {"name": "look", "arguments": '{"city":"Oslo"}'},
    "extra_content": {"google": {"thought_signature": "c2ln"}},
}
_IMAGE: Json = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
CHAT: Json = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "service_tier": "default",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "reasoning_content": "hm",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "Hello"},
                ],
                "refusal": "no",
                "images": [_IMAGE],
                "tool_calls": [_CALL, {**_CALL, "id": "c2", "function": {"name": "see"}}],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": _CHAT_USAGE,
}


def _chunk(delta: Json, finish: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice], **more}


CHAT_EVENTS: list[Json] = [
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"reasoning_content": "hm"}),
    _chunk({"content": "Hello"}),
    _chunk({"images": [_IMAGE]}),
    _chunk({"tool_calls": [_CALL]}),
    _chunk({"tool_calls": [{"index": 0, "function": {"arguments": " "}}]}),
    _chunk({"tool_calls": [{**_CALL, "id": "c2", "function": {"name": "see", "arguments": {}}}]}),
    _chunk({}, "tool_calls", service_tier="default"),
    {"object": "chat.completion.chunk", "choices": [], "usage": _CHAT_USAGE},
]

# -- Responses -------------------------------------------------------------------------------

_RESPONSE_USAGE: Json = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 14,
}
_SAID: Json = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}
RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "m",
    "store": True,
    "service_tier": "default",
    "output": [
        _SAID,
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
    ],
    "tool_usage": {"web_search": {"num_requests": 1}},
    "usage": _RESPONSE_USAGE,
}
_BEGUN: Json = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
_PLACE: Json = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
RESPONSE_EVENTS: list[Json] = [
    {"type": "response.created", "sequence_number": 0, "response": _BEGUN},
    {"type": "response.output_item.added", "sequence_number": 1, "item": _SAID},
    {"type": "response.output_text.delta", "sequence_number": 2, "delta": "Hello", **_PLACE},
    {"type": "response.completed", "sequence_number": 3, "response": RESPONSE},
]

# -- Anthropic -------------------------------------------------------------------------------

_TOKENS: Json = {
    "input_tokens": 9,
    "cache_read_input_tokens": 2,
    "cache_creation_input_tokens": 3,
    "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
    "output_tokens": 5,
    "server_tool_use": {"web_search_requests": 1},
    "service_tier": "standard",
}
MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "c1", "name": "look", "input": {"city": "Oslo"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": _TOKENS,
}


def _block(index: int, block: Json, *deltas: Json) -> list[Json]:
    at = {"index": index}
    return [
        {"type": "content_block_start", **at, "content_block": block},
        *({"type": "content_block_delta", **at, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", **at},
    ]


_THOUGHT, _SEALED = {"type": "thinking", "thinking": "", "signature": ""}, MESSAGE["content"][1]
_USE: Json = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
MESSAGE_EVENTS: list[Json] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "ping"},
    *_block(
        0,
        _THOUGHT,
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "s"},
    ),
    *_block(1, _SEALED),
    *_block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello"}),
    *_block(3, _USE, {"type": "input_json_delta", "partial_json": '{"city":"Oslo"}'}),
    *_block(4, {**_USE, "id": "c2", "input": {"city": "Rome"}}),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 5, "server_tool_use": {"web_search_requests": 1}},
    },
    {"type": "message_stop"},
]

# -- Gemini ----------------------------------------------------------------------------------

_PARTS: list[Json] = [
    {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
    {"text": "Hello"},
    {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
    {"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/b.png"}},
    {
        "functionCall": {"id": "c1", "name": "look", "args": {"city": "Oslo"}},
        "thoughtSignature": "c2ln",
    },
]
GENERATED: Json = {
    "candidates": [
        {
            "content": {"role": "model", "parts": _PARTS},
            "index": 0,
            "finishReason": "STOP",
            "finishMessage": "so",
            "groundingMetadata": {"webSearchQueries": ["oslo"]},
        }
    ],
    "promptFeedback": {"safetyRatings": []},
    "usageMetadata": {
        "promptTokenCount": 9,
        "cachedContentTokenCount": 2,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 1,
        "totalTokenCount": 14,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
        "trafficType": "ON_DEMAND",
    },
    "modelVersion": "m",
    "responseId": "r",
}
GENERATED_EVENTS: list[Json] = [
    {
        "candidates": [{"content": {"role": "model", "parts": _PARTS}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
    },
    GENERATED,
]

# -- media and the rest of OpenAI's ----------------------------------------------------------

_DRAWN: Json = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
IMAGES: Json = {
    "created": 1,
    "data": [{"b64_json": "aGk=", "revised_prompt": "a cat"}],
    "size": "1024x1024",
    "quality": "high",
    "output_format": "png",
    "background": "opaque",
    "usage": {
        **_DRAWN,
        "input_tokens_details": {"text_tokens": 9, "image_tokens": 0},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": 5},
    },
}
_READ: Json = {**_DRAWN, "input_tokens_details": {"text_tokens": 9, "image_tokens": 0}}
_PICTURE: Json = {
    "b64_json": "aGk=",
    "created_at": 1,
    "size": "1024x1024",
    "quality": "high",
    "background": "opaque",
    "output_format": "png",
}
IMAGE_EVENTS: list[Json] = [
    {"type": "image_generation.partial_image", "partial_image_index": 0, **_PICTURE},
    {"type": "image_generation.completed", "usage": _READ, **_PICTURE},
]
SPEECH_EVENTS: list[Json] = [
    {"type": "speech.audio.delta", "audio": "aGk="},
    {"type": "speech.audio.done", "usage": _DRAWN},
]
TRANSCRIPT: Json = {"text": "hello", "usage": {"type": "tokens", **_DRAWN}}
TRANSCRIPT_EVENTS: list[Json] = [
    {"type": "transcript.text.delta", "delta": "hello"},
    {"type": "transcript.text.done", **TRANSCRIPT},
]
VECTORS: Json = {
    "object": "list",
    "model": "m",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}],
    "usage": {"prompt_tokens": 9, "total_tokens": 9},
}
_KINDS = (
    *("hate", "hate/threatening", "harassment", "harassment/threatening", "illicit"),
    *("illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions", "sexual"),
    *("sexual/minors", "violence", "violence/graphic"),
)
MODERATION: Json = {
    "id": "modr-1",
    "model": "m",
    "results": [
        {
            "flagged": False,
            "categories": dict.fromkeys(_KINDS, False),
            "category_scores": dict.fromkeys(_KINDS, 0.5),
            "category_applied_input_types": {kind: ["text"] for kind in _KINDS},
        }
    ],
}
COMPLETION: Json = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "m",
    "choices": [{"text": "Hello", "index": 0, "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
}
COMPLETION_EVENTS: list[Json] = [
    {**COMPLETION, "usage": None, "choices": [{**COMPLETION["choices"][0], "finish_reason": None}]},
    COMPLETION,
]

# A response with every member that OpenAI's description demands.
RESPONSE_TOLD: Json = {
    **{name: value for name, value in RESPONSE.items() if name != "tool_usage"},
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1,
    "top_p": 1,
    "tool_choice": "auto",
    "tools": [],
    "output": [
        {
            **_SAID,
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
            ],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "look",
            "arguments": "{}",
            "status": "completed",
        },
    ],
}
RESPONSE_TOLD_EVENTS: list[Json] = [
    {
        "type": "response.created",
        "sequence_number": 0,
        "response": {**RESPONSE_TOLD, "status": "in_progress", "output": [], "usage": None},
    },
    {
        "type": "response.output_text.delta",
        "sequence_number": 1,
        "delta": "Hello",
        "logprobs": [],
        **_PLACE,
    },
    {"type": "response.completed", "sequence_number": 2, "response": RESPONSE_TOLD},
]
