"""Callers with a permission, as parameters of routes: each is a Principal that has it."""

from typing import Annotated

from aigne_hub.domain.access import Principal
from aigne_hub.domain.permissions import Permission
from aigne_hub.web.api.access import requires

MayReadUsers = Annotated[Principal, requires(Permission.USERS_READ)]
MayWriteUsers = Annotated[Principal, requires(Permission.USERS_WRITE)]
MayWriteRoles = Annotated[Principal, requires(Permission.ROLES_WRITE)]
MayReadKeys = Annotated[Principal, requires(Permission.KEYS_READ)]
MayWriteKeys = Annotated[Principal, requires(Permission.KEYS_WRITE)]
MayReadUsage = Annotated[Principal, requires(Permission.USAGE_READ)]
MayReadCredits = Annotated[Principal, requires(Permission.CREDITS_READ)]
MayGrantCredits = Annotated[Principal, requires(Permission.CREDITS_GRANT)]
MayCorrectCredits = Annotated[Principal, requires(Permission.CREDITS_CORRECT)]
MayReadCodes = Annotated[Principal, requires(Permission.CODES_READ)]
MayWriteCodes = Annotated[Principal, requires(Permission.CODES_WRITE)]
MayReadPayments = Annotated[Principal, requires(Permission.PAYMENTS_READ)]
MayWritePayments = Annotated[Principal, requires(Permission.PAYMENTS_WRITE)]
MayWriteMeters = Annotated[Principal, requires(Permission.METERS_WRITE)]
MayReportUsage = Annotated[Principal, requires(Permission.METERS_REPORT)]
MayReadLimits = Annotated[Principal, requires(Permission.LIMITS_READ)]
MayWriteLimits = Annotated[Principal, requires(Permission.LIMITS_WRITE)]
MayReadProviders = Annotated[Principal, requires(Permission.PROVIDERS_READ)]
MayWriteProviders = Annotated[Principal, requires(Permission.PROVIDERS_WRITE)]
MayReadRates = Annotated[Principal, requires(Permission.RATES_READ)]
MayWriteRates = Annotated[Principal, requires(Permission.RATES_WRITE)]
MayReadRouting = Annotated[Principal, requires(Permission.ROUTING_READ)]
MayReadWebhooks = Annotated[Principal, requires(Permission.WEBHOOKS_READ)]
MayWriteWebhooks = Annotated[Principal, requires(Permission.WEBHOOKS_WRITE)]
MayReadSettings = Annotated[Principal, requires(Permission.SETTINGS_READ)]
MayWriteSettings = Annotated[Principal, requires(Permission.SETTINGS_WRITE)]
MayReadAudit = Annotated[Principal, requires(Permission.AUDIT_READ)]
