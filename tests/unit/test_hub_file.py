import re
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from aigne_hub.domain.pricing import RateCard
from aigne_hub.hub_file import (
    DEPTH_MAX,
    FILE_BYTES_MAX,
    PROBLEMS_MAX,
    DeclaredModel,
    HubFile,
    check_hub_file,
    hub_file_schema,
    load_hub_file,
    path_of,
)
from aigne_hub.problems import ConfigError, Problem

EXAMPLE = """\
version: 1
public_url: https://hub.example.com
providers:
  - name: openai
    base_url: http://127.0.0.1:9100/v1/
    credentials:
      - {name: main,  api_key: "${OPENAI_API_KEY}", weight: 100}
      - {name: spare, api_key: "${OPENAI_API_KEY_2}", weight: 50}
  - {name: claude, kind: anthropic}
models:
  - {model: openai/gpt-4o-mini, type: chat, rates: {input: "0.15", output: "0.60"}}
  - {model: openai/gpt-image-1, type: image, rates: {image: "0.04"}, cost: {image: 1}}
  - {model: openai/sora-2, type: video, rates: {second: "0.10"}}
  - {model: openai/tts-1, type: speech, rates: {characters: "15"}}
  - {model: claude/haiku:4.5, type: chat, max_output_tokens: 8192, context_tokens: 200000}
aliases:
  fast: {model: openai/gpt-4o-mini, fallbacks: [claude/haiku:4.5, demo/echo]}
billing: {enabled: true, new_user_credits: "2.5", overdraft: "0", payment_link: null}
limits: {request_body_mib: 1, upstream_body_mib: 2, header_timeout_s: 3, calls_in_flight: 6}
oauth: {registration: off}
retention: {calls_months: 4, hourly_stats_months: 5}
"""
KEYS = {"OPENAI_API_KEY": "sk-one", "OPENAI_API_KEY_2": "sk-two"}


@pytest.fixture
def check(tmp_path):
    """Check a text as a file; a text without `version` is given one on its last line."""

    def run(text: str | bytes, environ: dict[str, str] | None = None) -> list[Problem]:
        file = tmp_path / "hub.yaml"
        raw = text.encode() if isinstance(text, str) else text
        file.write_bytes(raw if b"version" in raw else raw.rstrip() + b"\nversion: 1\n")
        return check_hub_file(file, environ or {})

    return run


@pytest.fixture
def load(tmp_path):
    def run(text: str, environ: dict[str, str] | None = None) -> HubFile:
        file = tmp_path / "hub.yaml"
        file.write_text(text)
        return load_hub_file(file, environ or {})

    return run


def only(problems: list[Problem]) -> Problem:
    assert len(problems) == 1, problems
    return problems[0]


def test_the_example_is_read_exactly(load):
    hub = load(EXAMPLE, KEYS)
    openai, claude = hub.providers
    assert (openai.kind, claude.kind) == ("openai", "anthropic")
    assert openai.base_url == "http://127.0.0.1:9100/v1"
    assert [one.api_key.get_secret_value() for one in openai.credentials] == ["sk-one", "sk-two"]
    assert [one.weight for one in openai.credentials] == [100, 50]
    assert hub.models[0].rates.amounts() == {"input": 150_000_000, "output": 600_000_000}
    assert hub.models[1].cost.amounts() == {"image": 1_000_000_000}
    assert hub.models[4].rates.amounts() == {}
    assert (hub.models[4].max_output_tokens, hub.models[4].context_tokens) == (8192, 200_000)
    assert hub.aliases["fast"].fallbacks == ("claude/haiku:4.5", "demo/echo")
    assert (hub.billing.enabled, hub.billing.new_user_credits) == (True, 2_500_000_000)
    assert (hub.limits.calls_in_flight, hub.limits.stream_idle_s) == (6, 300)
    assert hub.oauth.registration == "off"
    assert "sk-one" not in repr(hub)


def test_without_a_file_the_defaults_declare_nothing():
    hub = load_hub_file(None, {})
    assert hub == HubFile(version=1)
    assert (hub.providers, hub.models, hub.aliases) == ((), (), {})
    assert (hub.billing.enabled, hub.billing.overdraft, hub.oauth.registration) == (
        False,
        0,
        "open",
    )


