"""What `doctor` looks at on this machine. No check changes anything that lasts."""

import http.client
import json
import os
import shutil
import socket
import stat
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from sqlalchemy.exc import DBAPIError

from aigne_hub.bootstrap import SECRET_KEY_FILE, open_keyring
from aigne_hub.cli.address import LOOPBACK, local_url
from aigne_hub.cli.context import is_new
from aigne_hub.crypto.master_key import KeyFileRefused, load_or_create_key
from aigne_hub.hub_file import check_hub_file
from aigne_hub.problems import ConfigError
from aigne_hub.settings import Settings
from aigne_hub.storage import engine, migrate
from aigne_hub.storage.engine import StorageError
from aigne_hub.storage.pepper import load_or_create_pepper

DISK_FREE_MIN = 512 * 1024 * 1024
SKEW_S_MAX = 60
HEALTH_S = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """`fix` is what to do, empty when `ok`."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def database_is_new(settings: Settings) -> bool:
    """Tell whether a first start would make the database; one that does not answer is not new."""
    if is_new(settings):
        return True
    try:
        opened = engine.create_engine(settings.database_url)
        try:
            return migrate.current(opened) is None
        finally:
            opened.dispose()
    except (DBAPIError, StorageError):
        return False


def hub_file(settings: Settings, environ: Mapping[str, str]) -> Check:
    """Check hub.yaml as a start would read it; unset variables are named."""
    if settings.config is None:
        return Check("hub.yaml", ok=True, detail="none: the defaults hold, demo is offered")
    problems = check_hub_file(settings.config, environ)
    if not problems:
        return Check("hub.yaml", ok=True, detail=str(settings.config))
    detail = str(ConfigError(str(settings.config), problems))
    fix = "correct the lines named; set variables where the hub is started"
    return Check("hub.yaml", ok=False, detail=detail, fix=fix)


def data_dir(settings: Settings) -> Check:
    """Check that the data directory can be written, or made."""
    folder = _existing(settings.data_dir)
    fix = f"let the user who runs the hub own {settings.data_dir}, or name another --data-dir"
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check("data directory", ok=False, detail=f"{folder}: {error.strerror}", fix=fix)
    if folder != settings.data_dir:
        detail = f"{settings.data_dir} does not exist; the first start makes it"
        return Check("data directory", ok=True, detail=detail)
    if os.name == "posix" and stat.S_IMODE(folder.stat().st_mode) & stat.S_IWOTH:
        detail = f"{folder} may be written by everyone on this machine"
        return Check("data directory", ok=False, detail=detail, fix=f"chmod 700 {folder}")
    return Check("data directory", ok=True, detail=f"{folder} can be written")


def disk(settings: Settings) -> Check:
    folder = _existing(settings.data_dir)
    free = shutil.disk_usage(folder).free
    detail = f"{free // 1024**2} MiB free at {folder}"
    fix = f"free at least {DISK_FREE_MIN // 1024**2} MiB: calls fail when the disk is full"
    ok = free >= DISK_FREE_MIN
    return Check("disk space", ok=ok, detail=detail, fix="" if ok else fix)


def secret_key(settings: Settings) -> Check:
    """Check that the secret key is there, well formed and nobody else's to read."""
    file = settings.data_dir / SECRET_KEY_FILE
    if settings.secret_key is None and not file.exists():
        if database_is_new(settings):
            return Check("secret key", ok=True, detail="the first start makes it")
        fix = f"put the key this database was made with back at {file}, mode 0600"
        return Check("secret key", ok=False, detail=f"{file} is missing", fix=fix)
    try:
        if settings.secret_key is None:
            load_or_create_key(file, os.urandom)
            return Check("secret key", ok=True, detail=f"{file}, readable by its owner only")
        open_keyring(settings)
    except (KeyFileRefused, ValueError) as error:
        fix = "restore the key, with mode 0600 if it is a file"
        return Check("secret key", ok=False, detail=str(error), fix=fix)
    return Check("secret key", ok=True, detail="AIGNE_HUB_SECRET_KEY")


