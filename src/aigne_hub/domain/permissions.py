"""What may be done to the hub, by name; roles are sets of these.

Whoever gives rights has them: a role, a key and a user are only made by somebody who may do
everything they may do.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from aigne_hub.domain.errors import Forbidden, InvalidRequest

_SHOWN_MAX: Final = 80


class Permission(StrEnum):
    """One administrative right over everybody's objects; one's own account takes none."""

    USERS_READ = "users.read"
    USERS_WRITE = "users.write"
    ROLES_WRITE = "roles.write"
    KEYS_READ = "keys.read"
    KEYS_WRITE = "keys.write"
    APPS_READ = "apps.read"
    APPS_WRITE = "apps.write"
    CALLS_READ = "calls.read"
    USAGE_READ = "usage.read"
    CREDITS_READ = "credits.read"
    CREDITS_GRANT = "credits.grant"
    CREDITS_CORRECT = "credits.correct"
    CODES_READ = "codes.read"
    CODES_WRITE = "codes.write"
    PAYMENTS_READ = "payments.read"
    PAYMENTS_WRITE = "payments.write"
    METERS_READ = "meters.read"
    METERS_WRITE = "meters.write"
    METERS_REPORT = "meters.report"
    LIMITS_READ = "limits.read"
    LIMITS_WRITE = "limits.write"
    PROVIDERS_READ = "providers.read"
    PROVIDERS_WRITE = "providers.write"
    RATES_READ = "rates.read"
    RATES_WRITE = "rates.write"
    ROUTING_READ = "routing.read"
    WEBHOOKS_READ = "webhooks.read"
    WEBHOOKS_WRITE = "webhooks.write"
    SETTINGS_READ = "settings.read"
    SETTINGS_WRITE = "settings.write"
    AUDIT_READ = "audit.read"


Permissions = frozenset[Permission]

NOTHING: Final[Permissions] = frozenset()
EVERYTHING: Final[Permissions] = frozenset(Permission)
# What no role but the owner's has.
OWNERS_ONLY: Final[Permissions] = frozenset({Permission.ROLES_WRITE})

MEANINGS: Final[Mapping[Permission, str]] = MappingProxyType(
    {
        Permission.USERS_READ: "see users and what they are",
        Permission.USERS_WRITE: "create, disable and enable users and service accounts",
        Permission.ROLES_WRITE: "give users another role, and make, change and remove roles",
        Permission.KEYS_READ: "see the keys of others, never their text",
        Permission.KEYS_WRITE: "make and revoke keys of others, and approve connections for them",
        Permission.APPS_READ: "see what applications used",
        Permission.APPS_WRITE: "register, change and bar applications and OAuth clients",
        Permission.CALLS_READ: "see everybody's calls",
        Permission.USAGE_READ: "see everybody's usage, summed up",
        Permission.CREDITS_READ: "see everybody's credit, grants and transactions",
        Permission.CREDITS_GRANT: "give credit, and change or end what was given",
        Permission.CREDITS_CORRECT: "refund and rerate calls, and take back grants",
        Permission.CODES_READ: "see redemption codes",
        Permission.CODES_WRITE: "make and revoke redemption codes",
        Permission.PAYMENTS_READ: "see everybody's orders, payment links and top-ups",
        Permission.PAYMENTS_WRITE: "make orders and links, confirm, refuse and refund payments",
        Permission.METERS_READ: "see everybody's metered usage",
        Permission.METERS_WRITE: "make and change meters",
        Permission.METERS_REPORT: "charge usage that a program metered",
        Permission.LIMITS_READ: "see everybody's limits",
        Permission.LIMITS_WRITE: "set and remove limits",
        Permission.PROVIDERS_READ: "see providers' addresses and the names of their keys",
        Permission.PROVIDERS_WRITE: "change providers and their keys, and try them",
        Permission.RATES_READ: "see what models cost the operator, and margins",
        Permission.RATES_WRITE: "price models",
        Permission.ROUTING_READ: "see where calls go, and why",
        Permission.WEBHOOKS_READ: "see everybody's webhooks and what was delivered",
        Permission.WEBHOOKS_WRITE: "make, remove, try and replay everybody's webhooks",
        Permission.SETTINGS_READ: "see settings of programs",
        Permission.SETTINGS_WRITE: "change settings of programs and the currency's description",
        Permission.AUDIT_READ: "read the audit log",
    }
)


def permission_named(text: str) -> Permission:
    """Return a permission by its name. Raises InvalidRequest."""
    try:
        return Permission(text)
    except ValueError:
        raise InvalidRequest(
            f"There is no permission {text[:_SHOWN_MAX]!r}; known are {', '.join(Permission)}.",
            param="permissions",
        ) from None


def may_give(giver: Permissions, given: Permissions) -> bool:
    """Tell whether somebody with `giver` may make a credential or user that may do `given`."""
    return given <= giver


def require_may_give(giver: Permissions, given: Permissions) -> None:
    """Raise Forbidden when more is given than the giver has."""
    if not may_give(giver, given):
        missing = ", ".join(sorted(given - giver))
        raise Forbidden(f"You cannot give or manage rights that you lack: {missing}.")
