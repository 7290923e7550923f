"""What a caller may put into a key that it makes for somebody: nothing that it lacks itself."""

from collections.abc import Collection, Sequence

from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.errors import Forbidden
from aigne_hub.domain.permissions import Permissions, require_may_give


def require_may_make_key(
    giver: Principal,
    holder: Permissions,
    *,
    scopes: Collection[Scope],
    models: Sequence[str],
    expires_us: int | None,
) -> None:
    """Raise Forbidden for a key that could do, reach or outlast more than the caller's own.

    `holder` are the permissions of the user whose key it is to be. A caller that is kept to
    some models hands on patterns of its own.
    """
    require_may_give(giver.rights, holder)
    lacking = sorted(scope.value for scope in set(scopes) - giver.scopes)
    if lacking:
        raise Forbidden(f"Your key lacks the scope {', '.join(lacking)}, so no key of it has it.")
    if giver.models and not (models and set(models) <= set(giver.models)):
        allowed = ", ".join(giver.models)
        raise Forbidden(f"Your key is kept to models; give some of its patterns: {allowed}.")
    if giver.expires_us is not None and (expires_us is None or expires_us > giver.expires_us):
        raise Forbidden("Your key expires, and no key that it makes outlasts it.")
