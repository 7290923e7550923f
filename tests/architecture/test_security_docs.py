"""SECURITY.md lists every secret that the database has."""

import re

from tests.architecture.source_tree import ROOT

from aigne_hub.storage import schema

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
SECRET = re.compile(r"seal|digest|^hash$|secret|login_token|pepper|^prefix$")
# A chain's hashes are there to be seen.
PUBLIC = {"audit_log.hash"}


def test_every_secret_of_the_database_is_listed_with_how_it_is_kept():
    columns = {
        f"{table.name}.{column.name}"
        for table in schema.user.metadata.tables.values()
        for column in table.columns
        if SECRET.search(column.name)
    }
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", PAGE.partition("## What is not secret")[0]))
    assert columns - PUBLIC == named - {"secret.key"}