def test_the_error_names_file_line_and_path_of_every_problem(tmp_path):
    file = tmp_path / "hub.yaml"
    file.write_text(
        "version: 2\nproviders:\n  - name: Open AI\n    credentials:\n      - name: a\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_hub_file(file, {})
    name = "must be 1 to 64 of a-z, 0-9, - and _, starting with a letter or digit"
    assert str(caught.value).splitlines() == [
        f"{file}:1: version: must be 1",
        f"{file}:3: providers[0].name: {name}",
        f"{file}:5: providers[0].credentials[0].api_key: is required",
    ]


@pytest.mark.parametrize(
    ("text", "path", "line", "message"),
    [
        ("\nmodells: []\n", "modells", 2, 'unknown key; did you mean "models"?'),
        ("limits:\n  stream_idle: 1\n", "limits.stream_idle", 2, "unknown key; did you mean"),
        ("oauth: {zzz: 1}\n", "oauth.zzz", 1, "unknown key; known are registration"),
        ("aliases: {a: {modle: x/y, model: demo/echo}}\n", "aliases.a.modle", 1, '"model"?'),
        ("providers: openai\n", "providers", 1, "must be a list"),
        ("providers:\n", "providers", 1, "must be a list"),
        ("providers: [openai]\n", "providers[0]", 1, "must be a mapping"),
        ("billing: []\n", "billing", 1, "must be a mapping"),
        ("billing: {enabled: yes}\n", "billing.enabled", 1, "must be true or false"),
        ("limits: {stream_idle_s: '5'}\n", "limits.stream_idle_s", 1, "must be a whole number"),
        ("limits: {stream_idle_s: true}\n", "limits.stream_idle_s", 1, "must be a whole number"),
        ("limits: {stream_idle_s: 0}\n", "limits.stream_idle_s", 1, "greater than or equal to 1"),
        ("limits: {stream_idle_s: 9999}\n", "limits.stream_idle_s", 1, "equal to 3600"),
        (f"limits: {{stream_idle_s: {'9' * 99}}}\n", "limits.stream_idle_s", 1, "whole number"),
        ("oauth: {registration: of}\n", "oauth.registration", 1, "must be 'open', 'token'"),
        ("public_url: 2024-01-01\n", "public_url", 1, "must be a URL like"),
        ("public_url: 5\n", "public_url", 1, "must be a string; put quotes around it"),
        ("public_url: ftp://h\n", "public_url", 1, "must be a URL like"),
        ("public_url: http://h:99999\n", "public_url", 1, "must be a URL like"),
        ("public_url: 'http://a b'\n", "public_url", 1, "must not contain spaces"),
        ("public_url: http://u:hunter2@h\n", "public_url", 1, "must not contain a user name"),
        ("public_url: http://h/?k=hunter2\n", "public_url", 1, "without ? and #"),
        ("public_url: http://h/#hunter2\n", "public_url", 1, "without ? and #"),
        ("billing: {overdraft: 0.5}\n", "billing.overdraft", 1, "quote it"),
        ("billing: {overdraft: '-1'}\n", "billing.overdraft", 1, "must not be negative"),
        ("billing: {overdraft: -1}\n", "billing.overdraft", 1, "must not be negative"),
        ("billing: {overdraft: true}\n", "billing.overdraft", 1, "must be a quoted decimal"),
        ("billing: {overdraft: '1e3'}\n", "billing.overdraft", 1, "at most 9 places"),
        ("billing: {overdraft: '1_0'}\n", "billing.overdraft", 1, "at most 9 places"),
        ("billing: {overdraft: '0.0000000001'}\n", "billing.overdraft", 1, "at most 9 places"),
        ("billing: {overdraft: '4000000001'}\n", "billing.overdraft", 1, "4000000000 credits"),
        ("providers: [{name: demo, kind: openai}]\n", "providers[0]", 1, "is built in"),
        ("aliases: {a/b: {model: demo/echo}}\n", 'aliases["a/b"]', 1, "alias name"),
        ("aliases: {a: {model: echo}}\n", "aliases.a.model", 1, "provider/model"),
        ("a: !!python/object:os.x {}\n", "a", 1, "has a tag (!…)"),
        ("public_url: !!timestamp x\n", "public_url", 1, "has a tag (!…)"),
        ("? [a]\n: 1\n", "", 1, "has a key that is not a string"),
    ],
)  # fmt: skip
def test_each_fault_has_its_path_line_and_message(check, text, path, line, message):
    problems = [one for one in check(text) if one.message != 'unknown key; did you mean "aliases"?']
    problem = problems[0]
    assert (problem.path, problem.line) == (path, line)
    assert message in problem.message
    assert "hunter2" not in problem.message


@pytest.mark.parametrize(
    ("entry", "path", "message"),
    [
        ("type: chat, rates: {inptu: 1}", ".rates.inptu", 'did you mean "input"?'),
        ("type: chat, rates: {input: 0.15}", ".rates.input", "quote it"),
        ("type: chat, rates: {input: '1000001'}", ".rates.input", "more than 1000000 credits"),
        ("type: chat, rates: {cache_read: 1}", ".rates", "has no rate for the type chat"),
        ("type: chat, rates: {image: 1}", ".rates", "give input or output or request"),
        ("type: chat, cost: {image: 1}", ".cost", "has no rate for the type chat"),
        ("type: chat, rates: {input: 1, characters: 1}", ".rates", "characters: no chat rate"),
        ("type: speech, rates: {image: 1}", ".rates", "image: no speech rate"),
        ("type: chatt", ".type", "must be 'chat', 'embedding'"),
        ("type: chat, max_output_tokens: 0", ".max_output_tokens", "greater than or equal to 1"),
        ("rates: {input: 1}", ".type", "is required"),
        ("type: chat, rates: {input: 1, images: {a: 1}}", ".rates", "images: no chat rate"),
        ("type: chat, rates: 1", ".rates", "must be a mapping"),
        ("type: image, rates: {images: {'1x1 big': 1}}", '.rates.images["1x1 big"]', "1024x1024"),
        ("type: image, rates: {images: {1x1: 0.1}}", '.rates.images["1x1"]', "quote it"),
        ("type: chat, rates: {input: 1, long_context: {}}", ".rates.long_context", "be a list"),
        (
            "type: chat, rates: {input: 1, long_context: [{input: 2}]}",
            ".rates.long_context[0].above",
            "is required",
        ),
        (
            "type: chat, rates: {input: 1, long_context: [{above: 5}]}",
            ".rates.long_context[0]",
            "has no price",
        ),
        (
            "type: chat, rates: {input: 1, long_context: [{above: 5, imput: 2}]}",
            ".rates.long_context[0].imput",
            'did you mean "input"?',
        ),
        (
            "type: chat, rates: {input: 1, long_context: [{above: 5, request: 2}]}",
            ".rates.long_context[0].request",
            "unknown key",
        ),
        (
            "type: chat, rates: {long_context: [{above: 5, input: 2}, {above: 5, input: 3}]}",
            ".rates.long_context",
            "must ascend",
        ),
        (
            "type: chat, rates: {input: 1, service_tiers: {batch: {input: '-1'}}}",
            ".rates.service_tiers.batch.input",
            "must not be negative",
        ),
        (
            "type: chat, rates: {input: 1, service_tiers: {batch: {service_tiers: {}}}}",
            ".rates.service_tiers.batch.service_tiers",
            "unknown key",
        ),
        (
            "type: chat, rates: {input: 1, service_tiers: {Batch!: {input: 1}}}",
            '.rates.service_tiers["Batch!"]',
            "must be 1 to 64",
        ),
        (
            "type: chat, rates: {input: 1, service_tiers: {standard: {input: 1}}}",
            ".rates.service_tiers",
            "is no tier of its own",
        ),
        (
            "type: chat, rates: {input: 1, service_tiers: {batch: {characters: 1}}}",
            ".rates",
            "characters: no chat rate",
        ),
        (
            "type: chat, cost: {input: 1, service_tiers: {b: {inptu: 1}}}",
            ".cost.service_tiers.b.inptu",
            "input",
        ),
    ],
)
def test_faults_of_a_model(check, entry, path, message):
    problem = only(check(f"models:\n  - {{model: demo/echo, {entry}}}\n"))
    assert (problem.path, problem.line) == (f"models[0]{path}", 2)
    assert message in problem.message


def test_nested_prices_are_read_exactly(load):
    hub = load(
        """\
version: 1
models:
  - model: demo/image
    type: image
    rates: {images: {"1024x1024/high": "0.17", 256x256: 1}}
  - model: demo/echo
    type: chat
    rates:
      input: "1.25"
      cache_write_1h: "2"
      search: "0.01"
      long_context: [{above: 200000, input: "2.5", output: "15"}]
      service_tiers:
        batch: {input: "0.625", long_context: []}
        priority: {long_context: [{above: 1, input: 3}]}
"""
    )
    credit = 10**9
    assert hub.models[0].rates.amounts() == {
        "images": {"1024x1024/high": 170_000_000, "256x256": credit}
    }
    assert hub.models[1].rates.amounts() == {
        "input": 1_250_000_000,
        "cache_write_1h": 2 * credit,
        "search": 10_000_000,
        "long_context": [{"input": 2_500_000_000, "output": 15 * credit, "above": 200_000}],
        "service_tiers": {
            "batch": {"input": 625_000_000, "long_context": []},
            "priority": {"long_context": [{"input": 3 * credit, "above": 1}]},
        },
    }
    RateCard.of("r", hub.models[1].rates.amounts())


def test_every_type_has_its_units():
    for kind in DeclaredModel.model_json_schema()["properties"]["type"]["enum"]:
        model = DeclaredModel.model_validate(
            {"model": "p/m", "type": kind, "rates": {"request": "1"}}
        )
        assert model.rates.amounts() == {"request": 1_000_000_000}


DECLARED = "providers:\n  - {name: a}\nmodels:\n  - {model: a/m, type: chat}\n"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("models: [{model: b/m, type: chat}]", "models[0].model", 'provider "b" is not declared'),
        ("aliases: {x: {model: b/m}}", "aliases.x.model", 'provider "b" is not declared'),
        (DECLARED + "aliases: {x: {model: a/n}}", "aliases.x.model", 'model "a/n" is not declared'),
        (
            DECLARED + "aliases: {x: {model: a/m, fallbacks: [demo/echo, b/m]}}",
            "aliases.x.fallbacks[1]",
            'provider "b" is not declared',
        ),
        ("aliases: {x: {model: demo/nope}}", "aliases.x.model", 'model "demo/nope" is not'),
        (
            DECLARED + "aliases: {x: {model: a/m, fallbacks: [a/m]}}",
            "aliases.x.fallbacks[0]",
            "is the same as aliases.x.model",
        ),
        ("providers: [{name: a}, {name: a}]", "providers[1].name", "same as providers[0].name"),
        (
            "providers: [{name: a, credentials: [{name: k, api_key: x}, {name: k, api_key: y}]}]",
            "providers[0].credentials[1].name",
            "is the same as providers[0].credentials[0].name",
        ),
        (DECLARED + "  - {model: a/m, type: chat}", "models[1].model", "same as models[0].model"),
    ],
)
def test_dangling_and_repeated_names(check, text, path, message):
    problem = only(check(text))
    assert problem.path == path
    assert message in problem.message


