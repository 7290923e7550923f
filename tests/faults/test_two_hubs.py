"""Two hubs over one database, each with a data directory of its own."""

import copy
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.conftest import config_for
from tests.databases import create_database
from tests.faults.test_kill import stream
from tests.hub import HubProcess
from tests.patience import PATIENCE_S
from tests.upstream.client import FakeUpstream

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
    assert began.wait(PATIENCE_S)
    return reader, got


def test_a_second_hub_does_not_take_the_first_ones_calls_for_dead(
    new_hub: Callable[..., HubProcess], database: str, tmp_path: Path
):
    hub = new_hub(database=database, models=[SLOW], billing={"enabled": True})
    hub.grant("1000")
    reader, got = streaming(hub)
    with second(hub, tmp_path / "elsewhere"):
        reader.join(PATIENCE_S)
    (call,) = hub.calls_when_closed(1)
    assert (call["outcome"], call["usage_source"]) == ("completed", "provider")
    assert len([word for word in got if word]) == 60
    hub.verified()


def test_hubs_that_start_at_once_on_an_empty_database_are_one_hub(
    postgres_uri: str, database_names: Iterator[str], upstream: FakeUpstream, tmp_path: Path
):
    url = create_database(postgres_uri, next(database_names), template="template0")
    config = tmp_path / "hub.yaml"
    config.write_text(yaml.safe_dump({"version": 1, **config_for(upstream)}))
    environ = {
        **os.environ,
        "AIGNE_HUB_DATABASE_URL": url,
        "AIGNE_HUB_SECRET_KEY": "ab" * 32,
        "AIGNE_HUB_CONFIG": str(config),
    }
    hub = [sys.executable, "-m", "aigne_hub"]
    served = [
        subprocess.Popen(
            [*hub, "serve", "--port", "0", "--welcome", "--data-dir", str(tmp_path / name)],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two", "three")
    ]
    try:
        said = []
        for process in served:
            assert process.stdout is not None
            said.append([process.stdout.readline() for _ in range(4)])
        (key,) = [line.split()[-1] for lines in said for line in lines if "API key" in line]
        for lines in said:
            port = int(lines[0].strip().rpartition(":")[2])
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/models", headers={"Authorization": f"Bearer {key}"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.status == 200
    finally:
        for process in served:
            with process:
                process.terminate()
    assert [process.returncode for process in served] == [0, 0, 0]


@pytest.mark.full
def test_a_hub_closes_the_calls_of_one_that_died_elsewhere(
    new_hub: Callable[..., HubProcess], tmp_path: Path
):
    hub = new_hub(database="postgres", models=[SLOW], billing={"enabled": True})
    hub.grant("1000")
    with second(hub, tmp_path / "elsewhere") as other:
        reader, _ = streaming(hub)
        hub.kill()
        reader.join(PATIENCE_S)
        (call,) = other.calls_when_closed(1, within_s=90)
        assert call["outcome"] == "interrupted"
        assert call["output_tokens"] > 0
        other.verified()
