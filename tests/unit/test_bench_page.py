"""The page that a run of the benchmark writes, and what it says of the budgets."""

from dataclasses import fields
from typing import Any

import pytest
from bench import markdown
from bench.budgets import budgets
from bench.footprint import Footprint
from bench.load import Result
from bench.loads import LOADS
from bench.rounds import Measured, Sample, Step
from bench.table import Row

MACHINE = {"at": "2026-11-26", "cpu": "AMD", "cores": 2, "system": "Linux", "python": "3.11"}


def row(load: str, connections: int, target: str = "hub", **figures: float) -> Row:
    values: dict[str, Any] = dict.fromkeys((field.name for field in fields(Row)), None)
    known = {"load": load, "connections": connections, "target": target, "calls_per_s": 1.0}
    return Row(**values | known | figures)


FOUND = [
    row("chat", 1, added_p50_ms=0.8),
    row("chat", 32, times_nginx=8.9, cpu_us_per_call=150.0),
    row("chat", 32, "tensorzero", times_nginx=12.0, cpu_us_per_call=190.0),
    row("chat", 32, "portkey", times_nginx=90.0, cpu_us_per_call=1500.0),
    row("stream 40", 32, times_nginx=2.6, cpu_us_per_call=600.0),
    row("chat translated", 32, cpu_us_per_call=300.0),
]


def test_each_budget_has_its_figure_and_verdict():
    lives = [Footprint("nginx", 20.0, 16.0), Footprint("hub", 900.0, 91.0)]
    said = {each.name: (each.figure, each.verdict) for each in budgets(FOUND, lives)}
    assert said["a call"] == (8.9, "met")
    assert said["a call, aim"] == (8.9, "missed")
    assert said["a call, the cheapest peer's"] == (150.0, "met")
    assert said["a chunk"] == (2.6, "missed")
    assert said["a translated call"] == (2.0, "met")
    assert said["a translated chunk"] == (None, "not measured")
    assert said["memory at rest"] == (91.0, "missed")
    assert said["start on an existing database"] == (900.0, "met")
    assert said["memory of an idle stream"] == (None, "not measured")


def test_without_a_peer_none_is_beaten():
    names = {each.name for each in budgets([row("chat", 32, cpu_us_per_call=1.0)], [])}
    assert "a call, the cheapest peer's" not in names


@pytest.mark.parametrize("known", [{}, {"a known key": {"median_us": 1.25}}])
def test_the_page_has_every_target_beside_the_others(known: dict[str, dict[str, float]]):
    step = Step(LOADS[0], 32)
    result = Result(calls=100, seconds=2.0, p50_ms=1.0, p99_ms=2.0)
    measured = Measured(
        rounds=[
            [Sample(step, "nginx", result, 10.0, None), Sample(step, "hub", result, 85.0, None)]
        ],
        lives=[Footprint("hub", 900.0, 82.0)],
        notes=["chat x32 hub: 49 % / 51 %", "chat x32 hub: 50 % / 50 %", "nothing more"],
    )
    page = markdown.page(measured, MACHINE, known, "python -m bench")
    assert "| chat, 32 connections | 10.0 (1.0) | 85.0 (8.5) |" in page
    assert "| chat, 32 connections | 50 | 50 |" in page
    assert f"\nnginx  {'█' * 7} 10.0\nhub    {'█' * 60} 85.0\n" in page
    assert "| a call | 9 x nginx | 8.50 | met |" in page
    assert "| memory at rest, MiB | 82 |" in page
    assert "- chat x32 hub: 49 % / 51 %; 50 % / 50 %\n- nothing more\n" in page
    assert ("| a known key | 1.2 |" in page) is bool(known)
