"""Where the hub is reached, known without opening its database."""

from collections.abc import Mapping

from aigne_hub.hub_file import load_hub_file
from aigne_hub.settings import Settings

# What a server listens on to mean every interface, and where it is then reached from here.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not listened on


def local_url(settings: Settings) -> str:
    """Return the address of a hub with these settings as seen from its own machine."""
    host = LOOPBACK.get(settings.host, settings.host)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.port}"


def public_url(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the address clients use: the declared one, else the local one. Raises ConfigError."""
    declared = load_hub_file(settings.config, environ).public_url
    return local_url(settings) if declared is None else str(declared).rstrip("/")
