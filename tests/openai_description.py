"""OpenAI's published OpenAPI description: whether JSON keeps to it, and what is not in it.

Its schemas are open, so that a member nobody described is no violation: `unknown` finds those.
It is OpenAPI 3.1 in name, but says `nullable` as 3.0 did.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

# What every instance of this project gets beside its clone.
FILE = Path(__file__).resolve().parents[2] / "shared" / "data" / "openai-openapi.json"
_ROOT = "urn:openai"
_WITHIN = ("allOf", "anyOf", "oneOf")
Json = dict[str, Any]


@cache
def _document() -> Json:
    document: Json = json.loads(FILE.read_text(encoding="utf-8"))
    schemas: Json = {"components": {"schemas": document["components"]["schemas"]}}
    _allow_null(schemas)
    return schemas


def _allow_null(schema: Any) -> None:
    """Say in JSON Schema's words what `nullable` says."""
    if isinstance(schema, list):
        for one in schema:
            _allow_null(one)
    if not isinstance(schema, dict):
        return
    for one in list(schema.values()):
        _allow_null(one)
    if schema.pop("nullable", None) is True:
        kept = dict(schema)
        schema.clear()
        schema["anyOf"] = [kept, {"type": "null"}]


@cache
def _registry() -> Any:
    return Registry().with_resource(_ROOT, DRAFT202012.create_resource(_document()))


@cache
def _validator(name: str) -> Draft202012Validator:
    at = {"$ref": f"{_ROOT}#/components/schemas/{name}"}
    return Draft202012Validator(at, registry=_registry())


def violations(name: str, value: Any) -> list[str]:
    """Return where a value breaks the schema of a name, and how."""
    found = map(_deepest, _validator(name).iter_errors(value))
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


def _deepest(error: Any) -> Any:
    """Return what is wrong with the alternative that fits best."""
    while error.context:
        error = max(error.context, key=lambda one: len(one.absolute_path))
    return error


def unknown(name: str, value: Any) -> set[str]:
    """Return where a value has members that no alternative of its schema describes."""
    return set(_unknown([_document()["components"]["schemas"][name]], value, ""))


def _unknown(schemas: list[Json], value: Any, at: str) -> Iterator[str]:
    every = [one for schema in schemas for one in _alternatives(schema)]
    if isinstance(value, list):
        items = [one["items"] for one in every if isinstance(one.get("items"), dict)]
        for one in value:
            yield from _unknown(items, one, f"{at}[]") if items else ()
    if not isinstance(value, dict):
        return
    described = [one for one in every if "properties" in one or "additionalProperties" in one]
    if not described:
        return  # of any kind
    for member, inner in value.items():
        found = [
            one["properties"][member] for one in described if member in one.get("properties", ())
        ]
        more = [one.get("additionalProperties", False) for one in described]
        more = [one for one in more if one is not False]
        if not found and not more:
            yield f"{at}.{member}".lstrip(".")
        else:
            inside = found or [one for one in more if isinstance(one, dict)]
            yield from _unknown(inside, inner, f"{at}.{member}".lstrip("."))


def _alternatives(schema: Json) -> Iterator[Json]:
    """Yield a schema and every one that it is made of, or that may stand in its place."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from _alternatives(_document()["components"]["schemas"][name])
    yield schema
    for word in _WITHIN:
        for one in schema.get(word, ()):
            yield from _alternatives(one)
