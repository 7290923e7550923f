"""The composition root: the only place that picks implementations.

`open_hub` gives what administration needs, on the command line and in the server;
`build_plane` adds what serving calls needs.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random  # noqa: TID251 - this is where randomness is handed in

from sqlalchemy import Engine

from aigne_hub.auth.verifier import Verifier
from aigne_hub.catalog.snapshot import Credential, Provider, Snapshot
from aigne_hub.clock import SystemClock
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.crypto.master_key import key_from_text, load_or_create_key
from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Conflict
from aigne_hub.domain.events import JITTER_PERCENT_MAX
from aigne_hub.domain.ids import IdFactory
from aigne_hub.gateway.head import MOUNT
from aigne_hub.gateway.idempotency import Kept
from aigne_hub.gateway.local import DemoUpstream
from aigne_hub.gateway.plane import Plane, PlaneSettings
from aigne_hub.hub_file import DEMO, HubFile, load_hub_file
from aigne_hub.payment_settings import misfits
from aigne_hub.ports import Clock
from aigne_hub.problems import ConfigError, Problem
from aigne_hub.providers.connecting import connected, misfit, prepare
from aigne_hub.providers.upstream import Upstream
from aigne_hub.reconcile import Reconciled, reconcile
from aigne_hub.settings import Settings
from aigne_hub.storage import (
    answers,
    changes,
    creation,
    engine,
    keys,
    passwords,
    setup,
    users,
)
from aigne_hub.storage.catalogue import load_snapshot
from aigne_hub.storage.checkpoint import Checkpointer
from aigne_hub.storage.credentials import (
    OtherIssuers,
    StoredKeys,
    StoredTokens,
    looked_up,
    signatures,
)
from aigne_hub.storage.journal import GroupCommitJournal
from aigne_hub.storage.liveness import FileLocks, Liveness, folder_of
from aigne_hub.storage.objects import StoredObjects
from aigne_hub.storage.outbox import Outbox
from aigne_hub.storage.pepper import load_or_create_pepper
from aigne_hub.storage.sqlite_journal import SqliteStore
from aigne_hub.storage.watch import SqliteWatch, Watch
from aigne_hub.telemetry import Counters
from aigne_hub.transport import Client, Timeouts
from aigne_hub.usage.tracker import Tracker

SECRET_KEY_FILE = "secret.key"  # noqa: S105 - a file's name
OWNER_EMAIL = "owner@localhost"
PAY_PATH = "/payment/checkout/pay"
# No proxy reaches what runs on this machine, such as a local Ollama.
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hub:
    """An opened data directory: its database, its keys, its clock and its configuration."""

    settings: Settings
    hub_file: HubFile
    engine: Engine
    keyring: Keyring
    pepper: bytes
    clock: Clock
    ids: Callable[[], str]

    def with_file(self, hub_file: HubFile) -> "Hub":
        return replace(self, hub_file=hub_file)

    def public_url(self) -> str:
        """Return the address the hub is reached at, without a trailing slash."""
        declared = self.hub_file.public_url
        if declared is not None:
            return str(declared).rstrip("/")
        host = self.settings.host
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.settings.port}"


@dataclass(frozen=True, slots=True)
class Initialised:
    """What `init` made: the owner, and secrets whose text exists only here."""

    owner: users.User
    api_key: str = field(repr=False)
    setup_token: str = field(repr=False)


def open_hub(settings: Settings, environ: Mapping[str, str]) -> Hub:
    """Open the data directory, making and upgrading what a first start needs.

    A SQLite database is upgraded by itself; PostgreSQL, which others may be using, waits for
    `aigne-hub db upgrade` unless it is empty. Raises StorageError, KeyFileRefused,
    ConfigError or SchemaMismatch.
    """
    hub_file = load_hub_file(settings.config, environ)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock = SystemClock()
    database = engine.create_engine(settings.database_url)
    engine.require_usable(database)
    creation.bring_up_to_date(database)
    keyring = open_keyring(settings)
    return Hub(
        settings=settings,
        hub_file=hub_file,
        engine=database,
        keyring=keyring,
        pepper=load_or_create_pepper(database, keyring, os.urandom),
        clock=clock,
        ids=IdFactory(lambda: clock.now_us() // 1000, _seeded()),
    )


def _seeded() -> Callable[[int], int]:
    """Return a source of random bits for ids, which are no secrets: half the cost of one."""
    return Random(os.urandom(32)).getrandbits  # noqa: S311 - as the docstring says


def open_keyring(settings: Settings) -> Keyring:
    """Return the keyring of AIGNE_HUB_SECRET_KEY, else of the data directory's key file."""
    if settings.secret_key is not None:
        kek = key_from_text(settings.secret_key.get_secret_value())
    else:
        kek = load_or_create_key(settings.data_dir / SECRET_KEY_FILE, os.urandom)
    return Keyring(kek, key_id=None, randbytes=os.urandom)


