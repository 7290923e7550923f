import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from aigne_hub.bootstrap import Hub
from aigne_hub.catalog.snapshot import Credential, Provider, Snapshot
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.cli.failures import FAILED
from aigne_hub.cli.resting import resting
from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.health import Episode, State
from aigne_hub.gateway import live
from aigne_hub.gateway.health import Board
from aigne_hub.hub_file import DEMO, HubFile
from aigne_hub.providers.profiles import profile_of
from aigne_hub.server.checks import chosen, note
from aigne_hub.server.probe import Probe, Target, probe
from aigne_hub.storage import target_health
from aigne_hub.storage.catalogue import load_snapshot
from aigne_hub.web.api.routing_documents import target_document

COLUMNS = ("name", "kind", "base_url", "credentials", "models", "health")
TEST_COLUMNS = ("provider", "credential", "ok", "status", "latency_ms", "detail", "fix")

app = group("Where calls go.")


def declared(hub_file: HubFile) -> dict[str, Provider]:
    """Return the providers of hub.yaml by name, whether or not a server has read it yet."""
    return {
        provider.name: Provider(
            id="",
            name=provider.name,
            kind=provider.kind,
            base_url=provider.base_url,
            trusted=True,
            credentials=tuple(
                Credential("", one.name, one.weight, one.api_key.get_secret_value(), one.priority)
                for one in provider.credentials
            ),
        )
        for provider in hub_file.providers
    }


def known(hub_file: HubFile, stored: Mapping[str, Provider]) -> dict[str, Provider]:
    """Return what is stored and what hub.yaml declares; without either, the built-in provider."""
    found = {**stored, **declared(hub_file)}
    return found or {DEMO: Provider("", DEMO, DEMO, None, trusted=True, credentials=())}


@command(app, "list")
def list_providers(cli: Invocation) -> None:
    """List providers, their addresses, the names of their credentials, and what is barred."""
    with cli.reading() as (hub, connection):
        snapshot = load_snapshot(connection, hub.keyring)
        unwell = _unwell(hub, snapshot, target_health.episodes(connection))
    found = known(hub.hub_file, snapshot.providers).values()
    models = _models(hub.hub_file, snapshot)
    documents = [_document(provider, models, unwell) for provider in found]
    if not cli.output.as_json:
        for document, provider in zip(documents, found, strict=True):
            document["credentials"] = [_share(credential) for credential in provider.credentials]
            document["health"] = _health(unwell.get(provider.name, []))
    cli.output.rows(documents, COLUMNS)


@command(app, "test")
def try_provider(
    cli: Invocation,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The provider.")],
    credential: Annotated[
        str | None, typer.Option(metavar="C", help="Only this credential (default: each).")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="A model that the provider must offer.")
    ] = None,
) -> None:
    """Ask a provider for its models with each key; exits 1 when one does not work.

    A running hub uses the keys accordingly from the next second on.
    """
    with cli.reading() as (hub, connection):
        stored = load_snapshot(connection, hub.keyring).providers
    targets = _targets(known(hub.hub_file, stored), name, credential)
    wanted = None if model is None else model.removeprefix(f"{name}/")
    with cli.output.waiting(f"Asking {name}"):
        results = probe(targets, cli.environ, model=wanted)
    _tell_hub(hub, targets, results, stored.get(name))
    ok = all(result.ok for result in results)
    if cli.output.as_json:
        document = {"ok": ok, "provider": name, "results": [_result(result) for result in results]}
        cli.output.document(document)
    else:
        cli.output.rows([_result(result) for result in results], TEST_COLUMNS)
    if not ok:
        raise typer.Exit(FAILED)


def _targets(providers: Mapping[str, Provider], name: str, credential: str | None) -> list[Target]:
    provider = providers.get(name)
    if provider is None:
        raise NotFound(f"There is no provider {name[:80]!r}. Known are: {', '.join(providers)}.")
    return chosen(provider, credential)


def _tell_hub(hub: Hub, tried: list[Target], results: list[Probe], stored: Provider | None) -> None:
    """Let a running hub hear what was shown of the keys that it uses."""
    if stored is None:
        return
    used = {one.name: one.secret for one in stored.credentials}
    told = [
        result
        for target, result in zip(tried, results, strict=True)
        if target.credential is not None
        and used.get(target.credential.name) == target.credential.secret
        and target.provider.base_url == stored.base_url
    ]
    board = Board(hub.clock, secrets.SystemRandom().random)
    board.learn(target_health.known(hub.engine))
    note(board, told)
    target_health.record(hub.engine, board.taken())


def _models(hub_file: HubFile, snapshot: Snapshot) -> list[str]:
    """Return the provider's name once for every model."""
    references = {*snapshot.models, *(model.model for model in hub_file.models)}
    return [reference.partition("/")[0] for reference in references]


def _unwell(
    hub: Hub, snapshot: Snapshot, episodes: Mapping[str, Episode]
) -> dict[str, list[dict[str, Any]]]:
    """Return, by provider, the targets that are barred or were lately."""
    router = resting(hub, snapshot)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in live.seen(router, live.keys(router, None), episodes):
        if one.state is not State.HEALTHY:
            found.setdefault(one.key.provider, []).append(target_document(one))
    return found


def _health(unwell: list[dict[str, Any]]) -> str:
    """Return what is wrong with a provider's targets, in words."""
    said = []
    for one in unwell:
        about = f" ({one['fault']})" if one["fault"] else ""
        said.append(f"{one['target']} is {one['state']}{about} until {one['until']}")
    return "; ".join(said) or State.HEALTHY.value


def _document(
    provider: Provider, models: list[str], unwell: Mapping[str, list[dict[str, Any]]]
) -> dict[str, object]:
    return {
        "name": provider.name,
        "kind": provider.kind,
        "base_url": provider.base_url or _vendor_url(provider),
        "credentials": [credential.name for credential in provider.credentials],
        "shares": [
            {"credential": one.name, "priority": one.priority, "weight": one.weight}
            for one in provider.credentials
        ],
        "models": models.count(provider.name),
        "unwell": unwell.get(provider.name, []),
    }


def _share(credential: Credential) -> str:
    return f"{credential.name} (priority {credential.priority}, weight {credential.weight})"


def _vendor_url(provider: Provider) -> str | None:
    if provider.kind == DEMO:
        return None
    try:
        return profile_of(provider.kind, None).base_url
    except ValueError:  # the kind has no address of its own
        return None


def _result(result: Probe) -> dict[str, object]:
    return {
        "provider": result.provider,
        "credential": result.credential,
        "ok": result.ok,
        "status": result.status,
        "latency_ms": result.latency_ms,
        "detail": result.detail,
        "fix": result.fix,
    }
