from collections.abc import Iterator, Mapping
from dataclasses import asdict

import typer

from aigne_hub.bootstrap import open_hub, read_snapshot
from aigne_hub.catalog.snapshot import Provider
from aigne_hub.cli import checks
from aigne_hub.cli.base_url import mistake
from aigne_hub.cli.checks import Check
from aigne_hub.cli.context import Invocation, command, single
from aigne_hub.cli.failures import FAILED
from aigne_hub.cli.payment_checks import payment_checks
from aigne_hub.cli.providers import known
from aigne_hub.clock import SystemClock
from aigne_hub.hub_file import load_hub_file
from aigne_hub.problems import ConfigError
from aigne_hub.server.probe import Probe, probe, targets_of
from aigne_hub.settings import Settings

app = single()


@command(app)
def doctor(cli: Invocation) -> None:
    """Check everything a hub needs, providers included; exits 1 when something fails."""
    with cli.output.waiting("Looking"):
        found = list(_examine(cli))
    ok = all(check.ok for check in found)
    cli.output.checks({"ok": ok, "checks": [asdict(check) for check in found]})
    if not ok:
        raise typer.Exit(FAILED)


def _examine(cli: Invocation) -> Iterator[Check]:
    """Yield one check after the other; what rests on a failed one is left out."""
    try:
        settings = cli.settings()
    except ConfigError as error:
        fix = "correct the options and variables named"
        yield Check("settings", ok=False, detail=str(error), fix=fix)
        return
    yield Check("settings", ok=True, detail=f"data in {settings.data_dir}")
    hub_file = checks.hub_file(settings, cli.environ)
    yield hub_file
    yield checks.data_dir(settings)
    yield checks.disk(settings)
    secret_key = checks.secret_key(settings)
    yield secret_key
    sqlite = checks.sqlite(settings)
    if sqlite is not None:
        yield sqlite
    opens = hub_file.ok and secret_key.ok
    if sqlite is None or sqlite.ok:
        database = checks.database(settings, keyed=secret_key.ok)
        opens = opens and database.ok
        yield database
    yield checks.port(settings)
    results: list[Probe] = []
    if opens:
        providers = _providers(settings, cli.environ)
        yield from _addresses(providers)
        results = probe(
            [target for provider in providers.values() for target in targets_of(provider)],
            cli.environ,
        )
        yield from map(_reached, results)
        yield from _money(settings, cli.environ)
    instants = [result.server_us for result in results if result.server_us is not None]
    yield checks.clock(settings, SystemClock().now_us(), instants)


def _providers(settings: Settings, environ: Mapping[str, str]) -> dict[str, Provider]:
    """Return every provider, without making a database that is not there."""
    if checks.database_is_new(settings):
        return known(load_hub_file(settings.config, environ), {})
    hub = open_hub(settings, environ)
    try:
        return known(hub.hub_file, read_snapshot(hub).providers)
    finally:
        hub.engine.dispose()


def _money(settings: Settings, environ: Mapping[str, str]) -> list[Check]:
    """Check payments and webhooks, once there is a database that knows them."""
    if checks.database_is_new(settings):
        return []
    hub = open_hub(settings, environ)
    try:
        return list(payment_checks(hub))
    finally:
        hub.engine.dispose()


def _addresses(providers: Mapping[str, Provider]) -> Iterator[Check]:
    for provider in providers.values():
        if provider.base_url is None:
            continue
        wrong = mistake(provider.base_url)
        name = f"base_url of {provider.name}"
        if wrong is None:
            yield Check(name, ok=True, detail=provider.base_url)
        else:
            detail, fix = wrong
            yield Check(name, ok=False, detail=f"{provider.base_url} {detail}", fix=fix)


def _reached(result: Probe) -> Check:
    key = f", key {result.credential}" if result.credential else ""
    return Check(f"provider {result.provider}{key}", result.ok, result.detail, result.fix)
