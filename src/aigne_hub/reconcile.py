"""Bring what hub.yaml declares into the database, and take back what it no longer declares."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Engine

from aigne_hub.catalog.model_limits import limits_of
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.hub_file import DEMO, DeclaredModel, DeclaredProvider, HubFile
from aigne_hub.ports import Clock
from aigne_hub.settings import Billing
from aigne_hub.storage import accounts, declarations, meters, prices, roles
from aigne_hub.storage.changes import Changes, changes
from aigne_hub.storage.declarations import (
    Effect,
    Kind,
    Origin,
)

SOURCE = prices.DECLARED
DOLLARS = "usd"

# The built-in provider: no vendor, no secret, no charge.
_DEMO_CREDENTIAL = "builtin"
_DEMO_CREDENTIAL_WEIGHT = 100
_DEMO_TYPES = {"demo/echo": "chat", "demo/embed": "embedding", "demo/image": "image"}


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a run changed, each as kind and name, such as `model openai/gpt-4o-mini`."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def reconcile(
    engine: Engine, hub_file: HubFile, keyring: Keyring, clock: Clock, ids: Callable[[], str]
) -> Reconciled:
    """Make the database offer what the file declares, in one transaction.

    Only objects of origin `file` are removed; one that an administrator made and the file now
    declares becomes the file's. Every account gets the file's overdraft, or as much more as
    it already owes and holds. A second run changes nothing and announces nothing.
    """
    with changes(engine, clock, ids, actor=SOURCE) as change:
        run = _Run(change, keyring)
        with_demo = _offers_demo(change, hub_file)
        run.providers(hub_file.providers, with_demo=with_demo)
        run.models(_declared_models(hub_file, with_demo=with_demo))
        run.aliases(hub_file)
        run.roles(hub_file)
        run.remove_undeclared()
        run.terms(hub_file.billing)
        meters.ensure_own(change)
    return run.done


class _Run:
    """One reconciliation: what has been declared so far, and what that changed."""

    def __init__(self, change: Changes, keyring: Keyring) -> None:
        self.done = Reconciled()
        self._change = change
        self._keyring = keyring
        self._declared: set[tuple[Kind, str]] = set()

    def providers(self, providers: Iterable[DeclaredProvider], *, with_demo: bool) -> None:
        for provider in providers:
            if provider.name == DEMO:
                continue
            self._provider(provider.name, provider.kind, provider.base_url)
            for credential in provider.credentials:
                self._credential(
                    provider.name,
                    credential.name,
                    secret=credential.api_key.get_secret_value(),
                    weight=credential.weight,
                    priority=credential.priority,
                )
        if with_demo:
            self._provider(DEMO, DEMO, None)
            self._credential(DEMO, _DEMO_CREDENTIAL, secret="", weight=_DEMO_CREDENTIAL_WEIGHT)

    def models(self, models: Iterable[DeclaredModel]) -> None:
        for model in models:
            provider, _, name = model.model.partition("/")
            known = limits_of(name)
            put = declarations.put_model(
                self._change,
                provider,
                name,
                type=model.type,
                max_output_tokens=model.max_output_tokens or known.max_output_tokens,
                context_tokens=model.context_tokens or known.context_tokens,
                origin=Origin.FILE,
            )
            self._note(Kind.MODEL, model.model, put.effect)
            self._price(model, put.id)

    def aliases(self, hub_file: HubFile) -> None:
        for name, alias in hub_file.aliases.items():
            effect = declarations.put_alias(
                self._change,
                name,
                model=alias.model,
                fallbacks=alias.fallbacks,
                policy=alias.policy,
                origin=Origin.FILE,
            )
            self._note(Kind.ALIAS, name, effect)

    def roles(self, hub_file: HubFile) -> None:
        for name, permissions in hub_file.roles.items():
            effect = roles.put(self._change, name, permissions, origin=Origin.FILE)
            self._count(effect, f"role {name}")
        gone = roles.remove_undeclared(self._change, hub_file.roles)
        self.done.removed.extend(f"role {name}" for name in gone)

    def remove_undeclared(self) -> None:
        for found in declarations.declared(self._change.connection, Origin.FILE):
            if (found.kind, found.name) not in self._declared:
                declarations.remove(self._change, found)
                self.done.removed.append(f"{found.kind} {found.name}")

    def terms(self, billing: Billing) -> None:
        connection = self._change.connection
        payments = billing.payments
        dollars = payments.credit_price if payments.currency == DOLLARS else None
        wanted = accounts.Terms(billing.overdraft, billing.new_user_credits, dollars)
        if accounts.terms(connection) != wanted:
            accounts.set_terms(connection, wanted)
            self._change.audit("billing.terms", "*", wanted._asdict())
            self.done.updated.append("billing")
        if accounts.set_overdraft(connection, billing.overdraft):
            self._change.audit("account.overdraft", "*", {"overdraft": billing.overdraft})
            self.done.updated.append("overdraft")

    def _price(self, model: DeclaredModel, model_id: str) -> None:
        """Take the file's prices; a model it declares without any keeps what it was given."""
        amounts, cost = model.rates.amounts(), model.cost.amounts()
        if not amounts and not cost:
            source = declarations.source_of_rates(self._change.connection, model_id)
            if source not in {None, SOURCE}:
                return
        priced = declarations.put_rates(self._change, model_id, amounts, cost=cost, source=SOURCE)
        self._count(priced, f"rates {model.model}")

    def _provider(self, name: str, kind: str, base_url: str | None) -> None:
        put = declarations.put_provider(
            self._change, name, kind=kind, base_url=base_url, origin=Origin.FILE
        )
        self._note(Kind.PROVIDER, name, put.effect)

    def _credential(
        self, provider: str, name: str, *, secret: str, weight: int, priority: int = 0
    ) -> None:
        put = declarations.put_credential(
            self._change,
            self._keyring,
            provider,
            name,
            secret=secret,
            weight=weight,
            priority=priority,
            origin=Origin.FILE,
        )
        self._note(Kind.CREDENTIAL, f"{provider}/{name}", put.effect)

    def _note(self, kind: Kind, name: str, effect: Effect) -> None:
        self._declared.add((kind, name))
        self._count(effect, f"{kind} {name}")

    def _count(self, effect: Effect, what: str) -> None:
        if effect is Effect.CREATED:
            self.done.created.append(what)
        elif effect is Effect.UPDATED:
            self.done.updated.append(what)


def _offers_demo(change: Changes, hub_file: HubFile) -> bool:
    """Tell whether the built-in provider is declared, or the only one there is."""
    targets = [model.model for model in hub_file.models]
    for alias in hub_file.aliases.values():
        targets += [alias.model, *alias.fallbacks]
    if any(target.startswith(f"{DEMO}/") for target in targets):
        return True
    if hub_file.providers:
        return any(provider.name == DEMO for provider in hub_file.providers)
    return not any(
        found.kind is Kind.PROVIDER
        for found in declarations.declared(change.connection, Origin.API)
    )


def _declared_models(hub_file: HubFile, *, with_demo: bool) -> list[DeclaredModel]:
    """Return the file's models and the built-in ones that it does not declare itself."""
    models = list(hub_file.models)
    if with_demo:
        named = {model.model for model in models}
        models += [
            DeclaredModel.model_validate({"model": name, "type": kind, "rates": {"request": "0"}})
            for name, kind in _DEMO_TYPES.items()
            if name not in named
        ]
    return models
