"""How the text of hub.yaml becomes its model, with the line of each problem.

A problem never shows a value, which may come from `${SECRET}`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from aigne_hub.config_values import Frozen
from aigne_hub.hub_file.declared import DEMO, DEMO_MODELS, MEANINGS, HubFile
from aigne_hub.hub_file.document import PROBLEMS_MAX, Document, Location, path_of, unreadable
from aigne_hub.payment_settings import misfits
from aigne_hub.problems import ConfigError, Problem, meaning, suggestion
from aigne_hub.settings import scalars_from

FILE_BYTES_MAX = 1024 * 1024

Route = tuple[str | None, ...]


def _keys_at(at: Location) -> list[str]:
    model: type[Frozen] = HubFile
    for step in at:
        if step in model.model_fields:
            model = _model_in(model.model_fields[str(step)].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: object) -> type[Frozen] | None:
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _modelled(document: Document) -> HubFile | None:
    try:
        return HubFile.model_validate(document.content)
    except ValidationError as error:
        for found in error.errors(include_url=False)[:PROBLEMS_MAX]:
            kind, at = found["type"], tuple(step for step in found["loc"] if step != "[key]")
            if kind == "extra_forbidden":
                hint = suggestion(str(at[-1]), _keys_at(at[:-1]))
                document.report(at, f"unknown key; {hint}")
            elif kind == "string_pattern_mismatch":
                document.report(at, MEANINGS[found["ctx"]["pattern"]])
            elif kind != "default_factory_not_called":  # its cause is reported
                document.report(at, meaning(found))
        return None


def _strings(value: object, route: Route, at: Location = ()) -> Iterator[tuple[Location, str]]:
    """Yield each string at `route` with its place; None stands for every item."""
    if not route:
        if isinstance(value, str):
            yield at, value
        return
    items = value if isinstance(value, dict) else {}
    for key, item in enumerate(value) if isinstance(value, list) else items.items():
        if route[0] in {None, key}:
            yield from _strings(item, route[1:], (*at, key))


def _check_references(document: Document) -> None:
    """Report what is named twice and what is referred to without being declared."""
    content = document.content
    providers = list(_strings(content, ("providers", None, "name")))
    credentials = list(_strings(content, ("providers", None, "credentials", None, "name")))
    models = list(_strings(content, ("models", None, "model")))
    targets = list(_strings(content, ("aliases", None, "model")))
    targets += _strings(content, ("aliases", None, "fallbacks", None))
    for found, scope in ((providers, 1), (credentials, 3), (models, 1), (targets, 2)):
        first: dict[tuple[Location, str], Location] = {}
        for at, text in found:
            earlier = first.setdefault((at[:scope], text), at)
            if earlier != at:
                document.report(at, f"is the same as {path_of(earlier)}")
    known_providers = {DEMO, *(name for _, name in providers)}
    known_models = DEMO_MODELS | {name for _, name in models}
    for at, reference in models + targets:
        written = document.written[at]  # as in the file: what a variable holds is not shown
        if reference.partition("/")[0] not in known_providers:
            provider = written.partition("/")[0]
            document.report(at, f'the provider "{provider}" is not declared under providers')
        elif reference not in known_models:
            document.report(at, f'the model "{written}" is not declared under models')


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise unreadable(0, f"cannot be read: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise unreadable(0, f"is larger than {FILE_BYTES_MAX} bytes")
    return raw


def load_hub_file(path: Path | None, environ: Mapping[str, str]) -> HubFile:
    """Return hub.yaml with `${VARIABLES}` filled in and the environment's overrides applied.

    Without a path: the defaults, which declare nothing. Raises ConfigError with every problem.
    """
    scalars, problems = scalars_from(environ)
    hub: HubFile | None = HubFile(version=1)
    try:
        document = Document(_read(path) if path else b"version: 1", environ)
        hub = _modelled(document)
        _check_references(document)
        if hub is not None:
            hub = hub.overridden(scalars)
            _check_payments(hub, document)
        problems += sorted(document.problems.values(), key=lambda one: (one.line, one.path))
    except ConfigError as error:
        problems += error.problems
    if problems or hub is None:
        raise ConfigError(str(path or "environment"), problems)
    return hub


def _check_payments(hub: HubFile, document: Document) -> None:
    """Report what does not fit together once the environment has overridden the file."""
    found = misfits(hub.billing.payments, hub.public_url, production=hub.production)
    for key, message in found:
        document.report(("billing", "payments", *key.split(".")), message)


def check_hub_file(path: Path, environ: Mapping[str, str]) -> list[Problem]:
    """Return what would keep `load_hub_file` from loading the file; empty when nothing would."""
    try:
        load_hub_file(path, environ)
    except ConfigError as error:
        return error.problems
    return []


def hub_file_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of hub.yaml, for editors."""
    schema: dict[str, Any] = _with_references(HubFile.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _with_references(schema: Any) -> Any:
    """Let every constrained string also hold a `${VARIABLE}`, which is filled in before."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _with_references(item) for key, item in schema.items()}
    if "patternProperties" in schema:  # the patterns are of all keys there can be
        schema["additionalProperties"] = False
    if schema.get("type") == "string" and schema.keys() & {"pattern", "enum"}:
        return {"anyOf": [schema, {"type": "string", "pattern": r"\$\{"}]}
    return schema
