"""hub.yaml: its model, and how its text becomes that model with the line of each problem.

YAML is read as JSON would be: what is no number, true, false or null (dates, `off`) is a
string, and tags are refused. A problem never shows a value, which may come from `${SECRET}`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.domain.pricing import RATE_UNITS
from aigne_hub.domain.usage import TOKENS_MAX
from aigne_hub.problems import ConfigError, Problem, meaning, suggestion
from aigne_hub.settings import BaseUrl, Credits, Frozen, Scalars, scalars_from

FILE_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 16  # the model needs six
VALUES_MAX = 200_000  # after aliases are expanded
PROBLEMS_MAX = 1_000
PROVIDERS_MAX = 256
CREDENTIALS_MAX = 100
MODELS_MAX = 10_000
ALIASES_MAX = 1_000
FALLBACKS_MAX = 16
WEIGHT_MAX = 1_000
MODEL_LENGTH_MAX = 256
API_KEY_LENGTH_MAX = 16_384  # a service account's JSON is a few KiB
RATE_MAX = 1_000_000 * NANO_PER_CREDIT  # per block; above any price, far below overflow

DEMO: Final = "demo"  # the built-in provider: it may be referenced without being declared
DEMO_MODELS: Final = frozenset({"demo/echo", "demo/embed", "demo/image"})

# What each type can be charged by: any of the first makes a price, the second only add to it.
_CHARGED_BY: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "chat": (("input", "output", "request"), ("cache_read", "cache_write", "image")),
    "embedding": (("input", "characters", "request"), ("image",)),
    "image": (("image", "input", "output", "second", "request"), ("cache_read", "cache_write")),
    "video": (("second", "input", "output", "request"), ("image",)),
    "speech": (("characters", "input", "output", "second", "request"), ()),
    "transcription": (("second", "input", "output", "request"), ()),
    "rerank": (("request", "input", "output"), ()),
    "moderation": (("input", "output", "request"), ("image",)),
}
_NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
_CREDENTIAL: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_MODEL: Final = r"^[a-z0-9][a-z0-9_-]{0,63}/[^\s?#%\x00-\x1f\x7f]+$"
_ALIAS: Final = r"^[^\s/?#%\x00-\x1f\x7f]{1,128}$"
_MEANINGS: Final = {
    _NAME: "must be 1 to 64 of a-z, 0-9, - and _, starting with a letter or digit",
    _CREDENTIAL: "must be 1 to 64 letters, digits, '.', - and _, starting with a letter or digit",
    _MODEL: "must be a reference like provider/model, without spaces, ?, # and %",
    _ALIAS: "must be an alias name: 1 to 128 characters without /, spaces, ?, # and %",
}


def _rate(nano: int) -> int:
    if nano > RATE_MAX:
        raise ValueError(f"must not be more than {RATE_MAX // NANO_PER_CREDIT} credits")
    return nano


def _rate_unit(unit: str) -> str:
    if unit not in RATE_UNITS:
        raise ValueError(f"is not a unit of rates; {suggestion(unit, RATE_UNITS)}")
    return unit


def _api_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if text != text.strip() or not (text.isascii() and text.isprintable()):
        raise ValueError("must be printable ASCII: no line breaks, no spaces at its ends")
    return key


Name = Annotated[str, Field(pattern=_NAME)]
ModelReference = Annotated[str, Field(pattern=_MODEL, max_length=MODEL_LENGTH_MAX)]
AliasName = Annotated[str, Field(pattern=_ALIAS)]
ApiKey = Annotated[SecretStr, Field(max_length=API_KEY_LENGTH_MAX), AfterValidator(_api_key)]
Unit = Annotated[str, Field(pattern=f"^({'|'.join(RATE_UNITS)})$"), BeforeValidator(_rate_unit)]
Rate = Annotated[Credits, AfterValidator(_rate)]


class DeclaredCredential(Frozen):
    name: str = Field(pattern=_CREDENTIAL)
    api_key: ApiKey = Field(min_length=1)
    weight: StrictInt = Field(default=100, ge=1, le=WEIGHT_MAX)


class DeclaredProvider(Frozen):
    """`kind` names the adapter; `base_url` None means the vendor's."""

    name: Name
    kind: Name = Field(default_factory=lambda valid: valid["name"])
    base_url: BaseUrl | None = None
    credentials: tuple[DeclaredCredential, ...] = Field(default=(), max_length=CREDENTIALS_MAX)

    @model_validator(mode="after")
    def _built_in(self) -> "DeclaredProvider":
        if self.name == DEMO and (self.kind != DEMO or self.base_url or self.credentials):
            raise ValueError(f'"{DEMO}" is built in: it takes no kind, base_url or credentials')
        return self


