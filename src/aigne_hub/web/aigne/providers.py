"""`/api/ai-providers` and `/api/ai`: providers and their keys (wire/aigne.md, section 1.9)."""

from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from aigne_hub.domain import names
from aigne_hub.domain.errors import Conflict, InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.permissions import Permission
from aigne_hub.providers.connecting import misfit
from aigne_hub.providers.profiles import profile_of
from aigne_hub.storage import prices, vendors
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.vendors import Vendor
from aigne_hub.transport import Origin
from aigne_hub.web.aigne.models import amounts_of
from aigne_hub.web.aigne.shapes import credential_shown, provider_shown, rate_shown
from aigne_hub.web.aigne.working_keys import require_working
from aigne_hub.web.api.access import Caller, actor
from aigne_hub.web.api.allowed import MayReadProviders, MayWriteProviders
from aigne_hub.web.api.bulk_rates import Wire
from aigne_hub.web.backend import Hub
from aigne_hub.web.declared import open_to_all

URL_CHARS_MAX = 2_048
MODEL_CHARS_MAX = 256

_ADMIN: list[str | Enum] = ["Administration"]
_MODELS: list[str | Enum] = ["Models"]
_CLIENTS: list[str | Enum] = ["Clients"]

ProviderId = Annotated[str, Path(max_length=64, description="Id or name of a provider.")]
Secret = Annotated[str, Field(min_length=1, max_length=names.PROVIDER_KEY_CHARS_MAX)]
CredentialId = Annotated[str, Path(max_length=64, description="Id or name of a credential.")]


class ProviderBody(Wire):
    """A provider. `kind` says how it is spoken to; by default its name does."""

    name: Annotated[str, Field(pattern=names.PROVIDER)]
    kind: Annotated[str, Field(pattern=names.PROVIDER)] | None = None
    base_url: Annotated[str, Field(max_length=URL_CHARS_MAX)] | None = None
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] | None = None
    enabled: bool = True

    def address(self) -> str | None:
        """Return the base URL: Bedrock's may be told by a region alone."""
        if self.region and not self.base_url and self.kind_meant() == "bedrock":
            return f"https://bedrock-runtime.{self.region}.amazonaws.com"
        return self.base_url

    def kind_meant(self) -> str:
        return self.kind or self.name


class ProviderChange(Wire):
    name: Annotated[str, Field(max_length=64)] | None = None
    base_url: Annotated[str, Field(max_length=URL_CHARS_MAX)] | None = None
    enabled: bool = True


class KeyValue(Wire):
    """A key within an object, as clients send one."""

    api_key: Secret = Field(alias="api_key", repr=False)


class KeyPair(Wire):
    """A pair of AWS keys, as clients send one."""

    access_key_id: Secret = Field(alias="access_key_id")
    secret_access_key: Secret = Field(alias="secret_access_key", repr=False)


class KeyBody(Wire):
    """A key of a provider, as text or within an object; a pair of AWS keys for Bedrock.

    It is tried, and with `testModel` that must be one that it may use.
    """

    value: Secret | KeyValue | KeyPair = Field(repr=False)
    credential_type: Annotated[str, Field(pattern="^(api_key|access_key_pair)$")] = "api_key"
    test_model: Annotated[str, Field(max_length=MODEL_CHARS_MAX)] | None = None

    def secret(self, vendor: Vendor) -> str:
        """Return the key. Raises InvalidRequest for one that its provider cannot be called with."""
        if isinstance(self.value, KeyPair) != (self.credential_type == "access_key_pair"):
            raise InvalidRequest("`value` is not of this credentialType.", param="value")
        if isinstance(self.value, KeyPair):
            if vendor.kind != "bedrock":
                raise InvalidRequest(
                    "Only providers of the kind bedrock take a pair of keys.",
                    param="credentialType",
                )
            text = self.value.model_dump_json()
        else:
            text = self.value.api_key if isinstance(self.value, KeyValue) else self.value
        if not names.is_key(text):
            raise InvalidRequest(
                "A key is printable ASCII: no line breaks, no spaces at its ends.", param="value"
            )
        found = misfit(vendor.kind, vendor.base_url, [text])
        if found is not None:
            raise InvalidRequest(f"The key {found[1]}.", param="value")
        return text


