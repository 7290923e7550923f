"""What programs keep with the hub, found again by id or by where they are mounted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from aigne_hub.domain.errors import Conflict, NotFound
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

_SETTING = schema.setting.c


@dataclass(frozen=True, slots=True)
class ProgramSetting:
    id: str
    mount_location: str
    type: str
    description: str
    active: bool
    settings: Mapping[str, Any]
    component_did: str | None
    created_us: int
    updated_us: int


def create(change: Changes, values: Mapping[str, Any]) -> ProgramSetting:
    """Keep settings for a mount location. Raises Conflict when it has some."""
    location = values["mount_location"]
    if find(change.connection, location) is not None:
        raise Conflict(f"There are settings for {location[:80]!r} already.")
    setting_id, now = change.ids(), change.clock.now_us()
    change.connection.execute(
        insert(schema.setting).values(
            id=setting_id, created_us=now, updated_us=now, **_stored(values)
        )
    )
    change.audit("setting.create", setting_id, {"mount_location": location})
    return _required(change.connection, setting_id)


def find(connection: Connection, name: str) -> ProgramSetting | None:
    """Return the settings with this id or mount location."""
    rows = connection.execute(
        select(schema.setting).where(or_(_SETTING.id == name, _SETTING.mount_location == name))
    ).all()
    rows = sorted(rows, key=lambda row: row.id != name)
    return _setting(rows[0]) if rows else None


def change_setting(change: Changes, name: str, values: Mapping[str, Any]) -> ProgramSetting:
    """Give settings other values; members of `settings` that are not named stay."""
    found = _required(change.connection, name)
    changed = dict(values)
    if "settings" in changed:
        changed["settings"] = {**found.settings, **changed["settings"]}
    change.connection.execute(
        update(schema.setting)
        .where(_SETTING.id == found.id)
        .values(updated_us=change.clock.now_us(), **_stored(changed))
    )
    change.audit("setting.update", found.id, {"changed": sorted(changed)})
    return _required(change.connection, found.id)


def remove(change: Changes, name: str) -> None:
    """Forget settings. Raises NotFound."""
    found = _required(change.connection, name)
    change.connection.execute(delete(schema.setting).where(_SETTING.id == found.id))
    change.audit("setting.remove", found.id, {"mount_location": found.mount_location})


def _required(connection: Connection, name: str) -> ProgramSetting:
    found = find(connection, name)
    if found is None:
        raise NotFound(f"There are no settings {name[:80]!r}.")
    return found


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    stored = dict(values)
    if "settings" in stored:
        stored["settings"] = json.dumps(stored["settings"])
    return stored


def _setting(row: Row[Any]) -> ProgramSetting:
    return ProgramSetting(
        id=row.id,
        mount_location=row.mount_location,
        type=row.type,
        description=row.description,
        active=row.active,
        settings=json.loads(row.settings),
        component_did=row.component_did,
        created_us=row.created_us,
        updated_us=row.updated_us,
    )
