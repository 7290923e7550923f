"""Certificates, right and wrong, and the authority that a hub is told to trust."""

import datetime as dt
import ssl
from functools import cached_property
from pathlib import Path

import trustme

RIGHT, EXPIRED, WRONG_HOST, UNKNOWN = "right", "expired", "wrong host", "unknown authority"
DAY = dt.timedelta(days=1)


class Authority:
    """`environ` makes a hub trust it, and the system's no more."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "authority.pem"
        self._contexts: dict[str, ssl.SSLContext] = {}

    @property
    def environ(self) -> dict[str, str]:
        self._trusted.cert_pem.write_to_path(str(self._file))
        return {"SSL_CERT_FILE": str(self._file)}

    def context(self, certificate: str) -> ssl.SSLContext:
        """Return what a server shows this certificate with."""
        context = self._contexts.get(certificate)
        if context is None:
            context = self._contexts[certificate] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority = trustme.CA() if certificate == UNKNOWN else self._trusted
            host = "elsewhere.test" if certificate == WRONG_HOST else "localhost"
            now = dt.datetime.now(dt.UTC)
            when = {}
            if certificate == EXPIRED:
                when = {"not_before": now - 2 * DAY, "not_after": now - DAY}
            authority.issue_cert(host, **when).configure_cert(context)
        return context

    @cached_property
    def _trusted(self) -> trustme.CA:
        return trustme.CA()
