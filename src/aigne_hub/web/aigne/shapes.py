"""Providers, credentials and rates as AIGNE Hub's clients read them (wire/aigne.md, section 2)."""

from typing import Any, Final

from aigne_hub.catalog.price_import import Priced
from aigne_hub.domain.instants import format_instant
from aigne_hub.storage.declarations import Origin
from aigne_hub.storage.vendors import CredentialRecord, Vendor
from aigne_hub.web.api.unit_prices import TYPE_NAMES, per_token, per_unit

# A secret is never shown, not even in part.
MASK: Final = "********"


def provider_shown(vendor: Vendor, *, whole: bool) -> dict[str, Any]:
    """Return a provider; where it is reached and its keys' names are for administrators."""
    shown = {
        "id": vendor.id,
        "name": vendor.name,
        "displayName": vendor.name,
        "enabled": True,
        "baseUrl": (vendor.base_url or "") if whole else "",
        "region": "",
    }
    if whole:
        shown |= {
            "kind": vendor.kind,
            "declared": vendor.origin == Origin.FILE,
            "createdAt": format_instant(vendor.created_us),
            "credentials": [credential_shown(vendor, one) for one in vendor.credentials],
        }
    return shown


def credential_shown(vendor: Vendor, credential: CredentialRecord) -> dict[str, Any]:
    return {
        "id": credential.id,
        "providerId": vendor.id,
        "name": credential.name,
        "credentialType": "api_key",
        "displayText": credential.name,
        "maskedValue": MASK,
        "active": True,
        "error": None,
        "weight": credential.weight,
        "priority": credential.priority,
        "declared": credential.origin == Origin.FILE,
        "createdAt": format_instant(credential.created_us),
    }


def rate_shown(priced: Priced, vendor: Vendor, *, whole: bool) -> dict[str, Any]:
    """Return a model with its prices; what the provider charges is for administrators."""
    offered = priced.offered
    read, wrote = per_unit(offered.type, priced.rates)
    shown = {
        "id": priced.model_id,
        "providerId": vendor.id,
        "model": offered.name,
        "modelDisplay": offered.name,
        "description": "",
        "type": TYPE_NAMES.get(offered.type, offered.type),
        "inputRate": read,
        "outputRate": wrote,
        "unitCosts": None,
        "caching": {
            name: per_token(priced.rates[unit])
            for name, unit in (("readRate", "cache_read"), ("writeRate", "cache_write"))
            if unit in priced.rates
        },
        "deprecated": False,
        "status": None,
        "declared": priced.declared,
        "provider": provider_shown(vendor, whole=False),
    }
    if whole and priced.cost:
        cost_read, cost_wrote = per_unit(offered.type, priced.cost)
        shown["unitCosts"] = {"input": cost_read, "output": cost_wrote}
    return shown