def is_new(hub: Hub) -> bool:
    """Tell whether nobody has initialised this hub yet."""
    with engine.reading(hub.engine) as connection:
        return not users.listed(connection)


def initialise(hub: Hub, email: str | None = None) -> Initialised:
    """Create the owner, the first API key and the one-time set-up token.

    Declarations are applied first, so that the owner gets what new users are promised.
    Raises Conflict when the hub has an owner already.
    """
    owned = Conflict("This hub has an owner already. `aigne-hub users list` shows who.")
    if not is_new(hub):
        raise owned
    apply_declarations(hub)
    with changes.changes(hub.engine, hub.clock, hub.ids, actor="init") as change:
        # Asked again once nobody else can be initialising the same database.
        if users.listed(change.connection):
            raise owned
        owner = users.create(
            change, hub.keyring, os.urandom, email=email or OWNER_EMAIL, role=Role.OWNER
        )
        key = keys.create(change, hub.keyring, os.urandom, hub.pepper, user=owner, name="first key")
        token = setup.begin(change, os.urandom)
    return Initialised(owner, key.text, token)


def owner_of(hub: Hub) -> users.User:
    """Return the oldest owner."""
    with engine.reading(hub.engine) as connection:
        return next(user for user in users.listed(connection) if user.role is Role.OWNER)


def claim(
    hub: Hub, token: str, email: str, password_hash: str | None
) -> tuple[users.User, str] | None:
    """Make the hub its starter's: name the owner, return them and a new key; None for a used link.

    Raises InvalidRequest or Conflict for the e-mail, and the link stays open.
    """
    with changes.changes(hub.engine, hub.clock, hub.ids, actor="setup") as change:
        if not setup.is_open(change.connection, token):
            return None
        owner = next(u for u in users.listed(change.connection) if u.role is Role.OWNER)
        owner = users.set_email(change, owner, email)
        if password_hash is not None:
            passwords.put(change, owner, password_hash)
        made = keys.create(change, hub.keyring, os.urandom, hub.pepper, user=owner, name="set-up")
        setup.finish(change)
    return owner, made.text


def may_claim(hub: Hub, token: str) -> str | None:
    """Return the id of the owner whom a set-up token is to name, None for a used one."""
    with engine.reading(hub.engine) as connection:
        if not setup.is_open(connection, token):
            return None
        return next(u.id for u in users.listed(connection) if u.role is Role.OWNER)


def apply_declarations(hub: Hub) -> Reconciled:
    """Bring the database in line with hub.yaml; raises ConfigError for an unusable provider."""
    problems = provider_problems(hub.hub_file) + payment_problems(hub)
    if problems:
        raise ConfigError(str(hub.settings.config), problems)
    return reconcile(hub.engine, hub.hub_file, hub.keyring, hub.clock, hub.ids)


def provider_problems(hub_file: HubFile) -> list[Problem]:
    """Return what is wrong with declared providers that no adapter can call."""
    problems = []
    for index, declared in enumerate(hub_file.providers):
        secrets = [one.api_key.get_secret_value() for one in declared.credentials]
        found = None
        if declared.kind != DEMO:
            found = misfit(declared.kind, declared.base_url, secrets)
        if found is not None:
            problems.append(Problem(f"providers[{index}].{found[0]}", 0, found[1]))
    return problems


def read_snapshot(hub: Hub) -> Snapshot:
    """Read the configuration in force, and load what calls the providers in it."""
    with engine.reading(hub.engine) as connection:
        snapshot = load_snapshot(connection, hub.keyring)
    for model in snapshot.models.values():
        if model.provider.kind != DEMO:
            prepare(model.provider, model.name, model.type)
    return snapshot


@dataclass(frozen=True, slots=True)
class Backing:
    """What one serving process has of its database. The caller starts the journal on its loop.

    `checkpointer` and `folder`, whose disk must not fill up, are there for SQLite only.
    """

    journal: GroupCommitJournal
    liveness: Liveness
    watch: Watch
    checkpointer: Checkpointer | None = None
    folder: Path | None = None


