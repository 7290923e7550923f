"""Names whose addresses a test changes while a hub runs.

A hub of the nursery that finds NAMES in its environment asks the file there before the system's
resolver. No server of names, and no rights, are needed for it.
"""

import asyncio
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAMES = "HUB_TEST_NAMES"
_END = ".faults.test"


class Names:
    """Addresses by name, in a file."""

    nowhere = f"nowhere{_END}"
    first = "127.0.0.1"
    moved = "127.0.0.2"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._addresses: dict[str, str] = {}
        self._write()

    @property
    def environ(self) -> dict[str, str]:
        return {NAMES: str(self._path)}

    def host(self, scenario: str) -> str:
        """Return a scenario's name."""
        name = f"{scenario.lower()}{_END}"
        if name not in self._addresses:
            self._addresses[name] = self.first
            self._write()
        return name

    def move(self, scenario: str) -> None:
        """Let a scenario's name lead somewhere else from now on."""
        self._addresses[self.host(scenario)] = self.moved
        self._write()

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._addresses))
        new.replace(self._path)


def install(path: str) -> None:
    """Let this process's hub ask the file at `path` for names that end as ours do."""
    from aigne_hub.transport import client  # noqa: PLC0415 - a hub's process has imported it

    system = client.system_resolver

    async def resolved(host: str, port: int) -> Sequence[tuple[int, tuple[Any, ...]]]:
        if not host.endswith(_END):
            return await system(host, port)
        text = await asyncio.to_thread(Path(path).read_text)
        address = json.loads(text).get(host)
        if address is None:
            raise socket.gaierror(socket.EAI_NONAME, os.strerror(2))
        return [(socket.AF_INET, (address, port))]

    client.system_resolver = resolved
