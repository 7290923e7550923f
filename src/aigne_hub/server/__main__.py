"""A worker under a supervisor: `python -m aigne_hub.server LISTENER SHARES INDEX`.

The first two are file descriptors.
"""

import os
import socket
import sys

from aigne_hub.server.acceptor import Shares
from aigne_hub.server.supervisor import announce_to_supervisor
from aigne_hub.server.worker import Place, run_worker
from aigne_hub.settings import load_settings

_listener, _shares, _index = map(int, sys.argv[1:])
run_worker(
    load_settings(os.environ),
    os.environ,
    Place(socket.socket(fileno=_listener), Shares(_shares), _index),
    announce_to_supervisor,
)