def test_what_is_not_repeated_is_not_reported(check):
    text = (
        "providers:\n"
        "  - {name: a, credentials: [{name: k, api_key: x}]}\n"
        "  - {name: b, credentials: [{name: k, api_key: x}]}\n"
        "  - {name: demo}\n"
        "models: [{model: a/m, type: chat}, {model: b/m, type: chat}]\n"
        "aliases: {x: {model: a/m, fallbacks: [b/m]}, y: {model: a/m}}\n"
    )
    assert check(text) == []


def test_a_key_given_twice_names_both_lines(check):
    problem = only(check("limits:\n  stream_idle_s: 1\n  stream_idle_s: 2\n"))
    assert problem == Problem("limits.stream_idle_s", 3, "is given twice; first on line 2")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"${KEY}"', "k-value"),
        ("${KEY}", "k-value"),
        ('"a${KEY}b${N}"', "ak-valueb7"),
        ('"$${KEY}"', "${KEY}"),
        ('"$$${KEY}"', "$${KEY}"),
        ('"cost$5"', "cost$5"),
        ("${NESTED}", "${KEY}"),
    ],
)
def test_variables_are_filled_in_once(load, written, value):
    credential = f"      - name: k\n        api_key: {written}\n"
    text = "version: 1\nproviders:\n  - name: a\n    credentials:\n" + credential
    hub = load(text, {"KEY": "k-value", "N": "7", "NESTED": "${KEY}"})
    assert hub.providers[0].credentials[0].api_key.get_secret_value() == value


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("${MISSING}", "the environment variable MISSING is not set"),
        ("x${MISSING}${ALSO}", "the environment variable MISSING is not set"),
        ("${hunter-2}", "has a ${ that is not ${VARIABLE}; write $${ for a literal ${"),
        ("${", "has a ${ that is not ${VARIABLE}; write $${ for a literal ${"),
        ("${EMPTY}", "must have at least 1 characters"),
        ("${LINE}", "must be printable ASCII: no line breaks, no spaces at its ends"),
        (" k", "must be printable ASCII: no line breaks, no spaces at its ends"),
        ("${LONG}", "must have at most 16384 characters"),
    ],
)
def test_a_variable_that_cannot_be_filled_in(check, written, message):
    text = f"providers:\n- name: a\n  credentials:\n  - name: k\n    api_key: '{written}'\n"
    environ = {"EMPTY": "", "LINE": "hunter2\n", "LONG": "h" * 16_385}
    path = "providers[0].credentials[0].api_key"
    assert check(text, environ) == [Problem(path, 5, message)]


