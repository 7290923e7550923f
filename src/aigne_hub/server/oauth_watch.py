"""Follows signing keys that grew old, and forgets what the authorization server no longer needs."""

from aigne_hub.bootstrap import Hub
from aigne_hub.storage import jobs, oauth_pruning, signing_keys
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing


def look(hub: Hub, process_id: str, every_us: int) -> None:
    """Do what is to be done now, if no other process has within `every_us`."""
    with jobs.lease(hub.engine, hub.clock, "oauth", process_id, every_us) as mine:
        if not mine:
            return
        with reading(hub.engine) as connection:
            is_due = signing_keys.is_old(connection, hub.clock.now_us())
        if is_due:
            with changes(hub.engine, hub.clock, hub.ids, actor="duty:oauth") as change:
                signing_keys.rotate(change, hub.keyring)
        more = 1
        while more:
            with writing(hub.engine) as connection:
                more = oauth_pruning.prune(connection, hub.clock.now_us())
