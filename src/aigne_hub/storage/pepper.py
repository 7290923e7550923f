"""The secret behind API key digests: random, sealed in the database, opened at start."""

from collections.abc import Callable

from sqlalchemy import Engine, select, update

from aigne_hub.crypto.envelope import Keyring, SealBroken
from aigne_hub.storage import schema
from aigne_hub.storage.engine import StorageError, writing

_BYTES = 32
_PLACE = {"table": "hub_state", "row": "1", "column": "sealed_pepper"}


class WrongSecretKey(StorageError):
    """The hub's secret key is not the one this database was sealed with."""


def load_or_create_pepper(
    engine: Engine, keyring: Keyring, randbytes: Callable[[int], bytes]
) -> bytes:
    """Return the database's pepper, making it on first use; raises WrongSecretKey."""
    state = schema.hub_state.c
    with writing(engine) as connection:
        # Locked, because another hub may be making one at this moment.
        query = select(state.sealed_pepper).with_for_update()
        sealed = connection.execute(query).scalar_one()
        if sealed is None:
            pepper = randbytes(_BYTES)
            sealed = keyring.seal(pepper, **_PLACE)
            connection.execute(update(schema.hub_state).values(sealed_pepper=sealed))
            return pepper
    try:
        return keyring.open(sealed, **_PLACE)
    except SealBroken as error:
        raise WrongSecretKey(
            "This database was sealed with another secret key. Start with the AIGNE_HUB_SECRET_KEY "
            f"(or the secret.key file of the data directory) it was made with. ({error})"
        ) from None