class DeclaredModel(Frozen):
    """One model, its rates and the vendor's `cost`, in nano-credits as `RateCard` counts them.

    Without rates it is unpriced; without limits those of the catalogue hold.
    """

    model: ModelReference
    type: Literal[
        "chat", "embedding", "image", "video", "speech", "transcription", "rerank", "moderation"
    ]
    rates: dict[Unit, Rate] = Field(default_factory=dict)
    cost: dict[Unit, Rate] = Field(default_factory=dict)
    max_output_tokens: StrictInt | None = Field(default=None, ge=1, le=TOKENS_MAX)
    context_tokens: StrictInt | None = Field(default=None, ge=1, le=TOKENS_MAX)

    @field_validator("rates", "cost")
    @classmethod
    def _fits_type(cls, rates: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        if not rates or "type" not in info.data:
            return rates
        enough, extra = _CHARGED_BY[kind := info.data["type"]]
        if foreign := ", ".join(sorted(rates.keys() - {*enough, *extra})):
            raise ValueError(f"{foreign}: no {kind} rate; use {', '.join(enough + extra)}")
        if not rates.keys() & set(enough):
            raise ValueError(f"has no rate for the type {kind}: give {' or '.join(enough)}")
        return rates


class DeclaredAlias(Frozen):
    model: ModelReference
    fallbacks: tuple[ModelReference, ...] = Field(default=(), max_length=FALLBACKS_MAX)


class HubFile(Scalars):
    """hub.yaml with the environment's overrides applied."""

    version: Literal[1]
    providers: tuple[DeclaredProvider, ...] = Field(default=(), max_length=PROVIDERS_MAX)
    models: tuple[DeclaredModel, ...] = Field(default=(), max_length=MODELS_MAX)
    aliases: dict[AliasName, DeclaredAlias] = Field(default_factory=dict, max_length=ALIASES_MAX)


Location = tuple[str | int, ...]
Route = tuple[str | None, ...]
_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
_INT: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")


def _unreadable(line: int, message: str) -> ConfigError:
    return ConfigError("", [Problem("", line, message)])


def _compose(raw: bytes) -> yaml.Node | None:
    try:
        return yaml.compose(raw, Loader=yaml.BaseLoader)
    except yaml.reader.ReaderError as error:
        line = raw.count(b"\n", 0, error.position) + 1
        raise _unreadable(line, "is not UTF-8 text without control characters") from None
    except yaml.MarkedYAMLError as error:
        text = f"{error.context or ''} {error.problem or ''}".strip()
        if "alias" in text or "anchor" in text or "tag" in text:  # the parser quotes the name
            text = "an alias, anchor or tag is wrong; quote a value that starts with *, & or !"
        mark = error.problem_mark or error.context_mark
        raise _unreadable(mark.line + 1 if mark else 1, text) from None
    except RecursionError:  # the composer is recursive; DEPTH_MAX holds for what it returns
        raise _unreadable(1, "nests too deeply") from None


def _plain(text: str) -> str | int | float | bool | None:
    """Return the value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Document:
    """The values of a YAML text, with the line of each and its scalars as they are written."""

    def __init__(self, raw: bytes, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._count = 0
        self._lines: dict[Location, int] = {(): 1}
        self.written: dict[Location, str] = {}
        self.problems: dict[Location, Problem] = {}
        node = _compose(raw)
        self.content = None if node is None else self._value(node, ())

    def report(self, at: Location, message: str, line: int = 0) -> None:
        """Note a problem; the first at each place stands, for others follow from it."""
        known = next(at[:end] for end in range(len(at), -1, -1) if at[:end] in self._lines)
        if len(self.problems) < PROBLEMS_MAX:
            problem = Problem(path_of(at), line or self._lines[known], message)
            self.problems.setdefault(at, problem)

    def _value(self, node: yaml.Node, at: Location) -> object:
        self._count += 1
        if self._count > VALUES_MAX or len(at) > DEPTH_MAX:
            raise _unreadable(self._lines[at[:-1]], "nests too deeply, or aliases expand too far")
        self._lines.setdefault(at, node.start_mark.line + 1)
        if node.tag not in _TAGS:
            self.report(at, "has a tag (!…), which is not supported; quote the value")
        elif isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        elif isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*at, index)) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.ScalarNode):
            return self._scalar(node, at)
        return None

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, object]:
        content: dict[str, object] = {}
        for key, value in node.value:
            line, place = key.start_mark.line + 1, (*at, str(key.value))
            if not isinstance(key, yaml.ScalarNode):
                self.report(at, "has a key that is not a string", line)
            elif key.value in content:
                self.report(place, f"is given twice; first on line {self._lines[place]}", line)
            else:
                self._lines[place] = line
                content[key.value] = self._value(value, place)
        return content

    def _scalar(self, node: yaml.ScalarNode, at: Location) -> object:
        self.written[at] = str(node.value)
        value = str(node.value) if node.style else _plain(node.value)
        if not isinstance(value, str):
            return value
        return _REFERENCE.sub(lambda match: self._expanded(match, at), value)

    def _expanded(self, match: re.Match[str], at: Location) -> str:
        if match[0] == "$${":
            return "${"
        name = match[1]
        if name and name in self._environ:
            return self._environ[name]
        malformed = "has a ${ that is not ${VARIABLE}; write $${ for a literal ${"
        self.report(at, f"the environment variable {name} is not set" if name else malformed)
        return match[0]


def path_of(at: Location) -> str:
    """Return a place as operators write it, such as `providers[0].credentials[1].api_key`."""
    steps = (
        f".{step}"
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", str(step))
        else f"[{json.dumps(step)}]"
        for step in at
    )
    return "".join(steps).removeprefix(".")


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


def _modelled(document: _Document) -> HubFile | None:
    try:
        return HubFile.model_validate(document.content)
    except ValidationError as error:
        for found in error.errors(include_url=False)[:PROBLEMS_MAX]:
            kind, at = found["type"], tuple(step for step in found["loc"] if step != "[key]")
            if kind == "extra_forbidden":
                hint = suggestion(str(at[-1]), _keys_at(at[:-1]))
                document.report(at, f"unknown key; {hint}")
            elif kind == "string_pattern_mismatch":
                document.report(at, _MEANINGS[found["ctx"]["pattern"]])
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


def _check_references(document: _Document) -> None:
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
        raise _unreadable(0, f"cannot be read: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise _unreadable(0, f"is larger than {FILE_BYTES_MAX} bytes")
    return raw


def load_hub_file(path: Path | None, environ: Mapping[str, str]) -> HubFile:
    """Return hub.yaml with `${VARIABLES}` filled in and the environment's overrides applied.

    Without a path: the defaults, which declare nothing. Raises ConfigError with every problem.
    """
    scalars, problems = scalars_from(environ)
    hub: HubFile | None = HubFile(version=1)
    try:
        if path:
            document = _Document(_read(path), environ)
            hub = _modelled(document)
            _check_references(document)
            problems += sorted(document.problems.values(), key=lambda one: (one.line, one.path))
    except ConfigError as error:
        problems += error.problems
    if problems or hub is None:
        raise ConfigError(str(path or "environment"), problems)
    return hub.overridden(scalars)


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
