"""The calls that are measured: their bodies, their upstream, how many at once."""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

AGENT_BYTES = 116 * 1024
AGENT_TOOLS = 24
EMBEDDING_INPUTS = 32
EMBEDDING_DIMENSIONS = 1536
LEAVE_AFTER = 5
MESSAGE_TOKENS = 1024
CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
EMBEDDINGS = "/v1/embeddings"
MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"
SENTENCE = "The agent reads the file, changes the function and runs the tests once more. "


class Kind(StrEnum):
    UNARY = "unary"
    STREAM = "stream"
    LEAVE = "leave"  # the client closes after LEAVE_AFTER chunks


class Route(StrEnum):
    """Which upstream answers; also the provider's name in the hub."""

    UNARY = "unary"
    STREAM = "stream"
    UNARY_TLS = "unary-tls"
    STREAM_TLS = "stream-tls"

    @property
    def tls(self) -> bool:
        return self.value.endswith("-tls")

    @property
    def streams(self) -> bool:
        return self.value.startswith("stream")


@dataclass(frozen=True)
class Load:
    """One kind of call. `chunks` are the content chunks of its answer, 0 when unary.

    `peers` is for other gateways too, `scaled` for several processes and other databases too.
    With `accounts` it measures the ledger: the hub alone, whose callers take turns. At
    `MESSAGES` the caller speaks Anthropic's format, the upstream OpenAI's.
    """

    name: str
    kind: Kind
    route: Route
    connections: tuple[int, ...]
    quick: tuple[int, ...] = ()
    model: str = MODEL
    path: str = CHAT
    chunks: int = 0
    agent: bool = False
    paced: bool = False
    peers: bool = False
    scaled: bool = False
    warm: bool = True
    accounts: int = 0

    @property
    def is_translated(self) -> bool:
        return self.path == MESSAGES

    def body(self, model: str) -> bytes:
        """Return the request's body for the name the target knows the model by."""
        payload: dict[str, Any] = {"model": model}
        if self.path == EMBEDDINGS:
            texts = [f"{SENTENCE}{number}" for number in range(EMBEDDING_INPUTS)]
            payload |= {"input": texts, "encoding_format": "float"}
        elif self.agent:
            payload |= _agent_request()
        else:
            question = "What is the capital of France? Answer in one word."
            payload["messages"] = [{"role": "user", "content": question}]
        if self.path == MESSAGES:
            payload |= {"max_tokens": MESSAGE_TOKENS, "stream": self.kind is not Kind.UNARY}
        elif self.kind is not Kind.UNARY:
            payload |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(payload).encode()


@cache
def _agent_request() -> dict[str, Any]:
    tools = [
        {
            "type": "function",
            "function": {
                "name": f"tool_{number}",
                "description": SENTENCE * 4,
                "parameters": {
                    "type": "object",
                    "properties": {
                        name: {"type": "string", "description": SENTENCE}
                        for name in ("path", "text", "reason")
                    },
                    "required": ["path"],
                },
            },
        }
        for number in range(AGENT_TOOLS)
    ]
    messages: list[dict[str, Any]] = [{"role": "system", "content": SENTENCE * 60}]
    request = {"messages": messages, "tools": tools}
    turn = 0
    while len(json.dumps(request)) < AGENT_BYTES:
        function = {"name": f"tool_{turn % AGENT_TOOLS}", "arguments": '{"path": "src/main.py"}'}
        call = {"id": f"call_{turn}", "type": "function", "function": function}
        messages += [
            {"role": "user", "content": SENTENCE * 4},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": f"{turn}\n" + SENTENCE * 20},
        ]
        turn += 1
    messages.append({"role": "user", "content": "Go on."})
    return request


