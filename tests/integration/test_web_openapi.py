"""The OpenAPI document against itself, the gateway's routes, the error tree and the manual."""

import inspect
import re
from pathlib import Path

import pytest
from tests.integration.test_web import ADDRESS, Process, ask

from aigne_hub import __version__
from aigne_hub.domain import errors
from aigne_hub.gateway.routes import routes
from aigne_hub.web.api.access import COOKIE_PATHS
from aigne_hub.web.codes import ERROR_CODES
from aigne_hub.web.declared import Asks
from aigne_hub.web.gauges import Gauge
from aigne_hub.web.guards import guarded
from aigne_hub.web.openapi import PERMISSION, openapi_document
from aigne_hub.web.reference import Reference
from aigne_hub.web.routers import every_router
from aigne_hub.web.security import SECURITY_HEADERS
from aigne_hub.web.surface import (
    AIGNE_BASE,
    AIGNE_OPERATIONS,
    GEMINI_METHODS,
    OPERATIONS,
    STORED_OPERATIONS,
)

MANUAL = Path(__file__).parents[2] / "docs" / "http.md"
# What AIGNE's clients ask before they have a key.
OPEN = {
    "/api/v2/status",
    "/api/ai-providers/models",
    "/api/ai/models",
    "/api/ai-providers/health",
    "/api/app/register",
    "/api/app/status",
    "/api/app/client/subscription/success",
    "/api/app/subscription/cancel",
    "/api/app/subscription/recover",
}
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document():
    return openapi_document(ADDRESS, __version__)


@pytest.fixture(scope="module")
def manual():
    return MANUAL.read_text(encoding="utf-8")


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


def hub_errors():
    """Every error with a status of its own: a refusal of an upstream keeps the upstream's."""
    return {
        (member.code, member.status)
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, errors.HubError)
        and member is not errors.UpstreamRefusal
        and not member.__name__.startswith("_")
    }


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