def open_backing(hub: Hub, process_id: str) -> Backing:
    """Open what a serving process needs; needs a running loop."""
    if hub.engine.dialect.name == "sqlite":
        return _on_sqlite(hub, process_id)
    from aigne_hub.storage import postgres  # noqa: PLC0415 - at first use; its driver is an extra

    return Backing(
        GroupCommitJournal(
            postgres.open_store(
                hub.settings.database_url,
                process_id=process_id,
                clock=hub.clock,
                jitter=secrets.SystemRandom().random,
            ),
            new_id=hub.ids,
        ),
        postgres.SessionLocks(
            hub.engine,
            hub.settings.data_dir / "processes",
            process_id,
            monotonic_us=hub.clock.monotonic_us,
        ),
        postgres.open_watch(hub.settings.database_url, jitter=secrets.SystemRandom().random),
    )


def _on_sqlite(hub: Hub, process_id: str) -> Backing:
    path = engine.sqlite_path(hub.settings.database_url)
    store = SqliteStore(
        engine.connect(path),
        process_id=process_id,
        now_us=hub.clock.now_us,
        jitter=secrets.SystemRandom().random,
    )
    return Backing(
        GroupCommitJournal(store, new_id=hub.ids),
        FileLocks(folder_of(path), process_id),
        SqliteWatch(path),
        Checkpointer(path),
        hub.settings.data_dir,
    )


def open_client(hub: Hub) -> Client:
    limits = hub.hub_file.limits
    timeouts = Timeouts(first_byte=limits.upstream_first_byte_s, idle=limits.stream_idle_s)
    return Client(
        timeouts=timeouts,
        body_max=limits.upstream_body_mib * _MIB,
        connections_max=limits.calls_in_flight,
        proxy=hub.settings.upstream_proxy,
        direct=LOCAL_HOSTS,
    )


def open_outbox(hub: Hub) -> Outbox:
    """Return what webhooks are sent from."""
    return Outbox(hub.engine, hub.keyring, hub.clock, lambda: secrets.randbelow(JITTER_PERCENT_MAX))


class StoredAnswers:
    """gateway.idempotency.Answers over the database, read in a thread."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def kept(self, call_id: str) -> Kept | None:
        return await looked_up(lambda: self._kept(call_id))

    def _kept(self, call_id: str) -> Kept | None:
        with engine.reading(self._hub.engine) as connection:
            row = answers.kept(connection, call_id)
        return None if row is None else Kept(*row)


def payment_problems(hub: Hub) -> list[Problem]:
    """Return what keeps payments from running at the address the hub is reached at."""
    file = hub.hub_file
    found = misfits(file.billing.payments, hub.public_url(), production=file.production)
    return [Problem(f"billing.payments.{key}", 0, message) for key, message in found]


def plane_settings(hub: Hub) -> PlaneSettings:
    billing = hub.hub_file.billing
    return PlaneSettings(
        billing=billing.enabled,
        payment_link=str(billing.payment_link or f"{hub.public_url()}{PAY_PATH}/credits"),
        public_url=hub.public_url(),
        in_flight_max=hub.hub_file.limits.calls_in_flight,
        head_within_s=hub.hub_file.limits.head_within_s,
        routing=hub.hub_file.routing.rules,
    )


def build_plane(
    hub: Hub, journal: GroupCommitJournal, client: Client, counters: Counters, snapshot: Snapshot
) -> Plane:
    """Wire the data plane of one process."""

    def connect(provider: Provider, credential: Credential, language: str) -> Upstream:
        if provider.kind == DEMO:
            return DemoUpstream(hub.clock, hub.ids)
        return connected(client, provider, credential, language, hub.clock)

    return Plane(
        settings=plane_settings(hub),
        snapshot=snapshot,
        connect=connect,
        verifier=Verifier(
            StoredKeys(hub.engine),
            StoredTokens(hub.engine, hub.clock, hub.public_url, _other_issuers(hub, client)),
            hub.pepper,
            hub.clock.now_us,
        ),
        signatures=signatures(hub.engine, hub.clock, hub.public_url, (MOUNT,)),
        tracker=Tracker(journal, hub.clock),
        answers=StoredAnswers(hub),
        objects=StoredObjects(hub.engine, hub.clock, hub.ids),
        clock=hub.clock,
        new_id=hub.ids,
        draw=secrets.SystemRandom().random,
        counters=counters,
    )


def _other_issuers(hub: Hub, client: Client) -> OtherIssuers | None:
    declared = hub.hub_file.oauth.issuers
    if not declared:
        return None
    from aigne_hub.providers.issuer_keys import ExternalTokens  # noqa: PLC0415 - few hubs have any

    return ExternalTokens([one.trusted() for one in declared], client, hub.clock)
