"""A proxy that lets nobody through and remembers where they wanted to go."""

import socket
import threading
from contextlib import suppress
from typing import Self

LINE_MAX = 4096


class ProxyTrap:
    """`wanted` has the first line of each request: a method and a host with its port."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._refuse, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def environ(self) -> dict[str, str]:
        """Return what sends a program's requests here, apart from those to this machine."""
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), self.address)
        every = {**proxies, "NO_PROXY": "127.0.0.1,localhost"}
        return every | {name.lower(): value for name, value in every.items()}

    def _refuse(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, suppress(OSError):
                    line = connection.recv(LINE_MAX).partition(b"\r\n")[0]
                    self.wanted.append(line.decode("latin-1").removesuffix(" HTTP/1.1"))
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
