"""A worker under a supervisor: `python -m aigne_hub.server FD`."""

import os
import socket
import sys

from aigne_hub.server.supervisor import announce_to_supervisor
from aigne_hub.server.worker import run_worker
from aigne_hub.settings import load_settings

run_worker(
    load_settings(os.environ),
    os.environ,
    socket.socket(fileno=int(sys.argv[1])),
    announce_to_supervisor,
)
