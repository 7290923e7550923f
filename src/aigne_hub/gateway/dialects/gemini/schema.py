"""Google's subset of OpenAPI schemas as JSON Schema, and both as providers want them.

https://ai.google.dev/api/caching#Schema, November 2026.
"""

import re
from collections.abc import Mapping
from typing import Any

from aigne_hub.domain.errors import InvalidRequest

# Deeper than any schema that somebody wrote.
DEPTH_MAX = 50
_COUNTS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
# Members that hold a schema, a list of them, and them by name.
_SCHEMAS = ("items", "additionalProperties")
_LISTS = ("anyOf", "prefixItems")
_NAMED = {"properties": "properties", "defs": "$defs", "$defs": "$defs"}
_SNAKE = re.compile(r"_([a-z])")


def camel(name: str) -> str:
    """Return a member's name in the spelling that Google documents: it reads both."""
    return _SNAKE.sub(lambda found: found[1].upper(), name) if "_" in name else name


def json_schema(schema: object, path: str, *, is_closed: bool, depth: int = 0) -> Any:
    """Return a schema of Google's as JSON Schema; what that would have anyway stays as it is.

    With `is_closed` objects have no members beside those that are declared: Google's models
    make none. Raises InvalidRequest.
    """
    if depth > DEPTH_MAX:
        raise InvalidRequest(f"`{path}` is nested too deeply.", param=path)
    if not isinstance(schema, dict):
        return schema

    def inner(value: object) -> Any:
        return json_schema(value, path, is_closed=is_closed, depth=depth + 1)

    said: dict[str, Any] = {}
    for given, value in schema.items():
        name = camel(given)
        if name in _SCHEMAS:
            said[name] = inner(value)
        elif name in _LISTS and isinstance(value, list):
            said[name] = [inner(one) for one in value]
        elif name in _NAMED and isinstance(value, dict):
            said[_NAMED[name]] = {key: inner(one) for key, one in value.items()}
        elif name not in {"type", "nullable", "propertyOrdering"}:
            said |= _plain(name, value)
    _put_type(said, schema)
    _put_order(said, schema)
    if is_closed and "properties" in said:
        said.setdefault("additionalProperties", False)
    return said


def _plain(name: str, value: Any) -> dict[str, Any]:
    """Return a member that holds no schema."""
    if name == "ref":
        return {"$ref": str(value).replace("#/defs/", "#/$defs/")}
    if name == "example":
        return {"examples": [value]}
    if name in _COUNTS and isinstance(value, str) and value.isdigit():
        return {name: int(value)}
    return {name: value}


def _put_type(said: dict[str, Any], schema: dict[str, Any]) -> None:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED":
        said["type"] = kind.lower()
    elif isinstance(kind, list):
        said["type"] = [one.lower() if isinstance(one, str) else one for one in kind]
    if schema.get("nullable") is not True:
        return
    if isinstance(said.get("type"), str):
        said["type"] = [said["type"], "null"]
    elif isinstance(said.get("anyOf"), list):
        said["anyOf"] = [*said["anyOf"], {"type": "null"}]
    if isinstance(said.get("enum"), list) and None not in said["enum"]:
        said["enum"] = [*said["enum"], None]


def _put_order(said: dict[str, Any], schema: dict[str, Any]) -> None:
    """Have properties in the order that they are to be written in."""
    order = schema.get("propertyOrdering", schema.get("property_ordering"))
    properties = said.get("properties")
    if isinstance(order, list) and isinstance(properties, dict):
        names = [name for name in order if isinstance(name, str) and name in properties]
        said["properties"] = {name: properties[name] for name in names} | properties


def is_exact(schema: object, depth: int = 0) -> bool:
    """Tell whether OpenAI can keep to a schema strictly: nothing optional, nothing undeclared."""
    if depth > DEPTH_MAX:
        return False
    if isinstance(schema, list):
        return all(is_exact(one, depth + 1) for one in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if not _is_declared(schema, properties):
        return False
    within = [schema.get(name) for name in (*_SCHEMAS, *_LISTS)]
    for held in (properties, schema.get("$defs")):
        within += held.values() if isinstance(held, dict) else ()
    return all(is_exact(one, depth + 1) for one in within)


def _is_declared(schema: Mapping[str, Any], properties: object) -> bool:
    """Tell whether an object has exactly the members that it declares."""
    if not isinstance(properties, dict):
        kind = schema.get("type")
        return kind != "object" and not (isinstance(kind, list) and "object" in kind)
    required = schema.get("required")
    return (
        schema.get("additionalProperties") is False
        and isinstance(required, list)
        and all(name in required for name in properties)
    )