def sqlite(settings: Settings) -> Check | None:
    """Check the SQLite library; None when the database is another."""
    if not settings.database_url.startswith("sqlite:"):
        return None
    try:
        version = engine.sqlite_module().sqlite_version
    except StorageError as error:
        fix = "pip install 'pysqlite3>=0.6.1', or use PostgreSQL"
        return Check("SQLite", ok=False, detail=str(error), fix=fix)
    return Check("SQLite", ok=True, detail=f"version {version}, without the WAL-reset defect")


def database(settings: Settings, *, keyed: bool) -> Check:
    """Check that the database answers, has this version's schema and opens with the key.

    `keyed` says that the secret key is sound, so that the last can be tried.
    """
    if database_is_new(settings):
        return Check("database", ok=True, detail="is not there yet; the first start makes it")
    try:
        return _opened(settings, keyed=keyed)
    except StorageError as error:
        cause, _, fix = str(error).partition(". ")
        return Check("database", ok=False, detail=cause, fix=fix or "see the message")
    except (DBAPIError, OSError) as error:
        cause = str(getattr(error, "orig", error)).partition("\n")[0]
        fix = "see that it runs, can be reached and lets this user in; else restore a backup"
        return Check("database", ok=False, detail=f"does not open: {cause}", fix=fix)


def port(settings: Settings) -> Check:
    """Check that the port is free, or that a hub answers there."""
    if settings.port == 0:
        return Check("port", ok=True, detail="0: the system chooses one")
    where = f"{settings.host}:{settings.port}"
    try:
        _bind(settings)
    except OSError as error:
        if _hub_answers(settings):
            return Check("port", ok=True, detail=f"a hub answers at {local_url(settings)}")
        fix = "stop what uses it, or choose another with --host and --port"
        return Check("port", ok=False, detail=f"{where}: {error.strerror}", fix=fix)
    return Check("port", ok=True, detail=f"{where} is free")


def clock(settings: Settings, now_us: int, servers_us: list[int]) -> Check:
    """Compare this machine's clock with the file system's and with the providers' answers."""
    others = [("a provider's", instant) for instant in servers_us]
    try:
        with TemporaryFile(dir=_existing(settings.data_dir)) as file:
            others.append(("the file system's", os.fstat(file.fileno()).st_mtime_ns // 1_000))
    except OSError:
        pass  # that the directory cannot be written is another check's to say
    for whose, instant in others:
        seconds = (now_us - instant) // 1_000_000
        if abs(seconds) > SKEW_S_MAX:
            detail = f"differs from {whose} by {seconds} s"
            fix = "synchronise the clock (NTP): keys, grants and tokens expire by it"
            return Check("clock", ok=False, detail=detail, fix=fix)
    compared = f"agrees with {len(others)} other{'' if len(others) == 1 else 's'}"
    return Check("clock", ok=True, detail=compared)


def _opened(settings: Settings, *, keyed: bool) -> Check:
    opened = engine.create_engine(settings.database_url)
    try:
        engine.require_usable(opened)
        revision = migrate.current(opened)
        migrate.require_current(opened)
        if not keyed:
            return Check("database", ok=True, detail=f"schema {revision}; its key was not tried")
        load_or_create_pepper(opened, open_keyring(settings), os.urandom)
    finally:
        opened.dispose()
    return Check("database", ok=True, detail=f"schema {revision}, opens with the secret key")


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _bind(settings: Settings) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with closing(socket.socket(family, kind, protocol)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)


def _hub_answers(settings: Settings) -> bool:
    host = LOOPBACK.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=HEALTH_S)
    try:
        connection.request("GET", "/health/live")
        answer = json.loads(connection.getresponse().read(1_024))
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return isinstance(answer, dict) and answer.get("status") == "ok"
