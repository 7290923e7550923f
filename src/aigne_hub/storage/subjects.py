"""Whom a limit binds, as people name them."""

from sqlalchemy import Connection, select

from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.limits import Subject
from aigne_hub.storage import schema, users


def name_of(connection: Connection, subject: Subject, text: str) -> str:
    """Return the name a limit on a subject is stored under.

    A user is given by e-mail, DID or id, a key by its id, a project by its DID, which need
    not have called yet. Raises NotFound.
    """
    match subject:
        case Subject.USER:
            return users.find(connection, text).id
        case Subject.KEY:
            key = schema.api_key.c.id
            if connection.execute(select(key).where(key == text)).first() is None:
                raise NotFound(f"There is no key {text[:80]!r}. See: aigne-hub keys list")
            return text
        case Subject.PROJECT:
            return text
