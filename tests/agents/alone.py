"""Run a command without any network but its own loopback: `python -m tests.agents.alone COMMAND…`.

Agents call home in ways that no setting turns off and no proxy sees. Where the system gives a
process a network of its own (Linux, as root or with user namespaces), nothing gets out; elsewhere
the dead proxy that every agent is given is all there is, and a line says so.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

# linux/sched.h and linux/if.h, linux/sockios.h
CLONE_NEWNET = 0x40000000
CLONE_NEWUSER = 0x10000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
# Tells the tests whether it worked.
ALONE = "AGENTS_ALONE"


def _unshare(flags: int) -> bool:
    try:
        return ctypes.CDLL(None).unshare(flags) == 0
    except (AttributeError, OSError):  # not Linux
        return False


def leave_the_network() -> bool:
    """Give this process a network of its own with a loopback; tell whether the system let it."""
    uid, gid = os.getuid(), os.getgid()
    if not _unshare(CLONE_NEWNET):
        if not _unshare(CLONE_NEWUSER | CLONE_NEWNET):
            return False
        me = Path("/proc/self")
        (me / "uid_map").write_text(f"{uid} {uid} 1")
        (me / "setgroups").write_text("deny")
        (me / "gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    return True


def main() -> None:
    is_alone = leave_the_network()
    if not is_alone:
        print("No network of one's own here: agents only have a dead proxy.", file=sys.stderr)
    os.environ[ALONE] = "1" if is_alone else "0"
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
