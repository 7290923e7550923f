"""What paths of the data plane mean, told without loading what answers them."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from aigne_hub.domain.objects import RESPONSE, VIDEO, Followed
from aigne_hub.gateway.dialects.gemini.called import METHOD_NAMES, Called
from aigne_hub.gateway.object_calls import Wanted

MODELS: Final = "/v1/models"
GEMINI_MODELS: Final = "/v1beta/models"
RESPONSES: Final = "/v1/responses"
VIDEOS: Final = "/v1/videos"
AIGNE_V1: Final = "/api/v1/"
AIGNE_V2: Final = "/api/v2/"
# What clients write, and the path that means; of a name that ends with `/` what begins with it.
_SPELLINGS: Final = (
    ("/v2/images", f"{AIGNE_V2}image/generations"),
    ("/v2/", AIGNE_V2),
    ("/api/v1/sdk/", AIGNE_V1),
)
GEMINI_VERSIONS: Final = ("v1", "v1beta")
_COLLECTION: Final = "models/"
# Operations of their own, which no id of a response can be.
_OPERATIONS: Final = ("input_tokens", "compact")
# What may be done with what a provider keeps, by what follows its id.
OF_RESPONSES: Final = {
    "": ("GET", "HEAD", "DELETE"),
    "/cancel": ("POST",),
    "/input_items": ("GET", "HEAD"),
}
CONTENT: Final = "/content"
OF_VIDEOS: Final = {"": ("GET", "HEAD", "DELETE"), CONTENT: ("GET", "HEAD")}


def canonical(path: str) -> str:
    """Return a path of AIGNE's in the spelling that is routed."""
    for written, means in _SPELLINGS:
        if path == written:
            return means
        if written.endswith("/") and path.startswith(written):
            return means + path.removeprefix(written)
    return path


def called(path: str, query: bytes = b"") -> Called | None:
    """Return what a decoded path calls, None when it is no method of Gemini's."""
    version, _, rest = path.removeprefix("/").partition("/")
    if version not in GEMINI_VERSIONS or not rest.startswith(_COLLECTION):
        return None
    name, _, method = rest.removeprefix(_COLLECTION).rpartition(":")
    if not name or method not in METHOD_NAMES:
        return None
    streams = parse_qs(query.decode("latin-1")).get("alt") == ["sse"]
    # Clients put the collection before whatever name they are given.
    return Called(version, name.removeprefix(_COLLECTION), method, streams)


def stored_response(method: str, path: str) -> Wanted | None:
    """Return what a decoded path asks of a stored response, None when it asks nothing of one."""
    wanted = _kept(method, path, RESPONSES, (RESPONSE, "response_id"), OF_RESPONSES)
    return None if wanted is None or wanted.named.id in _OPERATIONS else wanted


def stored_video(method: str, path: str) -> Wanted | None:
    """Return what a decoded path asks of a video, None when it asks nothing of one."""
    return _kept(method, path, VIDEOS, (VIDEO, "video_id"), OF_VIDEOS)


def _kept(
    method: str,
    path: str,
    base: str,
    named: tuple[str, str],
    methods: Mapping[str, tuple[str, ...]],
) -> Wanted | None:
    if not path.startswith(f"{base}/"):
        return None
    identifier, slash, rest = path.removeprefix(f"{base}/").partition("/")
    if not identifier or method not in methods.get(slash + rest, ()):
        return None
    kind, parameter = named
    # A HEAD is a GET to the provider: the body is left out on the way back.
    return Wanted(
        Followed(kind, identifier, parameter),
        "GET" if method == "HEAD" else method,
        f"{base.removeprefix('/v1')}/{identifier}{slash}{rest}",
    )
