"""What a store is handed, over real databases: SQLite files and one PostgreSQL server."""

import json
import shutil
from dataclasses import dataclass, field
from random import Random

import pytest
from tests.databases import create_database, migrated

from aigne_hub.cli import main
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.ids import IdFactory
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
def sqlite_template(tmp_path_factory):
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrated(f"sqlite:///{path}")
    return path


@pytest.fixture
def empty_postgres(postgres_uri, database_names):
    return create_database(postgres_uri, next(database_names), template="template0")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request, tmp_path):
    """The address of a migrated, empty database: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        return _sqlite_copy(request.getfixturevalue("sqlite_template"), tmp_path)
    return request.getfixturevalue("new_postgres")()


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


@pytest.fixture(scope="session")
def initialised(tmp_path_factory):
    """A data directory that `init` made, to be copied."""
    folder = tmp_path_factory.mktemp("template") / "data"
    assert main(["init", "--json", "--data-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def data_dir(initialised, tmp_path, monkeypatch):
    folder = shutil.copytree(initialised, tmp_path / "data")
    monkeypatch.setenv("AIGNE_HUB_DATA_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run(data_dir, capsys):
    """Run a command; return its exit code, what it printed as JSON, and standard error."""
    capsys.readouterr()

    def run(*arguments):
        code = main([*arguments, "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out), printed.err

    return run


@pytest.fixture
def user(run):
    code, made, _ = run("users", "create", "--email", "ada@example.com")
    assert code == 0
    return made