class CredentialBody(KeyBody):
    """A key that is kept under a name. It is never shown again."""

    name: Annotated[str, Field(pattern=names.CREDENTIAL)]
    weight: Annotated[int, Field(ge=1, le=names.CREDENTIAL_WEIGHT_MAX)] = 100
    priority: Annotated[int, Field(ge=0, le=names.CREDENTIAL_PRIORITY_MAX)] = 0
    # For a provider without a list of models, or one that is not there yet.
    skip_test: bool = False


def list_providers(
    caller: Caller,
    hub: Hub,
    name: Annotated[str | None, Query(max_length=64, description="Only this one.")] = None,
    with_rates: Annotated[
        bool, Query(alias="includeModelRates", description="With its models' rates.")
    ] = False,
) -> list[dict[str, Any]]:
    """Return the providers; addresses and keys' names are for administrators."""
    whole = caller.may(Permission.PROVIDERS_READ)
    with hub.reading() as view:
        found = [one for one in vendors.listed(view) if name in (None, one.name)]
        priced = prices.priced_models(view) if with_rates else []
    shown = []
    for vendor in found:
        entry = provider_shown(vendor, whole=whole)
        if with_rates:
            entry["modelRates"] = [
                rate_shown(one, vendor, whole=whole)
                for one in priced
                if one.offered.provider == vendor.name and caller.may_use(one.offered.ref)
            ]
        shown.append(entry)
    return shown


def health(hub: Hub) -> dict[str, Any]:
    """Return which keys the hub calls providers with. It asks no provider."""
    return {
        "providers": {
            provider.name: {one.name: {"running": True} for one in provider.credentials}
            for provider in hub.snapshot.providers.values()
        },
        "timestamp": format_instant(hub.clock.now_us()),
    }


def models_to_try(_: MayReadProviders, hub: Hub) -> dict[str, str]:
    """Return for each provider its chat model that costs least, to try a key with."""
    cheapest: dict[str, tuple[int, str]] = {}
    for model in hub.snapshot.models.values():
        if model.type != "chat":
            continue
        amounts = amounts_of(model)
        price = (amounts.get("input", 0) + amounts.get("output", 0), model.name)
        name = model.provider.name
        cheapest[name] = min(cheapest.get(name, price), price)
    return {name: model for name, (_, model) in cheapest.items()}


def add_provider(admin: MayWriteProviders, hub: Hub, body: ProviderBody) -> dict[str, Any]:
    """Offer another provider. It is reached at public addresses only; hub.yaml may name others."""
    _require_enabled(enabled=body.enabled)
    kind = body.kind_meant()
    base_url = _address(kind, body.address())
    with hub.changing(actor(admin)) as change:
        made = vendors.create(change, body.name, kind=kind, base_url=base_url)
    return provider_shown(made, whole=True)


def change_provider(
    provider_id: ProviderId, admin: MayWriteProviders, hub: Hub, body: ProviderChange
) -> dict[str, Any]:
    """Reach a provider at another address. Its keys are removed: they were not meant for that.

    Without `baseUrl` nothing changes; an empty one is the vendor's own.
    """
    _require_enabled(enabled=body.enabled)
    with hub.changing(actor(admin)) as change:
        vendor = vendors.find(change.connection, provider_id)
        if body.name not in (None, vendor.name):
            raise InvalidRequest(
                "A provider keeps its name: models are called by it.", param="name"
            )
        if body.base_url is not None:
            vendor = vendors.move(change, vendor, _address(vendor.kind, body.base_url))
    return provider_shown(vendor, whole=True)


def remove_provider(provider_id: ProviderId, admin: MayWriteProviders, hub: Hub) -> dict[str, str]:
    """Stop offering a provider and its models, and forget its keys."""
    with hub.changing(actor(admin)) as change:
        vendors.remove(change, vendors.find(change.connection, provider_id))
    return {"message": "The provider was removed."}


def add_credential(
    provider_id: ProviderId, admin: MayWriteProviders, hub: Hub, body: CredentialBody
) -> dict[str, Any]:
    """Give a provider another key. It is tried first; one that does not work is not kept."""
    with hub.reading() as view:
        tried = vendors.find(view, provider_id)
    vendors.require_room(tried, body.name)
    secret = _working(hub, tried, body)
    with hub.changing(actor(admin)) as change:
        vendor = _unmoved(change, tried)
        made = vendors.add_credential(
            change,
            hub.keyring,
            vendor,
            body.name,
            secret=secret,
            weight=body.weight,
            priority=body.priority,
        )
    return credential_shown(vendor, made)