LOADS = (
    Load(
        "chat",
        Kind.UNARY,
        Route.UNARY,
        connections=(1, 32, 256),
        quick=(1, 32),
        peers=True,
        scaled=True,
    ),
    Load("agent 116 KB", Kind.UNARY, Route.UNARY, connections=(32,), agent=True, peers=True),
    Load(
        "stream 40",
        Kind.STREAM,
        Route.STREAM,
        connections=(32,),
        quick=(32,),
        model="chunks-40",
        chunks=40,
        peers=True,
        scaled=True,
    ),
    # Chunks without delay travel together and share their cost; these arrive one by one.
    Load(
        "stream 40 paced",
        Kind.STREAM,
        Route.STREAM,
        connections=(1, 32),
        quick=(1, 32),
        model="slow-40",
        chunks=40,
        paced=True,
        peers=True,
        scaled=True,
    ),
    # As many tokens as people read: what a number of streams held at once costs.
    Load(
        "streams held",
        Kind.STREAM,
        Route.STREAM,
        connections=(100,),
        model="token-200",
        chunks=200,
        paced=True,
        peers=True,
        scaled=True,
        warm=False,
    ),
    Load(
        "stream 1000",
        Kind.STREAM,
        Route.STREAM,
        connections=(8,),
        model="chunks-1000",
        chunks=1000,
    ),
    Load("chat TLS", Kind.UNARY, Route.UNARY_TLS, connections=(32,), peers=True),
    Load(
        "stream 40 TLS",
        Kind.STREAM,
        Route.STREAM_TLS,
        connections=(32,),
        model="chunks-40",
        chunks=40,
        peers=True,
    ),
    Load(
        "embeddings 1 MB",
        Kind.UNARY,
        Route.UNARY,
        connections=(8,),
        model=EMBEDDING_MODEL,
        path=EMBEDDINGS,
    ),
    # The same bytes from the upstream, for a caller of another format.
    Load("chat translated", Kind.UNARY, Route.UNARY, connections=(32,), quick=(32,), path=MESSAGES),
    Load(
        "stream 40 translated",
        Kind.STREAM,
        Route.STREAM,
        connections=(32,),
        quick=(32,),
        model="chunks-40",
        path=MESSAGES,
        chunks=40,
    ),
    Load(
        "client leaves",
        Kind.LEAVE,
        Route.STREAM,
        connections=(16,),
        model="slow-1000",
        chunks=1000,
    ),
    # What a call costs besides its relay: opened with a hold, settled, charged, metered.
    Load(
        "ledger", Kind.UNARY, Route.UNARY, connections=(64,), quick=(64,), accounts=1, scaled=True
    ),
    Load("ledger 1k", Kind.UNARY, Route.UNARY, connections=(), quick=(64,), accounts=1_000),
    Load("ledger 10k", Kind.UNARY, Route.UNARY, connections=(64,), accounts=10_000),
)
# What `bench.footprint` holds open.
IDLE = Load("idle streams", Kind.STREAM, Route.STREAM, (500,), model="idle-3", chunks=3, peers=True)
ALL = (*LOADS, IDLE)


def talk(chunks: int) -> Load:
    """Return a stream of so many chunks at ten a second."""
    model = f"talk-{chunks}"
    return Load(model, Kind.STREAM, Route.STREAM, (), model=model, chunks=chunks, paced=True)


def chat_answer() -> bytes:
    """Return the fixed unary answer, 500 bytes as the providers word it."""
    answer = {
        "id": "chatcmpl-bench000000000000000000",
        "object": "chat.completion",
        "created": 1767225600,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Paris.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 18,
            "completion_tokens": 2,
            "total_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "system_fingerprint": "",
    }
    missing = 500 - len(_compact(answer))
    answer["system_fingerprint"] = "f" * missing
    return _compact(answer)


def embeddings_answer() -> bytes:
    """Return an embeddings answer of about one megabyte, as floats."""
    vector = [
        ((index * 7919) % 20011 - 10005) / 270_001.25 for index in range(EMBEDDING_DIMENSIONS)
    ]
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index in range(EMBEDDING_INPUTS)
    ]
    usage = {"prompt_tokens": 480, "total_tokens": 480}
    return _compact({"object": "list", "data": data, "model": EMBEDDING_MODEL, "usage": usage})


def _compact(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
