"""Two hubs over one database, each with a data directory of its own."""

import copy
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.test_kill import stream
from tests.hub import HubProcess

SLOW = "gpt-slow:40+long:60"


@contextmanager
def second(hub: HubProcess, folder: Path) -> Iterator[HubProcess]:
    """Start another hub on the same database, with a data directory and a key file of its own."""
    folder.mkdir()
    shutil.copy(hub.folder / "secret.key", folder)
    other = copy.copy(hub)
    other.folder, other.process, other.port = folder, None, 0
    with other:
        other.start()
        yield other


def streaming(hub: HubProcess) -> tuple[threading.Thread, list[str]]:
    got: list[str] = []
    began = threading.Event()
    reader = threading.Thread(target=stream, args=(hub, SLOW, got, began))
    reader.start()
    assert began.wait(10)
    return reader, got


def test_a_second_hub_does_not_take_the_first_ones_calls_for_dead(
    new_hub: Callable[..., HubProcess], database: str, tmp_path: Path
):
    hub = new_hub(database=database, models=[SLOW], billing={"enabled": True})
    hub.grant("1000")
    reader, got = streaming(hub)
    with second(hub, tmp_path / "elsewhere"):
        reader.join(20)
    (call,) = hub.calls_when_closed(1)
    assert (call["outcome"], call["usage_source"]) == ("completed", "provider")
    assert len([word for word in got if word]) == 60
    hub.verified()


@pytest.mark.full
def test_a_hub_closes_the_calls_of_one_that_died_elsewhere(
    new_hub: Callable[..., HubProcess], tmp_path: Path
):
    hub = new_hub(database="postgres", models=[SLOW], billing={"enabled": True})
    hub.grant("1000")
    with second(hub, tmp_path / "elsewhere") as other:
        reader, _ = streaming(hub)
        hub.kill()
        reader.join(20)
        (call,) = other.calls_when_closed(1, within_s=40)
        assert call["outcome"] == "interrupted"
        assert call["output_tokens"] > 0
        other.verified()
