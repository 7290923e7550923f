"""The values of a YAML text, with the line of each and its scalars as they are written.

YAML is read as JSON would be: what is no number, true, false or null (dates, `off`) is a
string, and tags are refused.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

import yaml

from aigne_hub.problems import ConfigError, Problem

DEPTH_MAX = 16  # the model needs eight
VALUES_MAX = 200_000  # after aliases are expanded
PROBLEMS_MAX = 1_000

Location = tuple[str | int, ...]
_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
_INT: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")


def unreadable(line: int, message: str) -> ConfigError:
    return ConfigError("", [Problem("", line, message)])


def _compose(raw: bytes) -> yaml.Node | None:
    try:
        return yaml.compose(raw, Loader=yaml.BaseLoader)
    except yaml.reader.ReaderError as error:
        line = raw.count(b"\n", 0, error.position) + 1
        raise unreadable(line, "is not UTF-8 text without control characters") from None
    except yaml.MarkedYAMLError as error:
        text = f"{error.context or ''} {error.problem or ''}".strip()
        if "alias" in text or "anchor" in text or "tag" in text:  # the parser quotes the name
            text = "an alias, anchor or tag is wrong; quote a value that starts with *, & or !"
        mark = error.problem_mark or error.context_mark
        raise unreadable(mark.line + 1 if mark else 1, text) from None
    except RecursionError:  # the composer is recursive; DEPTH_MAX holds for what it returns
        raise unreadable(1, "nests too deeply") from None


def _plain(text: str) -> str | int | float | bool | None:
    """Return the value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class Document:
    """The text, and what is wrong with it so far: the first problem at each place."""

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
            raise unreadable(self._lines[at[:-1]], "nests too deeply, or aliases expand too far")
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
