"""Two hubs over one database, each with a data directory of its own."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tests.faults.test_kill import stream
from tests.hub import HubProcess

SLOW = "gpt-slow:40+long:60"


def test_a_second_hub_does_not_take_the_first_ones_calls_for_dead(
    new_hub: Callable[..., HubProcess], tmp_path: Path
):
    hub = new_hub(models=[SLOW], billing={"enabled": True})
    hub.grant("1000")
    got: list[str] = []
    began = threading.Event()
    reader = threading.Thread(target=stream, args=(hub, SLOW, got, began))
    reader.start()
    assert began.wait(10)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(hub.folder / "secret.key", elsewhere)
    command = [sys.executable, "-m", "aigne_hub", "serve", "--port", "0"]
    command += ["--data-dir", str(elsewhere), "--database-url", f"sqlite:///{hub.folder}/hub.db"]
    with subprocess.Popen(
        command, env=hub.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as second:
        assert second.stdout is not None
        assert second.stdout.readline().startswith(b"ready ")
        reader.join(20)
        second.terminate()
    (call,) = hub.calls_when_closed(1)
    assert (call["outcome"], call["usage_source"]) == ("completed", "provider")
    assert len([word for word in got if word]) == 60
    hub.verified()
