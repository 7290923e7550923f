"""What a model's name asks the upstream to do.

A name is `gpt-`, `claude-` on Anthropic's wire or `gemini-` on Google's, and directives joined by
`+`, each with `:`-separated numbers, so that it passes through a gateway untouched:
`gpt-slow:50+long:400+cut:7`.

    slow:MS        wait MS milliseconds before every content chunk (a unary answer: once)
    long:N         answer with N words instead of the echo
    tokens:IN:OUT  report exactly IN and OUT; the answer has OUT words, whatever max_tokens says
    cached:N       N of the input tokens were read from the cache
    reasoning:N    N of the output tokens were reasoning
    lies:N         report the N-th usage of `lies.LIES`, none of which can be true
    beside:N       N tokens of reasoning that completion_tokens have not
    newfield:N     usage has a field that nobody has heard of, with N
    cut:N          reset the connection after N chunks (a unary answer: in its middle)
    fin:N          close it in order instead, without [DONE] or the body's rest
    stall:N        fall silent after N chunks (a unary answer: in its middle)
    silent         accept the request and never answer
    error200       status 200 with an error object
    errorevent:N   an error event after N chunks (default 0); a unary answer is error200
    badjson        JSON that ends too early
    nousage        no usage anywhere
    hang           fall silent before [DONE]: content and usage were sent (streams only)
    nodone         close in order before [DONE] instead
    html502        a proxy's HTML page with status 502
    echo           errors repeat the key and the last message they answer, as some vendors do
    400..599       that status with an error object; 429 carries retry-after: 1

Anthropic's and Google's wires alone:

    thinking:N     think N words and sign them before the answer
    parallel       call every tool of the request, not the first alone
    searches:N     N searches by the provider

Google's alone:

    blocked        block the prompt: an answer without a candidate
    unsafe         stop the answer for its safety
    badkey         status 400 for a key that is not valid, as Google answers one
    bare           end without the blank line behind the last event

Anthropic's alone:

    written:N:M    N more tokens went into the cache, M of them for an hour (default 0)
    pings:N        N pings before the content

Any other name is an ordinary model.
"""

from dataclasses import dataclass, replace
from typing import Any

from tests.upstream.lies import LIES

PREFIXES = ("gpt-", "claude-", "gemini-")
MAX_WORDS = 1_000_000
MAX_DELAY_MS = 60_000


class BadScenarioError(ValueError):
    """The name starts with a known directive and then makes no sense."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """How one call is answered; the default is an ordinary model."""

    delay_ms: int = 0
    words: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    thinking_words: int = 0
    written_tokens: int = 0
    written_1h_tokens: int = 0
    searches: int = 0
    pings: int = 1
    lie: int | None = None
    reasoning_beside: int = 0
    new_tokens: int | None = None
    cut_after: int | None = None
    fin_after: int | None = None
    stall_after: int | None = None
    error_after: int | None = None
    status: int | None = None
    silent: bool = False
    error_in_200: bool = False
    bad_json: bool = False
    usage: bool = True
    hang: bool = False
    done: bool = True
    html: bool = False
    echo: bool = False
    parallel: bool = False
    blocked: bool = False
    unsafe: bool = False
    bad_key: bool = False
    bare: bool = False

    @property
    def breaks_after(self) -> int | None:
        """Return after how many chunks the answer stops being a success, or None."""
        points = (self.cut_after, self.fin_after, self.stall_after, self.error_after)
        return min((point for point in points if point is not None), default=None)


FLAGS: dict[str, dict[str, bool]] = {
    "silent": {"silent": True},
    "error200": {"error_in_200": True},
    "badjson": {"bad_json": True},
    "nousage": {"usage": False},
    "hang": {"hang": True},
    "nodone": {"done": False},
    "html502": {"html": True},
    "echo": {"echo": True},
    "parallel": {"parallel": True},
    "blocked": {"blocked": True},
    "unsafe": {"unsafe": True},
    "badkey": {"bad_key": True},
    "bare": {"bare": True},
}
# Directive to (fields, how many numbers must be given, the largest number).
NUMBERED: dict[str, tuple[tuple[str, ...], int, int]] = {
    "slow": (("delay_ms",), 1, MAX_DELAY_MS),
    "long": (("words",), 1, MAX_WORDS),
    "tokens": (("input_tokens", "output_tokens"), 2, MAX_WORDS),
    "cached": (("cached_tokens",), 1, MAX_WORDS),
    "reasoning": (("reasoning_tokens",), 1, MAX_WORDS),
    "thinking": (("thinking_words",), 1, MAX_WORDS),
    "written": (("written_tokens", "written_1h_tokens"), 1, MAX_WORDS),
    "searches": (("searches",), 1, MAX_WORDS),
    "pings": (("pings",), 1, MAX_WORDS),
    "lies": (("lie",), 1, len(LIES) - 1),
    "beside": (("reasoning_beside",), 1, MAX_WORDS),
    "newfield": (("new_tokens",), 1, MAX_WORDS),
    "cut": (("cut_after",), 1, MAX_WORDS),
    "fin": (("fin_after",), 1, MAX_WORDS),
    "stall": (("stall_after",), 1, MAX_WORDS),
    "errorevent": (("error_after",), 0, MAX_WORDS),
}


def parse(model: str) -> Scenario:
    """Return the scenario a model's name asks for."""
    scenario = Scenario()
    prefix = next((prefix for prefix in PREFIXES if model.startswith(prefix)), None)
    directives = [] if prefix is None else model.removeprefix(prefix).split("+")
    if not directives or not _known(directives[0].partition(":")[0]):
        return scenario
    for directive in directives:
        scenario = replace(scenario, **_fields(directive))
    return scenario


def _known(name: str) -> bool:
    return name in FLAGS or name in NUMBERED or _is_status(name)


def _is_status(name: str) -> bool:
    return len(name) == 3 and name.isascii() and name.isdigit() and name[0] in "45"


def _fields(directive: str) -> dict[str, Any]:
    name, *numbers = directive.split(":")
    if _is_status(name) and not numbers:
        return {"status": int(name)}
    if name in FLAGS and not numbers:
        return dict(FLAGS[name])
    if name not in NUMBERED:
        raise BadScenarioError(f"no scenario reads {directive!r}")
    fields, least, largest = NUMBERED[name]
    if not least <= len(numbers) <= len(fields):
        raise BadScenarioError(f"{name} takes {len(fields)} numbers, not {directive!r}")
    given = [int(number) if number.isascii() and number.isdigit() else -1 for number in numbers]
    values = given or [0]
    if not all(0 <= value <= largest for value in values):
        raise BadScenarioError(f"{directive!r}: each number must be 0 to {largest}")
    return dict(zip(fields, values, strict=False))
