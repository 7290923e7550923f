"""`/settings`: what a program keeps with Payment Kit, by where the program is mounted."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import program_settings
from aigne_hub.storage.program_settings import ProgramSetting
from aigne_hub.web.api.access import actor
from aigne_hub.web.api.allowed import MayReadSettings, MayWriteSettings
from aigne_hub.web.backend import Hub
from aigne_hub.web.kit.bodies import KitBody, LongText, Metadata, Name
from aigne_hub.web.kit.paging import Answer

SettingName = Annotated[str, Path(max_length=255, description="Id or mount location.")]


class NewSetting(KitBody):
    """`mountLocation` says whose settings they are; there is one set for each."""

    mount_location: Name = Field(alias="mountLocation")
    type: Name
    description: LongText = ""
    active: bool = True
    settings: Metadata = Field(default_factory=dict)
    component_did: Name | None = Field(default=None, alias="componentDid")


class SettingChange(KitBody):
    """Members of `settings` that are left out stay as they are."""

    settings: Metadata | None = None
    active: bool | None = None
    description: LongText | None = None


def create_setting(body: NewSetting, admin: MayWriteSettings, hub: Hub) -> Answer:
    """Keep settings. The hub does not act on them."""
    with hub.changing(actor(admin)) as change:
        return _shown(program_settings.create(change, body.model_dump()))


def get_setting(name: SettingName, _: MayReadSettings, hub: Hub) -> Answer | None:
    """Return settings by id or mount location, null when there are none."""
    with hub.reading() as view:
        found = program_settings.find(view, name)
    return None if found is None else _shown(found)


def update_setting(
    name: SettingName, body: SettingChange, admin: MayWriteSettings, hub: Hub
) -> Answer:
    """Change settings."""
    values = body.model_dump(exclude_none=True)
    with hub.changing(actor(admin)) as change:
        return _shown(program_settings.change_setting(change, name, values))


def delete_setting(name: SettingName, admin: MayWriteSettings, hub: Hub) -> Answer:
    """Forget settings."""
    with hub.changing(actor(admin)) as change:
        program_settings.remove(change, name)
    return {"message": "The settings were removed."}


def _shown(found: ProgramSetting) -> dict[str, Any]:
    return {
        "id": found.id,
        "object": "setting",
        "type": found.type,
        "mount_location": found.mount_location,
        "active": found.active,
        "component_did": found.component_did,
        "description": found.description,
        "settings": found.settings,
        "livemode": True,
        "created_at": format_instant(found.created_us),
        "updated_at": format_instant(found.updated_us),
    }


def settings_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/settings", tags=["Payment"])
    router.post("", operation_id="createSetting", summary="Keep settings")(create_setting)
    one = "/{name}"
    router.get(one, operation_id="getSetting", summary="Kept settings")(get_setting)
    router.put(one, operation_id="updateSetting", summary="Change settings")(update_setting)
    router.delete(one, operation_id="deleteSetting", summary="Forget settings")(delete_setting)
    return router
