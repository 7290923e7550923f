"""What a provider's figures mean, and how they become disjoint buckets.

Vendors agree on what they count and differ in what is inside what. A role says both: the
prompt with or without what came from a cache, the output with or without its reasoning.
"""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from aigne_hub.domain.usage import AbsurdUsage, Usage


class Role(StrEnum):
    """What one figure counts. Tokens, where nothing else is said."""

    # Read: PROMPT has in it what came from or went into a prompt cache, INPUT has not.
    PROMPT = "prompt"
    INPUT = "input"
    # Read beside them: results of the provider's own tools, citations, a second model.
    INPUT_MORE = "input beside"
    CACHE_READ = "cache read"
    # All that was written to a cache, and its parts by how long it is kept.
    CACHE_WRITE = "cache write"
    CACHE_WRITE_SHORT = "cache write, minutes"
    CACHE_WRITE_1H = "cache write, an hour or more"
    AUDIO_INPUT = "audio input"
    IMAGE_INPUT = "image input"
    CACHED_AUDIO = "audio from a cache"
    CACHED_IMAGE = "image from a cache"
    # Generated: REASONING is inside OUTPUT, THOUGHTS and OUTPUT_MORE are beside it.
    OUTPUT = "output"
    OUTPUT_MORE = "output beside"
    REASONING = "reasoning"
    THOUGHTS = "reasoning beside the output"
    AUDIO_OUTPUT = "audio output"
    IMAGE_OUTPUT = "image output"
    # Not tokens: counts, and seconds.
    IMAGES = "images"
    SECONDS = "seconds"
    SEARCHES = "searches"
    # What the provider says its figures add up to: priced nowhere, used to understand them.
    TOTAL = "total"

    @property
    def is_unit(self) -> bool:
        return self in _UNITS


_UNITS = frozenset({Role.IMAGES, Role.SECONDS, Role.SEARCHES})

Sums = Mapping[Role, int]


class _Reading(NamedTuple):
    """One way to understand the figures: `cached` and `reasoning` beside what they refine."""

    cache_beside: bool
    reasoning_beside: bool


def usage_of(
    sums: Sums, service_tier: str, *, hidden_reasoning: bool = False
) -> tuple[Usage, bool]:
    """Return the buckets, and whether they explain the total.

    `hidden_reasoning` takes what the total has beyond the other figures for reasoning. Raises
    AbsurdUsage for figures that cannot all be true.
    """
    reading, is_explained = _understood(sums)
    if hidden_reasoning and not is_explained:
        excess = sums[Role.TOTAL] - sums.get(Role.PROMPT, 0) - sums.get(Role.OUTPUT, 0)
        if excess > 0:
            return usage_of({**sums, Role.THOUGHTS: excess}, service_tier)

    def figure(role: Role) -> int:
        return sums.get(role, 0)

    read = figure(Role.CACHE_READ)
    written = _written(sums)
    fresh = figure(Role.INPUT) + figure(Role.PROMPT)
    if not reading.cache_beside:
        fresh -= read + written
    fresh += figure(Role.INPUT_MORE)
    if fresh < 0:
        raise AbsurdUsage("more came from and went into the cache than was read")
    audio, image = _refined_input(sums, fresh, fresh + read + written)
    thoughts = figure(Role.THOUGHTS)
    reasoning = figure(Role.REASONING)
    beside = figure(Role.OUTPUT_MORE) + thoughts + (reasoning if reading.reasoning_beside else 0)
    return Usage(
        input_tokens=fresh,
        output_tokens=figure(Role.OUTPUT) + beside,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=reasoning + thoughts,
        cache_write_1h_tokens=figure(Role.CACHE_WRITE_1H),
        audio_input_tokens=audio,
        audio_output_tokens=figure(Role.AUDIO_OUTPUT),
        image_input_tokens=image,
        image_output_tokens=figure(Role.IMAGE_OUTPUT),
        images=figure(Role.IMAGES),
        duration_ms=figure(Role.SECONDS),
        searches=figure(Role.SEARCHES),
        service_tier=service_tier,
    ).checked(), is_explained


def _written(sums: Sums) -> int:
    parts = sums.get(Role.CACHE_WRITE_SHORT, 0) + sums.get(Role.CACHE_WRITE_1H, 0)
    return sums.get(Role.CACHE_WRITE, 0) or parts


def _understood(sums: Sums) -> tuple[_Reading, bool]:
    """Choose what is inside what: as usual, unless only another way gives the stated total.

    xAI, and Gemini behind an OpenAI-compatible address, count reasoning beside
    completion_tokens, or not, by model and month; proxies for Anthropic count cached tokens
    beside prompt_tokens. The total tells.
    """
    prompt, output = sums.get(Role.PROMPT), sums.get(Role.OUTPUT, 0)
    cached = sums.get(Role.CACHE_READ, 0) + _written(sums)
    usual = _Reading(cache_beside=prompt is None, reasoning_beside=False)
    total = sums.get(Role.TOTAL)
    if not total:
        return usual, True
    reasoning = sums.get(Role.REASONING, 0)
    # Whether a total has these in it differs by vendor and means nothing.
    beside = [sums.get(role, 0) for role in (Role.THOUGHTS, Role.INPUT_MORE, Role.OUTPUT_MORE)]
    extras = {sum(chosen) for chosen in product(*((0, amount) for amount in beside))}
    core = (prompt or 0) + sums.get(Role.INPUT, 0) + output
    if prompt is None:
        extras |= {extra + cached for extra in extras}
    ways = [usual, _Reading(usual.cache_beside, reasoning_beside=True)]
    if prompt is not None:
        ways += [_Reading(cache_beside=True, reasoning_beside=way) for way in (False, True)]
    for way in ways:
        more = reasoning if way.reasoning_beside else 0
        more += cached if way.cache_beside and prompt is not None else 0
        if total - core - more in extras:
            return way, True
    return usual, False


def _refined_input(sums: Sums, fresh: int, everything: int) -> tuple[int, int]:
    """Return the audio and image tokens among those that no cache had.

    A provider that does not say which of the two its cache had is taken to have cached text:
    media are fresh as far as there is fresh input.
    """
    audio = sums.get(Role.AUDIO_INPUT, 0)
    image = sums.get(Role.IMAGE_INPUT, 0)
    if audio + image > everything:
        raise AbsurdUsage("its media are more than all that was read")
    audio -= sums.get(Role.CACHED_AUDIO, 0)
    image -= sums.get(Role.CACHED_IMAGE, 0)
    if audio < 0 or image < 0:
        raise AbsurdUsage("more of its media came from the cache than was read")
    audio = min(audio, fresh)
    return audio, min(image, fresh - audio)
