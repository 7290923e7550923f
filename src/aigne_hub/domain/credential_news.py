"""What the owner of a hub is told of its credentials: one does not work, one works again."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from aigne_hub.domain.events import EventType, event_id
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.health import Standing
from aigne_hub.domain.instants import format_instant

# A secret is never shown, not even in part.
MASK: Final = "********"
REASONS: Final[Mapping[Fault, str]] = {
    Fault.REFUSED: "The provider refuses the key: it is wrong, expired or revoked.",
    Fault.EXHAUSTED: "The provider says that its account has no credit left.",
}
# A key that is refused once may meet a provider's bad minute; twice in a row it does not.
_CONFIRMED_BY: Final[Mapping[Fault, int]] = {Fault.REFUSED: 2, Fault.EXHAUSTED: 1}
_SEPARATOR: Final = ":"
_PARTS_MAX: Final = 2


class CredentialNews(NamedTuple):
    """One thing to tell. `since_us` is when the credential was barred first."""

    type: EventType
    provider: str
    credential: str
    reason: str
    since_us: int

    @property
    def id(self) -> str:
        """The event's id: the same for whoever tells of the same bar."""
        return event_id(self.type, self.provider, self.credential, str(self.since_us))

    def document(self) -> dict[str, object]:
        return {
            "provider": self.provider,
            "credential": self.credential,
            "key": MASK,
            "reason": self.reason,
            "since": format_instant(self.since_us),
        }


def credential_in(target: str) -> tuple[str, str] | None:
    """Return the provider and the credential that a target names, None for a provider alone."""
    parts = target.split(_SEPARATOR, _PARTS_MAX)
    return (parts[0], parts[1]) if len(parts) >= _PARTS_MAX else None


def is_worth_telling(standing: Standing) -> bool:
    """Tell whether a credential is known not to work, and not only one of its models."""
    if standing.fault is None or standing.target.count(_SEPARATOR) != 1:
        return False
    bars = _CONFIRMED_BY.get(standing.fault)
    return bars is not None and standing.bars >= bars


def disabled(standing: Standing, since_us: int) -> CredentialNews:
    """Return the news of a standing that is worth telling."""
    named = credential_in(standing.target)
    assert named is not None
    assert standing.fault is not None
    reason = REASONS[standing.fault]
    return CredentialNews(EventType.CREDENTIAL_DISABLED, *named, reason, since_us)


def restored(target: str, since_us: int) -> CredentialNews:
    """Return the news that a credential, which was told of, works again."""
    named = credential_in(target)
    assert named is not None
    return CredentialNews(EventType.CREDENTIAL_RESTORED, *named, "It works again.", since_us)
