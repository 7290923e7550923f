"""Whom a limit binds, as people name them."""

from sqlalchemy import Connection

from aigne_hub.domain.limits import Subject
from aigne_hub.storage import keys, oauth_grants, users


def name_of(connection: Connection, subject: Subject, text: str) -> str:
    """Return the name a limit on a subject is stored under.

    A user is given by e-mail, DID or id, a key or a grant by its id, a project by its DID,
    which need not have called yet. Raises NotFound.
    """
    match subject:
        case Subject.USER:
            return users.find(connection, text).id
        case Subject.KEY:
            return keys.find(connection, text).id
        case Subject.PROJECT:
            return text
        case Subject.GRANT:
            return oauth_grants.find(connection, text).id
