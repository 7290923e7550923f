"""The smallest value that satisfies a JSON schema, as a model's structured output would."""

from typing import Any

MAX_DEPTH = 32
SCALARS: dict[str, Any] = {"string": "text", "integer": 0, "number": 0, "boolean": True}


def instance(schema: dict[str, Any]) -> Any:
    """Return a valid value: every declared property, the fewest items, the first alternative.

    Knows type, properties, items, enum, const, anyOf, oneOf, allOf, $ref into the same
    document, minimum, minItems and minLength. Recursion ends at MAX_DEPTH with null.
    """
    return _instance(schema, schema, 0)


def _instance(schema: Any, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if "$ref" in schema:
        return _instance(_resolve(str(schema["$ref"]), root), root, depth + 1)
    for keyword in ("anyOf", "oneOf", "allOf"):
        if schema.get(keyword):
            return _instance(schema[keyword][0], root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "null")
    return _typed(kind[0] if isinstance(kind, list) else kind, schema, root, depth)


def _typed(kind: str, schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: _instance(part, root, depth + 1) for name, part in properties.items()}
    if kind == "array":
        count = min(int(schema.get("minItems", 0)), MAX_DEPTH)
        return [_instance(schema.get("items"), root, depth + 1) for _ in range(count)]
    if kind in {"integer", "number"}:
        return schema.get("minimum", SCALARS[kind])
    if kind == "string":
        return SCALARS["string"].ljust(int(schema.get("minLength", 0)), "x")
    return SCALARS.get(kind)


def _resolve(reference: str, root: dict[str, Any]) -> Any:
    target: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            target = target.get(part) if isinstance(target, dict) else None
    return target
