"""All scenarios by name."""

from tests.faults.server import bodies, events, heads, statuses, unreachable
from tests.faults.server.fault import Fault

FAULTS: dict[str, Fault] = {
    name: fault
    for module in (unreachable, heads, statuses, bodies, events)
    for name, fault in module.FAULTS.items()
}
FAMILIES = tuple(f"F{number:02}" for number in range(1, 29))
assert {name[:3] for name in FAULTS} == set(FAMILIES)
