"""Running the hub: one process, or a supervisor over several."""

from aigne_hub.server.supervisor import serve

__all__ = ["serve"]
