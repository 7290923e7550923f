"""An OpenAPI document as the API reference page shows it: groups of operations, and schemas.

A schema's members are one flat table; what they refer to is a link to another table, so the
page needs no recursion and no script.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")
_SCHEMA = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Shape:
    """A type in words around the name of a schema, which is "" when there is none."""

    before: str = ""
    schema: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, header or member of an object."""

    name: str
    place: str
    shape: Shape
    description: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    description: str
    shapes: tuple[tuple[str, Shape], ...]
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    method: str
    path: str
    summary: str
    description: str
    needs_key: bool
    parameters: tuple[Field, ...]
    body: Shape | None
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    description: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    name: str
    description: str
    shape: Shape
    fields: tuple[Field, ...]


class Reference:
    """The parts of a document, in its order. `headers` are those that answers can carry."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        components = document["components"]
        operations = list(self._operations())
        self.groups = tuple(
            Group(
                tag["name"],
                tag["description"],
                tuple(operation for name, operation in operations if name == tag["name"]),
            )
            for tag in document["tags"]
        )
        self.schemas = tuple(
            _schema(name, schema) for name, schema in components["schemas"].items()
        )
        self.schemes = tuple(components["securitySchemes"].items())
        self.headers = tuple(
            Field(name, "", _shape(header["schema"]), header["description"])
            for name, header in components["headers"].items()
        )

    def schema(self, name: str) -> Schema:
        return next(schema for schema in self.schemas if schema.name == name)

    def _operations(self) -> Iterator[tuple[str, Operation]]:
        for path, item in self._document["paths"].items():
            for method in _METHODS:
                if method in item:
                    yield item[method]["tags"][0], self._operation(method, path, item[method])

    def _operation(self, method: str, path: str, operation: dict[str, Any]) -> Operation:
        body = operation.get("requestBody")
        return Operation(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            description=operation.get("description", ""),
            needs_key=bool(operation.get("security")),
            parameters=tuple(
                _parameter(self._resolved(value)) for value in operation.get("parameters", ())
            ),
            body=_shape(next(iter(body["content"].values()))["schema"]) if body else None,
            answers=tuple(
                self._answer(status, self._resolved(value))
                for status, value in operation["responses"].items()
            ),
        )

    def _answer(self, status: str, response: dict[str, Any]) -> Answer:
        return Answer(
            status,
            response["description"],
            tuple(
                (media, _shape(content["schema"]))
                for media, content in response.get("content", {}).items()
            ),
            tuple(response.get("headers", ())),
        )

    def _resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return what a reference within the document points to, or the value itself."""
        if "$ref" not in value:
            return value
        found = self._document
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return found


def _parameter(value: dict[str, Any]) -> Field:
    return Field(
        value["name"],
        value["in"],
        _shape(value["schema"]),
        value["description"],
        value.get("required", False),
    )


def _schema(name: str, schema: dict[str, Any]) -> Schema:
    required = schema.get("required", ())
    fields = tuple(
        Field(member, "", _shape(value), value.get("description", ""), member in required)
        for member, value in schema.get("properties", {}).items()
    )
    return Schema(name, schema.get("description", ""), _shape(schema), fields)


def _shape(schema: dict[str, Any]) -> Shape:
    if "$ref" in schema:
        return Shape(schema=schema["$ref"].removeprefix(_SCHEMA))
    options = schema.get("oneOf") or schema.get("anyOf")
    if options:
        first, *others = map(_shape, options)
        after = "".join(f" or {other.before}" for other in others)
        return Shape(first.before, first.schema, first.after + after)
    if schema.get("type") == "array" and "items" in schema:
        items = _shape(schema["items"])
        return Shape(f"list of {items.before}", items.schema, items.after)
    return Shape(_words(schema))


def _words(schema: dict[str, Any]) -> str:
    """Return a plain type with its bounds, such as "integer, 1 to 128, default 1"."""
    if "const" in schema:
        return str(schema["const"]).lower() if schema["type"] == "boolean" else schema["const"]
    if "enum" in schema:
        return " | ".join(schema["enum"])
    kinds = schema.get("type", "any")
    words = [kinds if isinstance(kinds, str) else " or ".join(kinds)]
    if "minimum" in schema and "maximum" in schema:
        words.append(f"{schema['minimum']:,} to {schema['maximum']:,}")
    elif "minimum" in schema:
        words.append(f"at least {schema['minimum']:,}")
    if "maxLength" in schema:
        words.append(f"at most {schema['maxLength']:,} characters")
    if "default" in schema:
        words.append(f"default {str(schema['default']).lower()}")
    return ", ".join(words)
