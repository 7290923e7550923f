"""Every way in which a provider can fail, F01 to F28, over real sockets and by name.

A scenario is named after its family and its variant, `F14-seconds`; `catalogue.FAULTS` has them
all. The server runs in a thread beside a real hub and speaks the wires of Chat Completions,
Responses and Messages, whole and streamed:

    with FaultServer() as faults:
        config = {"name": "a", "base_url": faults.base_url("F14-seconds"), …}
        …
        faults.counts("F14-seconds").requests

A fault can also be that of a credential, wherever it is presented: `faults.set(key, scenario)`
until `faults.lift(key)`, and `faults.counts(key)`. The address of RIGHT answers well, and that of
CANARY is where redirects lead.
"""

from tests.faults.server.catalogue import FAULTS
from tests.faults.server.server import CANARY, RIGHT, FaultServer
from tests.faults.server.tally import Asked, Counts, Ended

__all__ = ["CANARY", "FAULTS", "RIGHT", "Asked", "Counts", "Ended", "FaultServer"]
