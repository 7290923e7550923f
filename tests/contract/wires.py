"""A hub with one provider of each wire, and an upstream that answers what a test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.scripted import Scripted
from tests.hub import HubProcess

# `plain` speaks chat completions alone.
KINDS = {
    "openai": ("openai", "/v1"),
    "plain": ("openai-compatible", "/v1"),
    "anthropic": ("anthropic", ""),
    "google": ("google", ""),
}
RATES = {
    "input": "1000",
    "output": "2000",
    "cache_read": "100",
    "cache_write": "1250",
    "cache_write_1h": "1600",
}
_MEDIA = [
    ("openai/draws", "image", {"image": "0.06"}),
    ("openai/embeds", "embedding", {"input": "10"}),
    ("google/embeds", "embedding", {"input": "10"}),
    ("openai/moderates", "moderation", {"request": "0.25"}),
    ("openai/speaks", "speech", {"input": "1000", "audio_output": "2000"}),
    ("openai/hears", "transcription", {"input": "1000", "output": "2000"}),
]


@contextmanager
def running(folder: Path, upstream: Scripted) -> Iterator[HubProcess]:
    """Run the hub, and see at the end that its books are in order and that it had no fault."""
    providers = [
        {
            "name": name,
            "kind": kind,
            "base_url": f"{upstream.url}/{name}{mount}",
            "credentials": [{"name": "main", "api_key": "sk-wires"}],
        }
        for name, (kind, mount) in KINDS.items()
    ]
    models: list[dict[str, Any]] = [
        {"model": f"{name}/m", "type": "chat", "rates": RATES, "max_output_tokens": 4_000}
        for name in KINDS
    ]
    models += [{"model": model, "type": kind, "rates": rates} for model, kind, rates in _MEDIA]
    config = {"providers": providers, "models": models, "billing": {"enabled": True}}
    with HubProcess(folder, config) as hub:
        hub.grant("100000")
        yield hub
        assert hub.balance()["held"] == "0"
        hub.verified()
        assert "Traceback" not in hub.log()
