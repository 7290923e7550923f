"""The APIs a client may expect behind this address: which are served, and how each looks.

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
    served: bool


OPENAI = Api("OpenAI", "OpenAI SDKs, LangChain, Open WebUI, Continue, curl", OPENAI_BASE, served=True)
ANTHROPIC = Api("Anthropic Messages", "Anthropic SDKs, Claude Code", "", served=False)
GEMINI = Api("Gemini", "Google Gen AI SDKs", "", served=False)
AIGNE = Api("AIGNE", "AIGNE Framework and SDKs", "/ai-kit", served=False)
APIS = (OPENAI, ANTHROPIC, GEMINI, AIGNE)

# Path ends of the OpenAI API that this hub serves, longest first, with their method.
_SERVED = (
    ("chat/completions", "POST"),
    ("completions", "POST"),
    ("embeddings", "POST"),
    ("images/generations", "POST"),
    ("models", "GET"),
)
_NOT_SERVED = re.compile(
    r"/(responses|images/(?:edits|variations)|audio/\w+|moderations|rerank|videos|files|batches"
    r"|assistants|threads|fine_tuning/\w+|realtime)(?:/.*)?"
)
_OTHERS = (
    (ANTHROPIC, re.compile(r".*/(?:messages|messages/count_tokens|messages/batches|complete)")),
    (GEMINI, re.compile(r".*:[a-z]+[A-Za-z]*(?:Content|Contents|Tokens|Predict)|(?:/.*)?/v1beta/.*")),
    (AIGNE, re.compile(r"/(?:api/)?v[12]/(?:chat|image|video|embeddings|audio|status)(?:/.*)?")),
)
_OLLAMA = re.compile(r"/api/(?:chat|generate|embed|embeddings|tags|show|ps|version)")
