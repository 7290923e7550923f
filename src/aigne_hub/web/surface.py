"""The APIs a client may expect behind this address, and how each looks.

A client configured with a wrong base URL is recognised by the end of its path, whatever it
put in front of it.
"""

import re
from dataclasses import dataclass

OPENAI_BASE = "/v1"


@dataclass(frozen=True, slots=True)
class Api:
    """A wire format. `base` is what its clients take as base URL, below the hub's address."""

    name: str
    clients: str
    base: str


OPENAI = Api("OpenAI", "OpenAI SDKs, LangChain, Open WebUI, curl", OPENAI_BASE)
ANTHROPIC = Api("Anthropic Messages", "Anthropic SDKs, Claude Code", "")
GEMINI = Api("Gemini", "Google Gen AI SDKs", "")
AIGNE = Api("AIGNE", "AIGNE Framework and SDKs", "")
APIS = (OPENAI, ANTHROPIC, GEMINI, AIGNE)

# What the data plane serves below OPENAI_BASE, with its method; a path ends with one of these.
OPENAI_OPERATIONS = {
    "chat/completions": "POST",
    "completions": "POST",
    "responses": "POST",
    "responses/compact": "POST",
    "responses/input_tokens": "POST",
    "embeddings": "POST",
    "images/generations": "POST",
    "images/edits": "POST",
    "images/variations": "POST",
    "videos": "POST",
    "audio/transcriptions": "POST",
    "audio/translations": "POST",
    "audio/speech": "POST",
    "moderations": "POST",
    "rerank": "POST",
    "models": "GET",
}

ANTHROPIC_OPERATIONS = {"messages": "POST", "messages/count_tokens": "POST"}
GEMINI_METHODS = (
    "generateContent",
    "streamGenerateContent",
    "countTokens",
    "embedContent",
    "batchEmbedContents",
)
# What providers keep, and what may be done with it.
STORED_OPERATIONS = {
    "responses/{response_id}": ("GET", "DELETE"),
    "responses/{response_id}/cancel": ("POST",),
    "responses/{response_id}/input_items": ("GET",),
    "videos": ("GET",),
    "videos/{video_id}": ("GET", "DELETE"),
    "videos/{video_id}/content": ("GET",),
}
OPERATIONS = {**OPENAI_OPERATIONS, **ANTHROPIC_OPERATIONS}
# Below AIGNE_BASE, which older clients write as `/v2`.
AIGNE_BASE = "/api/v2"
AIGNE_OPERATIONS = (
    "chat",
    "chat/completions",
    "completions",
    "image",
    "image/generations",
    "video",
    "embeddings",
    "audio/speech",
    "audio/transcriptions",
)

_CALLED = "|".join(name for name in OPENAI_OPERATIONS if name != "models")
_SERVED = re.compile(rf"(?:.*?/)??(?:({_CALLED})|(models)(?:/.*)?)")
_LATER = re.compile(
    r"(?:.*?/)??((?:audio/(?!speech|transcr|transl)[a-z_]+|videos/.+)(?=/|$))(?:/.*)?"
)
_GEMINI_CALL = re.compile(rf"(?:.*?/)?(?:(v1|v1beta)/)?(models/.*:(?:{'|'.join(GEMINI_METHODS)}))")
_GEMINI_SERVED = re.compile(rf"/v1(?:beta)?/models/.+:(?:{'|'.join(GEMINI_METHODS)})")
_GEMINI_LIST = re.compile(r"/v1beta/models(?:/.+)?")
_MESSAGES = re.compile(r"(?:.*/)?(messages(?:/count_tokens)?)")
_BATCHES = re.compile(r"(?:.*/)?messages/batches(?:/.*)?")
_GEMINI_OTHER = re.compile(r"v1beta(?:/.*)?")
_AIGNE_SERVED = re.compile(rf"(?:/api)?/v2/({'|'.join(AIGNE_OPERATIONS)})")
_AIGNE_CALL = re.compile(rf".*?v2/({'|'.join(AIGNE_OPERATIONS)})")
_AIGNE_OTHER = re.compile(r"(?:api/)?v2(?:/.*)?|api/v1(?:/.*)?")
_STORED = [
    (re.compile(re.sub(r"{\w+}", "[^/]+", name)), methods)
    for name, methods in STORED_OPERATIONS.items()
]
_PATH_SHOWN_MAX = 200


