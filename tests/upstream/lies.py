"""Usage objects that no upstream can mean, some of which would be a gift if they were believed."""

from typing import Any

LIES: tuple[Any, ...] = (
    {"prompt_tokens": -5, "completion_tokens": -900, "total_tokens": -905},
    {"prompt_tokens": 5, "completion_tokens": -900, "total_tokens": -895},
    {"prompt_tokens": -9_223_372_036_854_775_808, "completion_tokens": 3},
    {"prompt_tokens": 10**30, "completion_tokens": 10**30, "total_tokens": 2 * 10**30},
    {"prompt_tokens": 5, "completion_tokens": 9_223_372_036_854_775_807},
    {"prompt_tokens": 5, "completion_tokens": 2_000_000_000},
    {"prompt_tokens": 1.5, "completion_tokens": 2.5, "total_tokens": 4.0},
    {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 100_000},
    },
    {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": -100_000},
    },
    {"prompt_tokens": [5], "completion_tokens": {"count": 3}},
    {},
    [],
    "five and three",
    True,
)