def test_no_message_shows_what_a_variable_holds(check):
    secret = "hunter2/SECRET 1"
    text = """\
public_url: "${S}"
providers: [{name: "${S}", kind: "${S}", base_url: "${S}"}, {name: a}, {name: a}]
models: [{model: "${S}", type: "${S}", rates: {input: "${S}"}}, {model: "x${R}", type: chat}]
aliases: {x: {model: "${R}", fallbacks: ["${S}"]}}
billing: {enabled: "${S}", overdraft: "${S}", payment_link: "${S}"}
limits: {stream_idle_s: "${S}"}
oauth: {registration: "${S}"}
"""
    problems = check(text, {"S": secret, "R": "hunter2/model"})
    assert len(problems) > 12
    shown = " ".join(one.message for one in problems)
    assert "hunter2" not in shown
    assert "SECRET" not in shown


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("version: 1\nmodels: [\n", 3, "expected the node content"),
        ("version: 1\n\tmodels: 1\n", 2, "cannot start any token"),
        ("version: 1\na: *hunter2\n", 2, "quote a value that starts with *, & or !"),
        ("version: 1\na: !hunter2!x 1\n", 2, "quote a value that starts with *, & or !"),
        ("version: 1\n---\nversion: 1\n", 2, "but found another document"),
        (b"version: 1\na: \xff\n", 2, "is not UTF-8 text"),
        ("version: 1\na: \x00\n", 2, "is not UTF-8 text without control characters"),
        ("version: 1\na: " + "[" * 4_000, 1, "nests too deeply"),
    ],
)
def test_text_that_is_not_yaml_is_one_problem_with_its_line(check, text, line, message):
    problem = only(check(text))
    assert (problem.path, problem.line) == ("", line)
    assert message in problem.message
    assert "hunter2" not in problem.message


