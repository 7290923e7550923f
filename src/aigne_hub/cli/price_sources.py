"""Price lists for the importers: an installed package, a file, an address."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from aigne_hub.bootstrap import LOCAL_HOSTS
from aigne_hub.catalog import litellm_prices, openrouter_prices
from aigne_hub.catalog.genai_prices import GenaiPrices
from aigne_hub.catalog.litellm_prices import LiteLLMPrices
from aigne_hub.catalog.openrouter_prices import OpenRouterPrices
from aigne_hub.catalog.price_list import PriceList, PricesRefused
from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.ports import Clock
from aigne_hub.transport import Client, Origin, Timeouts, TransportError, request_head

OPENROUTER_URL = "https://openrouter.ai/api/v1/models"
TIMEOUTS = Timeouts(connect=10.0, first_byte=30.0, idle=15.0, total=120.0)


class Source(StrEnum):
    GENAI_PRICES = "genai-prices"
    LITELLM = "litellm"
    OPENROUTER = "openrouter"


def load(source: Source, where: str | None, clock: Clock, environ: Mapping[str, str]) -> PriceList:
    """Return a source's prices. Raises InvalidRequest for what is no price list."""
    now = datetime.fromtimestamp(clock.now_us() // 1_000_000, UTC)
    if source is Source.GENAI_PRICES:
        if where is not None:
            raise InvalidRequest("genai-prices is a package: it takes no file.", param="FILE")
        return installed(now)
    try:
        if source is Source.OPENROUTER:
            where = where or OPENROUTER_URL
            if where.startswith(("http://", "https://")):
                raw = asyncio.run(fetch(where, environ))
            else:
                raw = _read(Path(where), openrouter_prices.BYTES_MAX)
            return OpenRouterPrices(raw, f"{now:%Y-%m-%d}")
        if where is None:
            raise InvalidRequest(
                "Name the file: rates import --from litellm model_prices_and_context_window.json",
                param="FILE",
            )
        return LiteLLMPrices(_read(Path(where), litellm_prices.BYTES_MAX))
    except PricesRefused as error:
        raise InvalidRequest(
            f"{where} {error}. Nothing was imported: give a whole and sound price list.",
            param="FILE",
        ) from None


def installed(at: datetime) -> GenaiPrices:
    """Return the prices of the installed package genai-prices, in force at an instant."""
    if find_spec("genai_prices") is None:
        raise InvalidRequest(
            "The package genai-prices is not installed. Install it with: "
            "pip install 'aigne-hub[prices]'"
        )
    from genai_prices import __version__, data  # noqa: PLC0415 - an extra, and 1.6 MB of data

    return GenaiPrices(data.providers, __version__, at)


async def fetch(url: str, environ: Mapping[str, str], *, trusted: bool = False) -> bytes:
    """Return what an address answers. Unless `trusted`, only public addresses are asked.

    Raises InvalidRequest for an address that may not be asked, UpstreamError for what fails.
    """
    try:
        origin = Origin.parse(url, trusted=trusted)
    except ValueError as error:
        raise InvalidRequest(f"{error}.", param="URL") from None
    client = Client(
        timeouts=TIMEOUTS,
        body_max=openrouter_prices.BYTES_MAX,
        connections_max=1,
        proxy=environ.get("AIGNE_HUB_UPSTREAM_PROXY") or None,
        direct=LOCAL_HOSTS,
    )
    try:
        whole = replace(origin, base_path="")
        head = request_head("GET", whole, origin.base_path or "/", [("accept", "application/json")])
        answer = await client.send(origin, head)
        body = await answer.read()
    except TransportError as error:
        raise UpstreamError(f"{origin.authority} did not answer: {error}.") from None
    finally:
        await client.close()
    if answer.status != 200:
        raise UpstreamError(f"{origin.authority} answered {answer.status}, not 200.")
    return body


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", param="FILE") from None
