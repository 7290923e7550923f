"""Ask a provider for its models, and say what is wrong when it does not answer them."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import monotonic

from aigne_hub.at_first_use import at_first_use
from aigne_hub.bootstrap import LOCAL_HOSTS
from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.clock import SystemClock
from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.hub_file import DEMO
from aigne_hub.providers.profiles import Profile, profile_of
from aigne_hub.transport import (
    Answer,
    Client,
    ConnectFailed,
    ConnectTimeout,
    Origin,
    Timeouts,
    TransportError,
    request_head,
)

TIMEOUTS = Timeouts(connect=5.0, first_byte=15.0, idle=10.0, total=20.0)
BODY_MAX = 8 * 1024 * 1024  # a large aggregator lists thousands of models in one answer
PROBES_AT_ONCE = 8

_REFUSALS: Mapping[int, tuple[str, str]] = {
    401: (
        "refused the key (401): it is wrong, expired or revoked",
        "make a new key at the vendor and set it as this credential's api_key",
    ),
    402: ("has no credit left for this key (402)", "top up the account at the vendor"),
    403: (
        "knows the key but forbids the call (403)",
        "give the key the permission to list models, or see the vendor's rules for this region",
    ),
    404: (
        "has no model list at this address (404)",
        "correct base_url: it usually ends with /v1, and nothing comes after that",
    ),
    429: (
        "limits the rate of this key just now (429)",
        "try again later, or raise the limit at the vendor",
    ),
}
# What vendors say to a key that is right and may not do this, or not here.
_LIMITED = re.compile(rb"(?i)scope|permission|region|country|territory|not (?:allowed|supported)")
_NOTHING_TO_ASK = (
    "was not asked: it has no list of models, so only a call shows whether the key works"
)
_NO_ACCOUNT = (
    "see that the service account and its key exist, and that this machine's clock is right"
)
_UNREACHABLE = "see that base_url is right, and that the server runs and can be reached from here"


@dataclass(frozen=True, slots=True)
class Target:
    """A provider with one of its credentials; None for a provider that needs no key."""

    provider: Provider
    credential: Credential | None


@dataclass(frozen=True, slots=True)
class Probe:
    """What one try showed. `server_us` is the instant in the answer's Date header.

    `fault` is what the answer says of the credential, None when that is nothing. `asked` is
    False when nothing could be tried.
    """

    provider: str
    credential: str | None
    ok: bool
    detail: str
    fix: str = ""
    status: int | None = None
    latency_ms: float | None = None
    server_us: int | None = field(default=None, repr=False)
    fault: Fault | None = None
    asked: bool = True


def targets_of(provider: Provider) -> list[Target]:
    return [Target(provider, found) for found in provider.credentials] or [Target(provider, None)]


def probe(
    targets: Iterable[Target], environ: Mapping[str, str], *, model: str | None = None
) -> list[Probe]:
    """Try every target at once, a few at a time; `model` must be among what they offer."""
    return asyncio.run(_probe_all(list(targets), environ, model))


async def _probe_all(
    targets: list[Target], environ: Mapping[str, str], model: str | None
) -> list[Probe]:
    client = open_client(environ.get("AIGNE_HUB_UPSTREAM_PROXY") or None)
    places = asyncio.Semaphore(PROBES_AT_ONCE)

    async def one(target: Target) -> Probe:
        async with places:
            return await ask(client, target, model)

    try:
        return await asyncio.gather(*map(one, targets))
    finally:
        await client.close()


def open_client(proxy: str | None) -> Client:
    """Return what providers are asked with; `proxy` is an http:// URL."""
    return Client(
        timeouts=TIMEOUTS,
        body_max=BODY_MAX,
        connections_max=PROBES_AT_ONCE,
        proxy=proxy,
        direct=LOCAL_HOSTS,
    )


async def ask(client: Client, target: Target, model: str | None = None) -> Probe:
    """Try one target; what goes wrong is in the answer."""
    provider, credential = target.provider, target.credential
    name = credential.name if credential else None
    if provider.kind == DEMO:
        return Probe(
            provider.name, name, ok=True, detail="is built in", latency_ms=0.0, asked=False
        )
    began = monotonic()
    try:
        profile = profile_of(provider.kind, provider.base_url)
        path = profile.models_path
        if path is None:
            return await _without_a_list(client, target)
        answer, body = await _list_models(client, profile, path, target)
    except ValueError as error:
        return Probe(provider.name, name, ok=False, detail=str(error), fix="correct base_url")
    except TransportError as error:
        reached = not isinstance(error, ConnectFailed | ConnectTimeout)
        detail = f"answers, but not as it should: {error}" if reached else f"no answer: {error}"
        return Probe(provider.name, name, ok=False, detail=detail, fix=_UNREACHABLE)
    detail, fix = _verdict(answer.status, body, model)
    return Probe(
        provider.name,
        name,
        ok=not fix,
        detail=detail,
        fix=fix,
        status=answer.status,
        latency_ms=round((monotonic() - began) * 1_000, 1),
        server_us=_date(answer),
        fault=fault_in(answer.status, body),
    )


