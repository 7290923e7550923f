"""Running the hub: one process, or a supervisor over several."""

from aigne_hub.server.supervisor import CannotListen, Started, serve

__all__ = ["CannotListen", "Started", "serve"]