def allowed_methods(path: str) -> str | None:
    """Return the `Allow` value of a data-plane path, None when the path is not one."""
    if _GEMINI_SERVED.fullmatch(path) or _AIGNE_SERVED.fullmatch(path):
        return "POST"
    if _GEMINI_LIST.fullmatch(path):
        return "GET, HEAD"
    base, _, operation = path.partition(f"{OPENAI_BASE}/")
    if base:
        return None
    if operation.startswith("models/"):
        operation = "models"
    method = OPERATIONS.get(operation)
    if method is not None:
        methods = (*STORED_OPERATIONS.get(operation, ()), method)
        return ", ".join(map(_allowed, methods))
    for pattern, methods in _STORED:
        if pattern.fullmatch(operation):
            return ", ".join(map(_allowed, methods))
    return None


def _allowed(method: str) -> str:
    return "GET, HEAD" if method == "GET" else method


def explanation(method: str, path: str, public_url: str) -> str:
    """Say that nothing is served at a path, what was probably meant, and the right base URL."""
    shown = path if len(path) <= _PATH_SHOWN_MAX else f"{path[:_PATH_SHOWN_MAX]}…"
    sentences = [f"Nothing is served at {method} {shown}."]
    guess = _guess(path.strip("/"), public_url)
    if guess:
        sentences.append(guess)
    sentences.append(
        f"The OpenAI base URL of this hub is {public_url}{OPENAI_BASE}; "
        f"{public_url}/docs lists every path."
    )
    return " ".join(sentences)


def _guess(path: str, public_url: str) -> str | None:
    named = (
        _of_anthropic(path, public_url)
        or _of_gemini(path, public_url)
        or _of_aigne(path, public_url)
    )
    if named:
        return named
    later = _LATER.fullmatch(path)
    if later:
        return f"This hub does not serve OpenAI's {later[1]} yet."
    served = _SERVED.fullmatch(path)
    if served:
        operation = served[1] or served[2]
        base = f"{public_url}{OPENAI_BASE}"
        return f"Did you mean {OPENAI_OPERATIONS[operation]} {base}/{operation}?"
    return None


def _of_aigne(path: str, public_url: str) -> str | None:
    call = _AIGNE_CALL.fullmatch(path)
    if call:
        return (
            f"Did you mean POST {public_url}{AIGNE_BASE}/{call[1]}? "
            f"AIGNE's clients take {public_url} as base URL."
        )
    if _AIGNE_OTHER.fullmatch(path):
        return "This hub does not serve this part of the AIGNE API yet."
    return None


def _of_anthropic(path: str, public_url: str) -> str | None:
    messages = _MESSAGES.fullmatch(path)
    if messages:
        return (
            f"Did you mean POST {public_url}{OPENAI_BASE}/{messages[1]}? "
            f"The Anthropic base URL of this hub is {public_url}{ANTHROPIC.base}."
        )
    if _BATCHES.fullmatch(path):
        return "This hub does not serve Anthropic's messages/batches yet."
    return None


def _of_gemini(path: str, public_url: str) -> str | None:
    call = _GEMINI_CALL.fullmatch(path)
    if call:
        return (
            f"Did you mean POST {public_url}/{call[1] or 'v1beta'}/{call[2]}? "
            f"The Gemini base URL of this hub is {public_url}{GEMINI.base}."
        )
    if _GEMINI_OTHER.fullmatch(path):
        return "This hub does not serve this part of the Gemini API yet."
    return None
