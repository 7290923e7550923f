"""Answers of the web API that a repeated request gets again."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from aigne_hub.storage.schema.columns import instant, metadata

route_answer = Table(
    "route_answer",
    metadata,
    # Digests of the key with its principal, and of the request with its path.
    Column("key_digest", LargeBinary, primary_key=True),
    Column("body_digest", LargeBinary, nullable=False),
    # What the request works on, so that one that was cut short goes on with the same.
    Column("target", Text),
    # Null while the request runs, which it may until `running_until_us`.
    Column("status", Integer),
    Column("body", Text),
    instant("created_us"),
    instant("running_until_us"),
)
Index("ix_route_answer_created_us", route_answer.c.created_us)
