"""The calls of the fault table: a hub with a provider for each cell, and what its callers see."""

import http.client
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.books import Books, Customer, nano
from tests.caller import PROMPT
from tests.faults.server import RIGHT, FaultServer
from tests.faults.server.right import CHAT, MESSAGES, PATHS, RESPONSES
from tests.faults.table import CELLS, Cell, End, Spare
from tests.hub import HubProcess
from tests.nursery import nursery

# Prices with odd last digits, so that nearly every charge needs its one rounding.
RATES = {"input": "0.150001", "output": "0.600007", "request": "0.001"}
# Whoever falls over pays the price of who served.
SPARE_RATES = {"input": "0.450007", "output": "1.800001", "request": "0.003"}
GRANTED = nano("1000")
# Pays for some hundred words of an answer that never ends.
LITTLE = nano("0.0033")
# Long for what works, on a machine with other work, and short for what does not.
LIMITS = {"upstream_first_byte_s": 5, "stream_idle_s": 5, "upstream_body_mib": 1}
WAIT_S = 120
AT_ONCE = 64
# A hub.yaml has at most 256 providers.
CELLS_A_HUB = 250
OUTPUT_LIMIT = 100
# When a stream's caller has this, the fault may go on.
ENOUGH = b"w2 "
KINDS = {CHAT: "openai", RESPONSES: "openai", MESSAGES: "anthropic"}
SPARE_KEYS = tuple(f"sk-right-{kind}" for kind in dict.fromkeys(KINDS.values()))
_ENDS = frozenset({"response.completed", "response.incomplete", "message_stop"})
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Told:
    """What came back for one call, and what stands in the books then."""

    cell: Cell
    status: int
    headers: Mapping[str, str]
    body: bytes
    call: Mapping[str, Any]

    @property
    def is_stream(self) -> bool:
        return self.headers["content-type"].startswith("text/event-stream")

    @property
    def events(self) -> list[Any]:
        """The JSON of a stream's events in order, however its lines end."""
        found = []
        for frame in _LINE_END.sub(b"\n", self.body).split(b"\n\n"):
            data = [line[5:].strip() for line in frame.split(b"\n") if line.startswith(b"data:")]
            try:
                found.append(json.loads(b"\n".join(data)))
            except (ValueError, RecursionError):
                continue
        return found

    @property
    def value(self) -> dict[str, Any]:
        """The body, or the last event of a stream."""
        told: dict[str, Any] = self.events[-1] if self.is_stream else json.loads(self.body)
        return told

    @property
    def ends(self) -> int:
        """How often a stream said that it ends well."""
        if self.cell.wire == CHAT:
            return self.body.count(b"[DONE]")
        return sum(1 for event in self.events if event.get("type") in _ENDS)

    @property
    def text(self) -> str:
        if not self.is_stream:
            return _text_of(self.cell.wire, self.value)
        return "".join(_piece(self.cell.wire, event) for event in self.events)

    @property
    def credits(self) -> str | None:
        """The last usage of a stream says what the call cost."""
        found = [usage["credits"] for usage in map(_usage, self.events) if "credits" in usage]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class House:
    """A hub with a provider, a credential and a model for each of its cells."""

    cells: Sequence[Cell]
    hub: HubProcess
    books: Books
    customer: Customer
    poor: Mapping[str, Customer]

    def payer(self, cell: Cell) -> Customer:
        return self.poor.get(cell.name, self.customer)


class Site:
    """All cells, in as many hubs as it takes."""

    def __init__(self, faults: FaultServer, houses: Sequence[House]) -> None:
        self.faults = faults
        self.houses = houses
        self._by_cell = {cell.name: house for house in houses for cell in house.cells}

    def house(self, cell: Cell) -> House:
        return self._by_cell[cell.name]

    def warm_up(self) -> None:
        """Make the calls that some faults need before the one that counts."""
        cells = [cell for cell in CELLS if cell.row.called_before]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for status, _, body in pool.map(self._ask, cells):
                assert status == 200, body
        for scenario in ("F05-moved", "F05-gone"):
            self.faults.names.move(scenario)

    def told(self) -> dict[str, Told]:
        """Make all calls, those that take long first, and return what came of them by cell."""
        cells = sorted(CELLS, key=lambda cell: (not cell.row.is_slow, not cell.row.called_before))
        slow = sum(cell.row.is_slow for cell in cells)
        with ThreadPoolExecutor(AT_ONCE + slow) as pool:
            answers = list(pool.map(self._ask, cells))
        return {
            cell.name: Told(cell, *answer, self._call(cell, answer[1]))
            for cell, answer in zip(cells, answers, strict=True)
        }

    def _call(self, cell: Cell, headers: Mapping[str, str]) -> Mapping[str, Any]:
        return self.house(cell).books.call(headers["x-aigne-hub-call-id"])

    def _ask(self, cell: Cell) -> tuple[int, Mapping[str, str], bytes]:
        house = self.house(cell)
        connection = http.client.HTTPConnection("127.0.0.1", house.hub.port, timeout=WAIT_S)
        headers = {
            "Authorization": f"Bearer {house.payer(cell).key}",
            "Content-Type": "application/json",
        }
        try:
            connection.request("POST", f"/v1{PATHS[cell.wire]}", _body(cell), headers)
            answer = connection.getresponse()
            body = self._read(answer, cell)
        finally:
            connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def _read(self, answer: http.client.HTTPResponse, cell: Cell) -> bytes:
        body = b""
        while data := answer.read1():
            body += data
            if ENOUGH in body:
                self.faults.seen(cell.key)
        return body


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        faults = stack.enter_context(FaultServer(folder))
        parts = [CELLS[n : n + CELLS_A_HUB] for n in range(0, len(CELLS), CELLS_A_HUB)]
        hubs = []
        for number, cells in enumerate(parts):
            where = folder / f"hub{number}"
            hub = HubProcess(where, {}, start=False, environ=faults.environ)
            # Each takes its own declarations in, and all of them at once.
            hub.configure(config(faults, cells))
            hubs.append(stack.enter_context(hub))
        nursery()  # one for all of them
        with ThreadPoolExecutor(len(hubs)) as pool:
            list(pool.map(HubProcess.start, hubs))
        houses = []
        for hub, cells in zip(hubs, parts, strict=True):
            books = stack.enter_context(Books(hub))
            poor = [cell.name for cell in cells if cell.expected.end is End.CUT_OFF]
            rich = books.customer(GRANTED)
            houses.append(
                House(cells, hub, books, rich, {name: books.customer(LITTLE) for name in poor})
            )
        yield Site(faults, houses)