def change_credential(
    provider_id: ProviderId,
    credential_id: CredentialId,
    admin: MayWriteProviders,
    hub: Hub,
    body: CredentialBody,
) -> dict[str, Any]:
    """Use another key under the same name. It is tried first; the old one stays otherwise."""
    with hub.reading() as view:
        tried = vendors.find(view, provider_id)
    credential = tried.credential(credential_id)
    vendors.require_changeable(tried, credential)
    if body.name != credential.name:
        raise InvalidRequest("A credential keeps its name: calls name it.", param="name")
    secret = _working(hub, tried, body)
    with hub.changing(actor(admin)) as change:
        vendor = _unmoved(change, tried)
        credential = vendor.credential(credential.id)
        changed = vendors.replace_credential(
            change,
            hub.keyring,
            vendor,
            credential,
            secret=secret,
            weight=body.weight,
            priority=body.priority,
        )
    return credential_shown(vendor, changed)


def remove_credential(
    provider_id: ProviderId, credential_id: CredentialId, admin: MayWriteProviders, hub: Hub
) -> dict[str, str]:
    """Forget a key of a provider."""
    with hub.changing(actor(admin)) as change:
        vendor = vendors.find(change.connection, provider_id)
        vendors.remove_credential(change, vendor, vendor.credential(credential_id))
    return {"message": "The credential was removed."}


def providers_router(prefix: str, *, listed: bool) -> APIRouter:
    router = APIRouter(prefix=prefix, include_in_schema=listed)
    router.get("", tags=_MODELS, operation_id="listProviders", summary="Providers")(list_providers)
    router.get(
        "/health",
        tags=_CLIENTS,
        operation_id="getProvidersHealth",
        summary="Keys that providers are called with",
        dependencies=[open_to_all("clients ask which providers can be called")],
        openapi_extra={"security": []},
    )(health)
    router.get(
        "/test-models", tags=_ADMIN, operation_id="listTestModels", summary="Cheap models to try"
    )(models_to_try)
    router.post("", tags=_ADMIN, operation_id="addProvider", summary="Offer another provider")(
        add_provider
    )
    one = "/{provider_id}"
    router.put(one, tags=_ADMIN, operation_id="changeProvider", summary="Reach it elsewhere")(
        change_provider
    )
    router.delete(one, tags=_ADMIN, operation_id="removeProvider", summary="Remove a provider")(
        remove_provider
    )
    keys = f"{one}/credentials"
    router.post(keys, tags=_ADMIN, operation_id="addCredential", summary="Give it another key")(
        add_credential
    )
    key = f"{keys}/{{credential_id}}"
    router.put(key, tags=_ADMIN, operation_id="changeCredential", summary="Use another key")(
        change_credential
    )
    router.delete(key, tags=_ADMIN, operation_id="removeCredential", summary="Forget a key")(
        remove_credential
    )
    return router


def _working(hub: Hub, vendor: Vendor, body: CredentialBody) -> str:
    """Return the key of a body, tried: never within a transaction, for it takes its time."""
    secret = body.secret(vendor)
    if not body.skip_test:
        require_working(hub, vendor, secret, body.test_model)
    return secret


def _unmoved(change: Changes, tried: Vendor) -> Vendor:
    """Return a provider that a key was tried at. Raises Conflict when it is elsewhere now."""
    vendor = vendors.find(change.connection, tried.id)
    if vendor.base_url != tried.base_url:
        raise Conflict(f"{vendor.name} has just moved to another address. Try again.")
    return vendor


def _require_enabled(*, enabled: bool) -> None:
    if not enabled:
        raise InvalidRequest("A provider that is not to serve is removed.", param="enabled")


def _address(kind: str, base_url: str | None) -> str | None:
    """Return a base URL that can be called, None for the vendor's own. Raises InvalidRequest."""
    try:
        profile = profile_of(kind, base_url or None)
        Origin.parse(profile.address(base_url or None))
    except ValueError as error:
        raise InvalidRequest(f"baseUrl: {error}.", param="baseUrl") from None
    return base_url or None