@pytest.mark.parametrize("text", ["# version\n", "- version\n", "version\n"])
def test_a_file_that_is_no_mapping(check, text):
    assert only(check(text)) == Problem("", 1, "must be a mapping of keys to values")


def test_nesting_is_bounded(check):
    at_the_limit = check("version: 1\na: " + "[" * (DEPTH_MAX - 1) + "]" * (DEPTH_MAX - 1))
    assert only(at_the_limit).path == "a"
    beyond = check("version: 1\na: " + "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1))
    assert "nests too deeply" in only(beyond).message


def test_anchors_and_aliases_are_expanded(load):
    hub = load(
        "version: 1\nmodels:\n"
        "  - {model: demo/echo, type: chat, rates: &r {input: 1}}\n"
        "  - {model: demo/embed, type: embedding, rates: *r}\n"
    )
    assert hub.models[1].rates.amounts() == {"input": 1_000_000_000}


def test_an_alias_bomb_ends_at_the_limit_and_soon(check):
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 10))
    begun = process_time()
    problem = only(check("version: 1\nl0: &l0 x\n" + levels))
    assert "aliases expand too far" in problem.message
    assert process_time() - begun < 5
    assert "nests too deeply" in only(check("version: 1\na: &a [*a]\n")).message


def test_file_and_report_sizes_are_bounded(check, tmp_path):
    large = only(check("# version".ljust(FILE_BYTES_MAX + 1)))
    assert large == Problem("", 0, f"is larger than {FILE_BYTES_MAX} bytes")
    assert len(check("".join(f"k{n}: 1\n" for n in range(PROBLEMS_MAX + 50)))) == PROBLEMS_MAX
    tagged = "".join(f"k{n}: !x 1\n" for n in range(PROBLEMS_MAX + 50))
    assert len(check(tagged)) == PROBLEMS_MAX
    too_many = check("providers:\n" + "".join(f"  - {{name: p{n}}}\n" for n in range(257)))
    assert only(too_many) == Problem("providers", 1, "must have at most 256 items")


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_hub_file(tmp_path / "none.yaml", {})
    assert str(caught.value) == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"