def config(faults: FaultServer, cells: Sequence[Cell]) -> dict[str, Any]:
    """Return a hub.yaml in which no cell depends on what happened to another."""
    providers = [
        _provider(f"right-{kind}", kind, faults.base_url(RIGHT), f"sk-right-{kind}")
        for kind in dict.fromkeys(KINDS.values())
    ]
    spares = [f"right-{kind}/model" for kind in dict.fromkeys(KINDS.values())]
    models = [{"model": spare, "type": "chat", "rates": SPARE_RATES} for spare in spares]
    aliases = {}
    for cell in cells:
        kind = KINDS[cell.wire]
        where = faults.base_url(cell.row.scenario)
        providers.append(_provider(cell.name, kind, where, cell.key))
        models.append({"model": f"{cell.name}/model", "type": "chat", "rates": RATES})
        if cell.spare is not Spare.NONE:
            spare = [f"right-{_spare_kind(cell)}/model"]
            aliases[f"alias-{cell.name}"] = {"model": f"{cell.name}/model", "fallbacks": spare}
    return {
        "providers": providers,
        "models": models,
        "aliases": aliases,
        "billing": {"enabled": True},
        "limits": LIMITS,
    }


def _spare_kind(cell: Cell) -> str:
    kind = KINDS[cell.wire]
    return kind if cell.spare is Spare.SAME else next(k for k in KINDS.values() if k != kind)


def _provider(name: str, kind: str, base_url: str, key: str) -> dict[str, Any]:
    credentials = [{"name": "main", "api_key": key}]
    return {"name": name, "kind": kind, "base_url": base_url, "credentials": credentials}


def _body(cell: Cell) -> bytes:
    """Return a request that first says whether it is for a stream."""
    model = f"alias-{cell.name}" if cell.spare is not Spare.NONE else f"{cell.name}/model"
    # Members that the wire does not know are the provider's affair.
    padding = {"metadata": {"padding": "p" * cell.row.body_bytes}} if cell.row.body_bytes else {}
    body: dict[str, Any] = {"stream": cell.stream, "model": model}
    if cell.wire == RESPONSES:
        body |= {"input": PROMPT, "max_output_tokens": OUTPUT_LIMIT}
    else:
        body |= {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": OUTPUT_LIMIT}
    if cell.wire == CHAT and cell.stream:
        body["stream_options"] = {"include_usage": True}
    return json.dumps({**body, **padding}).encode()


def _text_of(wire: str, answer: dict[str, Any]) -> str:
    if wire == CHAT:
        return str(answer["choices"][0]["message"]["content"])
    if wire == RESPONSES:
        return str(answer["output"][0]["content"][0]["text"])
    return str(answer["content"][0]["text"])


def _piece(wire: str, event: Any) -> str:
    """Return what an event says, in words or in a tool's arguments."""
    if wire == CHAT:
        choices = event.get("choices") or [{}]
        delta = choices[0].get("delta") or {}
        (call,) = delta.get("tool_calls") or [{"function": {"arguments": ""}}]
        return (delta.get("content") or "") + str(call["function"]["arguments"])
    delta = event.get("delta")
    if isinstance(delta, str):
        return delta
    return "" if delta is None else str(delta.get("text") or delta.get("partial_json") or "")


def _usage(event: Any) -> dict[str, Any]:
    for place in (event, event.get("response"), event.get("message")):
        if isinstance(place, dict) and isinstance(place.get("usage"), dict):
            usage: dict[str, Any] = place["usage"]
            return usage
    return {}