async def _without_a_list(client: Client, target: Target) -> Probe:
    """Try what can be tried without a call: whether a service account gets a token."""
    provider, credential = target.provider, target.credential
    name = credential.name if credential else None
    asked = False
    try:
        if provider.kind == "vertex" and credential is not None:
            asked = await _account()(client, provider, credential.secret)
    except ValueError as error:
        return Probe(provider.name, name, ok=False, detail=f"its key {error}", fix=_NO_ACCOUNT)
    except UpstreamError as error:
        return Probe(provider.name, name, ok=False, detail=error.message, fix=_NO_ACCOUNT)
    detail = "gives a token for its service account" if asked else _NOTHING_TO_ASK
    return Probe(provider.name, name, ok=True, detail=detail, asked=asked)


@at_first_use
def _account() -> Callable[[Client, Provider, str], Awaitable[bool]]:
    from aigne_hub.providers.service_account import ServiceAccount  # noqa: PLC0415 - at first use
    from aigne_hub.providers.tokens import Tokens  # noqa: PLC0415 - as above
    from aigne_hub.providers.vertex import is_account  # noqa: PLC0415 - as above

    async def gives_a_token(client: Client, provider: Provider, secret: str) -> bool:
        """Tell whether a key is an account and not a token; raises for one that gives none."""
        if not is_account(secret):
            return False
        account = ServiceAccount.parse(secret)
        await Tokens(client, account, SystemClock(), trusted=provider.trusted).current()
        return True

    return gives_a_token


async def _list_models(
    client: Client, profile: Profile, path: str, target: Target
) -> tuple[Answer, bytes]:
    provider, credential = target.provider, target.credential
    spoken = profile.spoken()
    origin = Origin.parse(profile.address(provider.base_url), trusted=provider.trusted)
    secret = credential.secret if credential is not None else ""
    headers = [
        ("accept", "application/json"),
        *spoken.default_headers,
        *spoken.authorisation(secret),
    ]
    answer = await client.send(origin, request_head("GET", origin, path, headers))
    return answer, await answer.read()


def fault_in(status: int, body: bytes) -> Fault | None:
    """Return what an answer to a free request says of the credential, None when nothing.

    A key that may make calls but not list models is told so, and so is one that is used in
    the wrong country: that is no fault of it.
    """
    if status == 402:
        return Fault.EXHAUSTED
    is_refused = status in (401, 403) or _is_googles_refusal(status, body)
    return Fault.REFUSED if is_refused and not _LIMITED.search(body) else None


def _is_googles_refusal(status: int, body: bytes) -> bool:
    return status == 400 and b"API_KEY_INVALID" in body


def _verdict(status: int, body: bytes, model: str | None) -> tuple[str, str]:
    """Return what the answer means and the remedy, which is empty when all is well."""
    if _is_googles_refusal(status, body):
        status = 401
    if status in _REFUSALS:
        return _REFUSALS[status]
    if 300 <= status < 400:
        return f"redirects ({status})", "set base_url to where it leads, often https:// or a /v1"
    if status != 200:
        return f"failed ({status})", "the fault is the provider's: try again later"
    offered = _model_ids(body)
    if offered is None:
        return (
            "answered something that is no list of models",
            "correct base_url: this looks like a web page or another service; is /v1 missing?",
        )
    if model is not None and model not in offered:
        return (
            f"does not offer {model[:80]!r} among its {len(offered)} models",
            "see the vendor's spelling, and whether this key may use it",
        )
    return f"answers with {len(offered)} models", ""


def _model_ids(body: bytes) -> set[str] | None:
    """Return the ids in a list of models, OpenAI's or Google's, None for anything else."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    listed = answer.get("data") if isinstance(answer, dict) else None
    named = answer.get("models") if isinstance(answer, dict) else None
    if isinstance(named, list):
        names = [item["name"] for item in named if isinstance(item, dict) and "name" in item]
        return {str(name).removeprefix("models/") for name in names}
    if isinstance(answer, list):  # Together's
        listed = answer
    if not isinstance(listed, list):
        return None
    return {str(item["id"]) for item in listed if isinstance(item, dict) and "id" in item}


def _date(answer: Answer) -> int | None:
    """Return the Date header as Unix microseconds (RFC 9110, section 6.6.1)."""
    text = answer.header(b"date")
    if text is None:
        return None
    try:
        return int(parsedate_to_datetime(text.decode("latin-1")).timestamp()) * 1_000_000
    except ValueError:
        return None
