"""The section `routing` of hub.yaml, and what it says about credentials and aliases."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aigne_hub.bootstrap import provider_problems
from aigne_hub.domain.routing import Hint, Policy, Rules
from aigne_hub.hub_file import HubFile, check_hub_file, load_hub_file

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"
POLICIES = "must be 'order', 'weighted', 'price', 'latency' or 'least_outstanding'"
FULL = """\
version: 1
providers:
  - name: openai
    credentials:
      - {name: main, api_key: one, priority: 0}
      - {name: spare, api_key: two, priority: 100}
      - {name: plain, api_key: three}
models: [{model: openai/gpt, type: chat}]
aliases:
  plain: {model: openai/gpt}
  quick: {model: openai/gpt, fallbacks: [demo/echo], policy: latency}
routing:
  policy: least_outstanding
  attempts: 32
  retries: 5
  within_s: 3600
  attempt_s: 1
  affinity: false
  hints: [policy, providers]
  hedge_percentile: 99
  check_every_s: 30
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        file = tmp_path / "hub.yaml"
        file.write_text(text)
        return file

    return write


def test_all_of_it_is_read_exactly(write: Write):
    hub = load_hub_file(write(FULL), {})
    assert hub.routing.rules == Rules(
        policy=Policy.LEAST_OUTSTANDING,
        attempts=32,
        retries=5,
        within_s=3600,
        attempt_s=1,
        affinity=False,
        hints=frozenset({Hint.POLICY, Hint.PROVIDERS}),
        hedge_percentile=99,
        check_every_s=30,
    )
    assert [one.priority for one in hub.providers[0].credentials] == [0, 100, 0]
    assert [alias.policy for alias in hub.aliases.values()] == [None, Policy.LATENCY]


def test_without_the_section_the_rules_are_the_defaults(write: Write):
    empty = "version: 1\nrouting: {attempt_s: null, hedge_percentile: null, hints: []}\n"
    for hub in (HubFile(version=1), load_hub_file(write(empty), {})):
        assert hub.routing.rules == Rules()


def test_no_check_at_all_is_0(write: Write):
    hub = load_hub_file(write("version: 1\nrouting: {check_every_s: 0}\n"), {})
    assert hub.routing.rules.check_every_s == 0


@pytest.mark.parametrize(
    ("line", "path", "message"),
    [
        ("polcy: price", "polcy", 'unknown key; did you mean "policy"?'),
        ("policy: fastest", "policy", POLICIES),
        ("policy: 1", "policy", POLICIES),
        ("policy:", "policy", POLICIES),
        ("attempts: 0", "attempts", "must be greater than or equal to 1"),
        ("attempts: 33", "attempts", "must be less than or equal to 32"),
        ("attempts: '8'", "attempts", "must be a whole number"),
        ("retries: -1", "retries", "must be greater than or equal to 0"),
        ("retries: 6", "retries", "must be less than or equal to 5"),
        ("within_s: 0", "within_s", "must be greater than or equal to 1"),
        ("within_s: 3601", "within_s", "must be less than or equal to 3600"),
        ("within_s: 1.5", "within_s", "must be a whole number"),
        ("attempt_s: 0", "attempt_s", "must be greater than or equal to 1"),
        ("attempt_s: 3601", "attempt_s", "must be less than or equal to 3600"),
        ("affinity: 1", "affinity", "must be true or false"),
        ("hints: policy;providers", "hints[0]", "must be 'policy' or 'providers'"),
        ("hints: [policy, region]", "hints[1]", "must be 'policy' or 'providers'"),
        ("hints: {policy: true}", "hints", "must be a list"),
        ("hints: [policy, policy, policy]", "hints", "must have at most 2 items"),
        ("hedge_percentile: 49", "hedge_percentile", "must be greater than or equal to 50"),
        ("hedge_percentile: 100", "hedge_percentile", "must be less than or equal to 99"),
        ("check_every_s: 29", "check_every_s", "must be 0, for never, or 30 to 86400"),
        ("check_every_s: -1", "check_every_s", "must be 0, for never, or 30 to 86400"),
        ("check_every_s: 86401", "check_every_s", "must be 0, for never, or 30 to 86400"),
        ("check_every_s: null", "check_every_s", "must be a whole number"),
    ],
)
def test_each_fault_has_its_line_and_path(write: Write, line: str, path: str, message: str):
    (problem,) = check_hub_file(write(f"version: 1\nrouting:\n  {line}\n"), {})
    assert (problem.path, problem.line) == (f"routing.{path}", 3)
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "message"),
    [
        ("priority: 100", "priority: 101", 6, "providers[0].credentials[1].priority", "100"),
        ("priority: 100", "priority: -1", 6, "providers[0].credentials[1].priority", "0"),
        ("priority: 100", "priority: low", 6, "providers[0].credentials[1].priority", "whole"),
        ("policy: latency", "policy: best", 11, "aliases.quick.policy", POLICIES),
    ],
)
def test_faults_of_credentials_and_aliases(
    write: Write, old: str, new: str, line: int, path: str, message: str
):
    (problem,) = check_hub_file(write(FULL.replace(old, new)), {})
    assert (problem.path, problem.line) == (path, line)
    assert message in problem.message


def test_the_example_of_the_page_is_valid_and_every_policy_is_explained(write: Write):
    page = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    keys = dict.fromkeys(re.findall(r"\$\{(\w+)\}", example), "sk-example")
    hub = load_hub_file(write(example), keys)
    assert provider_problems(hub) == []
    assert hub.routing.rules != Rules()
    table = page.partition("### Policies")[2].partition("\n#")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [*Policy]
