"""Room on the disk: no call is begun while what is left may be needed to settle others."""

import shutil
from pathlib import Path

# Kept for settlements, each some kilobytes of write-ahead log.
ROOM_MIN_BYTES = 4 * 1024 * 1024
INTERVAL_S = 1.0


def shortage(folder: Path) -> str | None:
    """Return what to tell operators when too little is free where the database lies, or None."""
    free = shutil.disk_usage(folder).free
    if free >= ROOM_MIN_BYTES:
        return None
    return f"the disk is full: {free // 1024} KiB are free"