def schemas(value):
    """Every schema object below a value, by the places where OpenAPI has them."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name == "schema":
                yield member
            elif name in {"schemas", "properties"}:
                yield from member.values()
            elif name == "items":
                yield member
            elif name in {"oneOf", "anyOf", "allOf"}:
                yield from member
            yield from schemas(member)
    elif isinstance(value, list):
        for member in value:
            yield from schemas(member)


def test_the_document_is_served_as_it_is_built(document):
    answer = ask(Process(), "/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document


def test_the_document_names_the_hub(document):
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == __version__
    assert document["servers"] == [{"url": ADDRESS}]


def test_the_document_follows_the_public_address():
    assert ask(Process(address="https://hub.example.com"), "/openapi.json").json()["servers"] == [
        {"url": "https://hub.example.com"}
    ]


def test_every_reference_resolves(document):
    found = set(references(document))
    assert len(found) > 20
    for reference in found:
        value = document
        for step in reference.removeprefix("#/").split("/"):
            value = value[step]


def test_every_component_is_used_or_an_error(document):
    used = set(references(document))
    components = document["components"]
    unused = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "parameters", "headers")
        for name in components[kind]
    } - used
    assert unused == set()


def test_operation_ids_are_unique_and_present(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert all(names)
    assert len(names) == len(set(names))


def test_every_operation_is_complete(document):
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        assert operation["summary"], path
        assert set(operation["tags"]) <= tags
        assert {"200", "201", "204"} & set(operation["responses"])
        assert all("description" in r or "$ref" in r for r in operation["responses"].values())
        if path.startswith("/v1/"):
            assert ("requestBody" in operation) == (method == "post")
        places = {p["name"] for p in operation.get("parameters", ()) if p.get("in") == "path"}
        assert places == set(re.findall(r"{(\w+)}", path))


def test_schemas_use_json_schema_words_only(document):
    kinds = {"string", "integer", "number", "boolean", "array", "object", "null"}
    words = {
        *("$ref", "type", "properties", "required", "items", "enum", "const", "oneOf", "anyOf"),
        *("description", "title", "default", "minimum", "maximum", "maxLength", "pattern"),
        *("format", "additionalProperties", "minLength", "exclusiveMinimum"),
        *("minItems", "maxItems", "examples", "maxProperties", "propertyNames"),
    }
    found = list(schemas(document))
    assert len(found) > 80
    for schema in found:
        assert set(schema) <= words, schema
        kind = schema.get("type", [])
        assert set([kind] if isinstance(kind, str) else kind) <= kinds
        assert set(schema.get("required", ())) <= set(schema.get("properties", ()))


def test_the_data_plane_in_the_document_is_what_the_gateway_routes(document):
    find = routes(None)
    shown = {
        (method.upper(), path)
        for path, method, operation in operations(document)
        if path.startswith(("/v1/", "/v1beta/", "/api/v2/")) and path not in OPEN
    }
    assert all(
        find(method, path.replace("{id}", "a/b").replace("{model}", "a/b"))
        for method, path in shown
    )
    known = {(method, f"/v1/{tail}") for tail, method in OPERATIONS.items()}
    known |= {("POST", f"/v1beta/models/{{model}}:{method}") for method in GEMINI_METHODS}
    known |= {("POST", f"{AIGNE_BASE}/{tail}") for tail in AIGNE_OPERATIONS}
    known |= {("GET", f"/{version}/models/{{id}}") for version in ("v1", "v1beta")}
    known |= {
        (method, f"/v1/{tail}") for tail, methods in STORED_OPERATIONS.items() for method in methods
    }
    assert shown == known | {("GET", "/v1beta/models")}


def test_every_data_plane_operation_takes_each_form_of_the_key(document):
    schemes = set(document["components"]["securitySchemes"])
    assert schemes == {"bearer", "x-api-key", "x-goog-api-key", "api-key", "session"}
    keys = schemes - {"session"}
    for path, _, operation in operations(document):
        named = {name for choice in operation.get("security", ()) for name in choice}
        keyed = path.startswith(("/v1/", "/v1beta/", "/api/", "/payment/api/"))
        keyed = keyed and path not in OPEN
        by_cookie = path.startswith(COOKIE_PATHS) and operation["tags"] == ["Account"]
        assert named == (schemes if by_cookie else keys if keyed else set())


def test_the_error_table_is_the_error_tree():
    assert {(row.code, row.status) for row in ERROR_CODES} == hub_errors()
    assert [row.status for row in ERROR_CODES] == sorted(row.status for row in ERROR_CODES)


def test_the_error_schema_lists_every_code(document):
    listed = document["components"]["schemas"]["ErrorObject"]["properties"]["code"]["enum"]
    assert set(listed) == {code for code, _ in hub_errors()}


def test_the_reference_page_shows_every_operation_schema_and_error(document):
    html = ask(Process(), "/docs").text
    identifiers = re.findall(r'\bid="([^"]+)"', html)
    assert len(identifiers) == len(set(identifiers))
    assert {operation["operationId"] for _, _, operation in operations(document)} <= set(
        identifiers
    )
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= set(identifiers)
    assert all(f"<code>{row.code}</code>" in html for row in ERROR_CODES)
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(identifiers)


def test_types_are_worded_with_their_bounds(document):
    fields = {field.name: field.shape for field in Reference(document).schema("Model").fields}
    assert (fields["pricing"].schema, fields["pricing"].after) == ("Pricing", " or null")
    request = Reference(document).schema("ChatCompletionRequest")
    shapes = {field.name: field.shape for field in request.fields}
    assert shapes["n"].before == "integer, 1 to 128, default 1"
    assert (shapes["messages"].before, shapes["messages"].schema) == ("list of ", "ChatMessage")


# -- docs/http.md -------------------------------------------------------------------------


@pytest.mark.parametrize("row", ERROR_CODES, ids=lambda row: row.code)
def test_the_manual_has_every_error(manual, row):
    assert f"| {row.status} | `{row.code}` | {row.meaning} | {row.remedy} |" in manual


@pytest.mark.parametrize("gauge", Gauge)
def test_the_manual_has_every_gauge(manual, gauge):
    assert f"| `aigne_hub_{gauge}` |" in manual


def test_the_manual_has_every_header_and_path(manual, document):
    for header in (*document["components"]["headers"], *SECURITY_HEADERS):
        assert f"`{header.lower()}`" in manual.lower(), header
    for path in document["paths"]:
        assert f"`{path}`" in manual or f" {path}`" in manual, path


def test_the_manual_and_the_document_name_the_permission_of_every_route(manual, document):
    rows = {
        line.split("`")[1]: line
        for line in manual.splitlines()
        if re.match(r"\| `\w+\.\w+` \|", line)
    }
    named = 0
    for (method, path), access in guarded(every_router()).items():
        if access.permission is None or path == "/api/ai" or path.startswith("/api/ai/"):
            continue
        written = path.replace(":path}", "}")
        star = "\\*" if access.asks is Asks.KEY else ""
        assert f"`{method} {written}`{star}" in rows[access.permission.value], (method, path)
        operation = document["paths"][written][method.lower()]
        assert operation[PERMISSION] == access.permission.value
        assert f"`{access.permission.value}`" in operation["description"]
        named += 1
    assert sum(line.count("`") for line in rows.values()) == 2 * (named + len(rows))
