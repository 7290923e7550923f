"""No hub loads the drivers of a database that it does not use, by naming that database."""

import ast

from tests.architecture.source_tree import Module, modules

# Modules that are themselves loaded only when their database is used.
OF_ONE_DATABASE = ("storage/inserts.py", "storage/postgres", "storage/sqlite_journal.py")


def loads_a_database(module: Module) -> list[str]:
    found = []
    for node in ast.walk(module.tree):
        match node:
            case ast.keyword(arg=str(name)) if name.startswith("postgresql_w"):
                found.append(name)
            case ast.ImportFrom(module=str(name)) if name.startswith("sqlalchemy.dialects"):
                found.append(name)
    return found


def test_no_module_loads_what_belongs_to_one_database():
    """An index of some rows is made with `schema.columns.only`, an upsert with `insert_for`."""
    found = {
        module.name: loads_a_database(module)
        for module in modules("storage")
        if not module.name.startswith(OF_ONE_DATABASE)
    }
    assert len(found) > 50
    assert {name: names for name, names in found.items() if names} == {}
