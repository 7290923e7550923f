"""Every router of the API, for the application and for the OpenAPI document."""

from fastapi import APIRouter

from aigne_hub.web.aigne.apps import apps_router
from aigne_hub.web.aigne.blocklet import blocklet_router
from aigne_hub.web.aigne.connect import connect_router
from aigne_hub.web.aigne.key_tests import KeyTests, key_tests_router
from aigne_hub.web.aigne.model_rates import model_rates_router
from aigne_hub.web.aigne.models import models_router
from aigne_hub.web.aigne.nothing_to_do import nothing_to_do_routers
from aigne_hub.web.aigne.providers import providers_router
from aigne_hub.web.aigne.status import status_router
from aigne_hub.web.aigne.trends import all_trends_router, trends_router
from aigne_hub.web.aigne.user_stats import user_stats_routers
from aigne_hub.web.api.account import account_router
from aigne_hub.web.api.admin_credit import admin_credit_router
from aigne_hub.web.api.admin_payments import admin_payments_router
from aigne_hub.web.api.admin_roles import admin_roles_router
from aigne_hub.web.api.admin_users import admin_users_router
from aigne_hub.web.api.alerts import alerts_router
from aigne_hub.web.api.audit import audit_router
from aigne_hub.web.api.bulk_rates import bulk_rates_router
from aigne_hub.web.api.credit_lists import credit_lists_router
from aigne_hub.web.api.explain import explain_router
from aigne_hub.web.api.limits import limits_router
from aigne_hub.web.api.model_calls import model_calls_router
from aigne_hub.web.api.payments import payments_router
from aigne_hub.web.api.provider_checks import provider_checks_router
from aigne_hub.web.api.rates import rates_router
from aigne_hub.web.api.routing import routing_router
from aigne_hub.web.api.sessions import sessions_router
from aigne_hub.web.api.usage import usage_router
from aigne_hub.web.api.webhooks import webhook_routers
from aigne_hub.web.did.connect import did_connect_routers
from aigne_hub.web.did.document import did_document_router
from aigne_hub.web.kit.routers import kit_routers


def api_routers() -> list[APIRouter]:
    return [
        account_router(),
        admin_credit_router(),
        alerts_router(),
        audit_router(),
        credit_lists_router(),
        explain_router(),
        limits_router(),
        model_calls_router(),
        provider_checks_router(),
        rates_router(),
        routing_router(),
        bulk_rates_router(),
        sessions_router(),
        usage_router(),
        payments_router(),
        admin_payments_router(),
        admin_roles_router(),
        admin_users_router(),
        *webhook_routers(),
        *kit_routers(),
        *did_connect_routers(),
        did_document_router(),
        blocklet_router(),
        connect_router(),
        models_router(),
        apps_router(),
        status_router(),
        trends_router(),
        all_trends_router(),
        *user_stats_routers(),
        *nothing_to_do_routers(),
        *aigne_routers(),
    ]


def aigne_routers() -> list[APIRouter]:
    """Return the routes on providers and rates; the older name is not in the OpenAPI document."""
    tests = KeyTests()
    return [
        router
        for prefix, listed in (("/api/ai-providers", True), ("/api/ai", False))
        for router in (
            model_rates_router(prefix, listed=listed),
            key_tests_router(prefix, tests, listed=listed),
            providers_router(prefix, listed=listed),
        )
    ]
