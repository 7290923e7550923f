"""Copying the write-ahead log back, and stopping in the middle of it."""

import subprocess
import sys
from pathlib import Path

ROUNDS = 8
# A process of its own, because the driver crashes it when this goes wrong.
STOPPED = """
import os, sys, threading, time
from pathlib import Path
from aigne_hub.storage.checkpoint import Checkpointer
from aigne_hub.storage.engine import connect

path = Path(sys.argv[1])
journal = connect(path)
journal.execute("CREATE TABLE filler (data)")
for number in range(int(sys.argv[2])):
    journal.execute("BEGIN")
    rows = [(os.urandom(3000),) for _ in range(2000)]
    journal.executemany("INSERT INTO filler VALUES (?)", rows)
    journal.execute("COMMIT")
    checkpointer = Checkpointer(path)
    thread = threading.Thread(target=checkpointer.run)
    thread.start()
    time.sleep(0.001 * number)
    checkpointer.close()
    checkpointer.run()
    thread.join()
print("stopped")
"""


def test_stopping_waits_for_a_copy_under_way(tmp_path: Path):
    command = [sys.executable, "-c", STOPPED, str(tmp_path / "hub.db"), str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr
