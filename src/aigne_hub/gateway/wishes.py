"""What a caller wishes for the choice of its upstream, within what the operator allows.

    x-aigne-hub-routing: policy=latency; providers=openai,azure

`policy` is one of `domain.routing.Policy`; `providers` are the only ones that may serve the
call. A wish that is not allowed is refused: ignored, it would be believed to hold.
"""

from typing import NamedTuple

from aigne_hub.catalog.snapshot import Model
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.routing import Hint, Policy

HEADER = b"x-aigne-hub-routing"
WISHES_BYTES_MAX = 1_024


class Wishes(NamedTuple):
    """`providers` is empty for any."""

    policy: Policy | None = None
    providers: tuple[str, ...] = ()

    def among(self, models: tuple[Model, ...]) -> tuple[Model, ...]:
        """Return the models of the wished providers, in the order of the wish.

        Raises InvalidRequest when there is none.
        """
        if not self.providers:
            return models
        found = tuple(
            model for name in self.providers for model in models if model.provider.name == name
        )
        if not found:
            named = ", ".join(sorted({model.provider.name for model in models}))
            raise _refused(f"none of these providers serves the model; {named} would")
        return found


NONE = Wishes()


def read_wishes(value: bytes, allowed: frozenset[Hint]) -> Wishes:
    """Read the header. Raises InvalidRequest for what is not understood or not allowed."""
    if len(value) > WISHES_BYTES_MAX:
        raise _refused(f"it is longer than {WISHES_BYTES_MAX} bytes")
    wishes = NONE
    for part in value.decode("latin-1").split(";"):
        name, has_value, said = part.partition("=")
        hint = _hint(name.strip().lower(), allowed) if has_value else None
        if hint is None:
            raise _refused("it is written policy=NAME or providers=NAME,NAME, joined by ;")
        if hint is Hint.POLICY:
            wishes = wishes._replace(policy=_policy(said.strip().lower()))
        else:
            names = tuple(one.strip() for one in said.split(",") if one.strip())
            wishes = wishes._replace(providers=tuple(dict.fromkeys(names)))
    return wishes


def _hint(name: str, allowed: frozenset[Hint]) -> Hint | None:
    if name not in set(Hint):
        return None
    hint = Hint(name)
    if hint not in allowed:
        raise _refused(f"this hub's operator does not let callers choose the {name}")
    return hint


def _policy(name: str) -> Policy:
    if name not in set(Policy):
        raise _refused(f"a policy is one of {', '.join(Policy)}")
    return Policy(name)


def _refused(why: str) -> InvalidRequest:
    header = HEADER.decode()
    return InvalidRequest(f"The header {header} cannot be followed: {why}.", param=header)