def test_problems_of_variables_and_of_the_file_come_together(check):
    problems = check("oauht: 1\n", {"AIGNE_HUB_LIMITS_STREAM_IDLE_S": "x"})
    assert [one.path for one in problems] == ["AIGNE_HUB_LIMITS_STREAM_IDLE_S", "oauht"]


def test_paths_quote_what_is_not_a_plain_key():
    assert path_of(("providers", 0, "credentials", 1, "api_key")) == (
        "providers[0].credentials[1].api_key"
    )
    assert path_of(("aliases", 'gpt-4.1"\n', "model")) == 'aliases["gpt-4.1\\"\\n"].model'


KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
KEYWORDS = {
    "$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default", "description",
    "enum", "format", "items", "maxItems", "maxLength", "maximum", "maxProperties", "minimum",
    "minLength", "pattern", "patternProperties", "properties", "required", "title", "type",
    "writeOnly",
}  # fmt: skip


def accepts(schema: dict[str, Any], value: object, root: dict[str, Any]) -> bool:
    """Evaluate the keywords of JSON Schema that the hub's schema uses; others fail the test."""
    assert schema.keys() <= KEYWORDS, schema.keys() - KEYWORDS
    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root)
    kind = schema.get("type")
    laws = [
        "anyOf" not in schema or any(accepts(one, value, root) for one in schema["anyOf"]),
        "const" not in schema or value == schema["const"],
        "enum" not in schema or value in schema["enum"],
        type(value) is int if kind == "integer" else isinstance(value, KINDS.get(kind, object)),
    ]
    if isinstance(value, str):
        laws.append(re.search(schema.get("pattern", ""), value) is not None)
    elif type(value) is int:
        laws.append(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    elif isinstance(value, list) and kind == "array":
        laws += [accepts(schema["items"], one, root) for one in value]
    elif isinstance(value, dict) and kind == "object":
        laws.append(accepts_mapping(schema, value, root))
    return all(laws)


def accepts_mapping(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any]) -> bool:
    if not set(schema.get("required", ())) <= value.keys():
        return False
    for key, item in value.items():
        patterns = schema.get("patternProperties", {}).items()
        inner = schema.get("properties", {}).get(key) or next(
            (one for pattern, one in patterns if re.search(pattern, key)),
            schema.get("additionalProperties", True),
        )
        if inner is False or (inner is not True and not accepts(inner, item, root)):
            return False
    return True


def test_the_schema_accepts_what_the_hub_accepts():
    schema = hub_file_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    model = {"model": "a/m", "type": "chat", "rates": {"input": "0.15", "output": 1}}
    good: list[dict[str, Any]] = [
        {"version": 1},
        {"version": 1, "public_url": "${URL}", "oauth": {"registration": "off"}},
        {
            "version": 1,
            "providers": [{"name": "a", "credentials": [{"name": "K", "api_key": "x"}]}],
        },
        {"version": 1, "providers": [{"name": "${NAME}", "base_url": "https://h/v1"}]},
        {"version": 1, "models": [model], "aliases": {"f": {"model": "a/m", "fallbacks": []}}},
        {"version": 1, "billing": {"enabled": True, "overdraft": "0.5", "payment_link": None}},
    ]
    bad: list[dict[str, Any]] = [
        {},
        {"version": 2},
        {"version": 1, "oauht": {}},
        {"version": 1, "oauth": {"registration": "of"}},
        {"version": 1, "providers": [{"name": "A"}]},
        {"version": 1, "providers": [{}]},
        {"version": 1, "models": [{**model, "rates": {"inptu": "1"}}]},
        {"version": 1, "models": [{**model, "rates": {"input": 0.15}}]},
        {"version": 1, "models": [{**model, "rates": {"input": "-1"}}]},
        {"version": 1, "limits": {"stream_idle_s": 0}},
        {"version": 1, "public_url": "ftp://h"},
        {"version": 1, "aliases": {"a/b": {"model": "a/m"}}},
    ]
    for value in good:
        assert accepts(schema, value, schema), value
    for value in bad:
        assert not accepts(schema, value, schema), value


def test_ten_thousand_models_load_in_seconds(tmp_path):
    models = "".join(
        f'  - {{model: demo/m{n}, type: chat, rates: {{input: "0.15", output: "0.6"}}}}\n'
        for n in range(10_000)
    )
    file = Path(tmp_path, "hub.yaml")
    file.write_text("version: 1\nmodels:\n" + models)
    begun = process_time()
    assert len(load_hub_file(file, {}).models) == 10_000
    assert process_time() - begun < 30
