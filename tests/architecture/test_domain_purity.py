"""domain/ computes: it has no clock, no I/O, no randomness, and money never meets a float."""

import ast
import sys
from collections.abc import Iterator

import pytest
from tests.architecture.source_tree import Module, modules

# Modules of the standard library through which the world comes in.
_IMPURE = """
    asyncio builtins concurrent contextvars ctypes fcntl getpass glob http importlib io logging
    mmap multiprocessing os pathlib platform pty queue random sched secrets select selectors
    shutil signal socket socketserver sqlite3 ssl subprocess sys tempfile threading time urllib
    uuid
"""
IMPURE = frozenset(_IMPURE.split())
# Takes texts apart; what fetches them stands beside it.
PURE = frozenset({"urllib.parse"})
# Calls that read a clock or reach outside, by the last part of their name.
_IMPURE_CALLS = """
    now utcnow today time time_ns monotonic perf_counter open print input exec eval __import__
    breakpoint getrandbits urandom
"""
IMPURE_CALLS = frozenset(_IMPURE_CALLS.split())
MONEY = (
    "domain/money.py",
    "domain/pricing.py",
    "domain/quotes.py",
    "domain/ledger.py",
    "domain/limits.py",
    "domain/lots.py",
    "domain/operations.py",
    "domain/transfers.py",
    "billing",
    "storage/batch.py",
    "storage/corrections.py",
    "storage/fold.py",
    "storage/ledger.py",
    "storage/accounts.py",
    "storage/grants.py",
)


def impurities(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                yield from (a.name for a in names if not _is_pure(a.name))
            case ast.ImportFrom(module=str(name), level=0):
                if not _is_pure(name):
                    yield name
            case ast.ImportFrom():
                yield "a relative import"
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                if name in IMPURE_CALLS:
                    yield f"{name}() in line {node.lineno}"


def _is_pure(name: str) -> bool:
    if name == "aigne_hub.domain" or name.startswith("aigne_hub.domain."):
        return True
    if name in PURE:
        return True
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names and top not in IMPURE


def floats(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        match node:
            case ast.Constant(value=float() | complex()):
                yield f"{node.value} in line {node.lineno}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield f"a true division in line {node.lineno}"
            case ast.Name(id="float"):
                yield f"float in line {node.lineno}"


def test_the_domain_is_pure():
    found = {m.name: list(impurities(m)) for m in modules("domain")}
    assert {name: what for name, what in found.items() if what} == {}


def test_money_never_meets_a_float():
    found = {m.name: list(floats(m)) for m in modules(*MONEY)}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "import time",
        "import os.path",
        "from random import choice",
        "from secrets import token_bytes",
        "from aigne_hub.storage import schema",
        "import orjson",
        "from . import money",
        "import datetime\nat = datetime.datetime.now()",
        "from datetime import date\nday = date.today()",
        "text = open('x')",
    ],
)
def test_an_impurity_is_seen(planted: str):
    assert list(impurities(Module.of("domain/planted.py", planted)))


@pytest.mark.parametrize(
    "planted", ["price = 0.5", "share = total / 2", "total /= 2", "amount = float(text)"]
)
def test_a_float_is_seen(planted: str):
    assert list(floats(Module.of("domain/money.py", planted)))
