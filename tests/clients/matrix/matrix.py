"""What every client of the matrix is asked to do, and how it tells what came of it.

A script beside this one runs in its client's own environment, knows no other package, and calls
`play` with a wire's name and the features its client has on it. A feature is a function of a key
and a model. What each returns:

    text        {"text", "usage": [tokens in, tokens out]}; `usage` where the client shows it
    stream      {"pieces": [text, …], "usage"}
    tools       {"calls": [[name, arguments], …], "text": what the model says once it knows}
    structured  the value
    image       {"text"}

What is given comes in the variable MATRIX as JSON: `url`, `key`, `poor_key` of somebody without
credit, `models` by provider, `refusing` ones, whose provider answers 400, `nobody`, which is no
model, `text` to say, `schema` of the structured answer, `png` in base64.
"""

import json
import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

GIVEN: dict[str, Any] = json.loads(os.environ["MATRIX"])
URL: str = GIVEN["url"]
TEXT: str = GIVEN["text"]
PNG: str = GIVEN["png"]
PNG_URL = f"data:image/png;base64,{PNG}"
WEATHER = "rain"
ANSWER_MAX = 200

Feature = Callable[[str, str], Any]


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    CALLS.append(["get_weather", {"city": city}])
    return WEATHER


# What the tool was called with since a feature began, for clients that call it by themselves.
CALLS: list[Any] = []


def play(version: str, wires: Mapping[str, Mapping[str, Feature]]) -> None:
    """Do everything with every provider's model, and write what came of it to `told.json`."""
    done = {wire: _of_wire(features) for wire, features in wires.items()}
    Path("told.json").write_text(json.dumps({"version": version, "wires": done}))


def _of_wire(features: Mapping[str, Feature]) -> Any:
    done: dict[str, Any] = {}
    key, ask = GIVEN["key"], features["text"]
    for provider, model in GIVEN["models"].items():
        done[provider] = {name: _outcome(feature, key, model) for name, feature in features.items()}
        done[provider]["refused"] = _outcome(ask, key, GIVEN["refusing"][provider])
    done["hub"] = {
        "unknown": _outcome(ask, key, GIVEN["nobody"]),
        "wrong key": _outcome(ask, "sk-wrong", GIVEN["models"]["openai"]),
        "no credit": _outcome(ask, GIVEN["poor_key"], GIVEN["models"]["openai"]),
    }
    if "stream" in features:
        model = GIVEN["models"]["openai"]
        done["hub"]["no credit, stream"] = _outcome(features["stream"], GIVEN["poor_key"], model)
    return done


def _outcome(feature: Feature, key: str, model: str) -> dict[str, Any]:
    CALLS.clear()
    try:
        return {"ok": feature(key, model)}
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer
        return {
            "raised": type(error).__name__,
            "status": _status(error),
            "message": str(error),
            "where": traceback.format_exc()[-2000:],
        }


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status that an error or one of its causes tells."""
    while error is not None:
        for name in ("status_code", "code", "http_status"):
            told = getattr(error, name, None)
            if isinstance(told, int):
                return told
        error = error.__cause__ or error.__context__
    return None
