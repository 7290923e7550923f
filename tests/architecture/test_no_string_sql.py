"""No statement is put together from text: SQL is constant, or built by SQLAlchemy Core."""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

import pytest
from tests.architecture.source_tree import Module, modules

# Methods and functions whose first argument is a statement.
RUNS = frozenset({"execute", "executemany", "executescript", "exec_driver_sql"})
MAKES = frozenset({"text", "literal_column", "DDL"})
CORE = frozenset({"select", "insert", "update", "delete", "union_all"})

# (module, argument) -> why it is neither a constant nor visibly Core.
ALLOWED: Mapping[tuple[str, str], str] = {
    ("storage/engine.py", "f'PRAGMA {name}={value}'"): (
        "a PRAGMA takes no parameters; names and values stand in this package"
    ),
    ("storage/engine.py", "options.get(_BEGIN_OPTION, 'BEGIN IMMEDIATE')"): (
        "one of two constants of the same module"
    ),
    ("storage/triggers.py", "statement"): "DDL takes no parameters; its texts are TRIGGERS",
    (
        "storage/triggers.py",
        "f'DROP TRIGGER {name}{on}'",
    ): "as above; names come from the catalogue",
    ("storage/verify.py", "f'SELECT COUNT(*) FROM ({query}) AS violations'"): (
        "wraps a constant of _CHECKS"
    ),
    ("storage/verify.py", "f'{query} LIMIT {EXAMPLES_MAX}'"): "as above",
    ("storage/postgres_statements.py", "str(index)"): "the position of a parameter in a row",
    ("storage/sqlite_journal.py", "sql"): "compiled by SQLAlchemy at start (Statements)",
    ("storage/sqlite_journal.py", "self._sql.dead_letter.sql"): "as above",
    ("storage/sqlite_journal.py", "self._sql.select_account.sql"): "as above",
    ("storage/sqlite_journal.py", "self._sql.select_lots.sql"): "as above",
    ("storage/sqlite_journal.py", "self._sql.select_counter.sql"): "as above",
    ("storage/sqlite_journal.py", "self._sql.select_claim.sql"): "as above",
}


def statements(module: Module) -> Iterator[tuple[ast.expr, bool]]:
    """Yield every statement the module runs or makes, and whether it is text or Core."""
    known, constants = _core_names(module), _constant_names(module)
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[first, *_]):
                constant = _is_constant(first, constants)
                if name in RUNS:
                    yield first, constant or _is_core(first, known)
                elif name in MAKES:
                    yield first, constant


def offences(module: Module) -> set[tuple[str, str]]:
    return {(module.name, ast.unparse(first)) for first, ok in statements(module) if not ok}


def _is_constant(node: ast.expr, constants: set[str]) -> bool:
    """Tell whether an expression can only have values that stand in the module."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in constants
        case ast.JoinedStr(values=parts):
            return all(_is_constant(part, constants) for part in parts)
        case ast.FormattedValue(value=inner):
            return _is_constant(inner, constants)
        case ast.Subscript(value=ast.Dict(values=values)):
            return all(_is_constant(value, constants) for value in values)
    return False


def _constant_names(module: Module) -> set[str]:
    """Return the names that only assignments give a value, and always such a one."""
    assigned = list(_assignments(module))
    varying = {name for name, value in assigned if not _is_constant(value, set())}
    bound = Counter(name for node in ast.walk(module.tree) for name in _bound(node))
    times = Counter(name for name, _ in assigned)
    return {name for name in times if bound[name] == times[name]} - varying


def _bound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            yield name


def _is_core(node: ast.expr, known: set[str]) -> bool:
    """Tell whether an expression is a chain of calls that begins with a Core construct."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in MAKES:
            return True  # its own argument is judged by itself
        case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name):
            return name in CORE or name in known
        case ast.Call(func=ast.Attribute(value=inner)):
            return _is_core(inner, known)
        case ast.IfExp(body=body, orelse=other):
            return _is_core(body, known) and _is_core(other, known)
        case ast.Attribute(value=ast.Name(id="ledger"), attr=name):
            return name in _ledger_statements()  # the statements that journal and stores share
    return False


def _core_names(module: Module) -> set[str]:
    """Return the names that only ever stand for Core: variables, and what is annotated as such."""
    known = {function.name for function in module.functions() if _is_select(function.returns)}
    parameters = [node for node in ast.walk(module.tree) if isinstance(node, ast.arg)]
    known |= {each.arg for each in parameters if _is_select(each.annotation)}
    known -= {each.arg for each in parameters if not _is_select(each.annotation)}
    assigned = list(_assignments(module))
    for _ in assigned:  # a name may be made from one that is made further down
        added = {name for name, value in assigned if _is_core(value, known)} - known
        if not added:
            break
        known |= added
    return known - {name for name, value in assigned if not _is_core(value, known)}


def _is_select(annotation: ast.expr | None) -> bool:
    return annotation is not None and ast.unparse(annotation).startswith("Select[")


def _assignments(module: Module) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(module.tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((t.id, value) for t in targets if isinstance(t, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                yield name, value


@cache
def _ledger_statements() -> set[str]:
    (ledger,) = modules("storage/ledger.py")
    return _core_names(ledger)


def test_every_statement_is_constant_or_core():
    found = set().union(*(offences(module) for module in modules()))
    assert found - set(ALLOWED) == set()


def test_every_exception_is_still_needed():
    found = set().union(*(offences(module) for module in modules("storage")))
    assert set(ALLOWED) - found == set()


def test_no_exception_stands_outside_storage():
    assert [name for name, _ in ALLOWED if not name.startswith("storage/")] == []


@pytest.mark.parametrize(
    "planted",
    [
        "connection.execute(f'SELECT * FROM user WHERE id = {user}')",
        "connection.execute('SELECT * FROM user WHERE id = %s' % user)",
        "connection.execute('SELECT * FROM user WHERE id = ' + user)",
        "connection.execute('SELECT * FROM {}'.format(table))",
        "connection.executemany(sql, rows)",
        "connection.exec_driver_sql(' '.join(parts))",
        "connection.execute(text(f'SELECT {column}'))",
        "query = 'SELECT 1'\nquery = select(user).where(x)\nconnection.execute(query + tail)",
        "query = select(user)\nquery = f'SELECT {x}'\nconnection.execute(query)",
        "x = 1\nfor x in texts: connection.execute(f'SELECT {x}')",
        "x = 1\ndef run(x): connection.execute(f'SELECT {x}')",
        "sql = {'a': 'SELECT 1', 'b': text}[mode]\nconnection.execute(sql)",
        "def run(q: Select[Any]): ...\ndef go(q: str): connection.execute(q)",
    ],
)
def test_text_is_seen(planted: str):
    assert offences(Module.of("web/planted.py", planted))


@pytest.mark.parametrize(
    "planted",
    [
        "connection.execute('SELECT version FROM hub_state')",
        "connection.execute(select(user).where(user.c.id == wanted).limit(1))",
        "WAIT_MS = 100\nconnection.execute(f'PRAGMA busy_timeout={WAIT_MS}')",
        "sql = {'a': 'SELECT 1', 'b': 'SELECT 2'}[mode]\nconnection.execute(sql)",
        "query = select(user)\nquery = query.where(x)\nconnection.execute(query)",
        "def _calls() -> Select[Any]: ...\nconnection.execute(_calls().where(x))",
        "connection.execute(ledger.SELECT_ACCOUNT, values)",
        "def run(query: Select[Any]): connection.execute(query.limit(1))",
    ],
)
def test_core_is_not_mistaken_for_text(planted: str):
    assert not offences(Module.of("storage/planted.py", planted))
