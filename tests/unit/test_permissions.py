"""Roles and rights: nobody gives what they do not have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.access import Principal, Role, Scope
from aigne_hub.domain.errors import Forbidden, InvalidRequest
from aigne_hub.domain.new_keys import require_may_make_key
from aigne_hub.domain.permissions import (
    EVERYTHING,
    MEANINGS,
    OWNERS_ONLY,
    Permission,
    may_give,
    permission_named,
    require_may_give,
)
from aigne_hub.domain.roles import BUILT_IN, require_may_assign, require_new_role, role_named

RIGHTS = st.frozensets(st.sampled_from(Permission))
SCOPES = st.frozensets(st.sampled_from(Scope), min_size=1)


def principal(permissions, scopes):
    return Principal("user", "did", "key", "app", "x", scopes, permissions=permissions)


def refused(check, *arguments):
    try:
        check(*arguments)
    except Forbidden:
        return True
    return False


@given(RIGHTS, RIGHTS)
def test_what_is_given_is_part_of_what_the_giver_has(giver, given_rights):
    assert may_give(giver, given_rights) == (not given_rights - giver)
    assert refused(require_may_give, giver, given_rights) != may_give(giver, given_rights)


@given(RIGHTS, SCOPES)
def test_a_key_may_do_what_its_role_may_within_its_scopes(permissions, scopes):
    key = principal(permissions, scopes)
    assert key.rights <= permissions
    for one in Permission:
        allowed = one in permissions and Scope.ADMIN in scopes
        assert key.may(one) == allowed
        assert refused(key.require, one) != allowed


@given(st.lists(st.tuples(st.sampled_from(Role), RIGHTS, SCOPES), max_size=6))
def test_no_chain_of_gifts_ends_with_more_than_its_beginning(gifts):
    """Each holder makes the next with a role of its choice; only owners get past themselves."""
    holder = BUILT_IN[Role.ADMIN]
    for role, own, scopes in gifts:
        for name, rights in ((role, BUILT_IN[role]), ("custom", own)):
            giver = principal(holder, scopes).rights
            if not refused(require_may_assign, giver, name, rights):
                assert rights <= giver
                assert name not in {Role.OWNER, Role.ADMIN}
                holder = rights
    assert holder <= BUILT_IN[Role.ADMIN]


MODELS = st.lists(st.sampled_from(["openai/*", "demo/echo"]), max_size=2, unique=True)
EXPIRES = st.none() | st.integers(1, 3)


@given(RIGHTS, SCOPES, MODELS, EXPIRES, RIGHTS, SCOPES, MODELS, EXPIRES)
def test_a_key_can_do_reach_and_outlast_no_more_than_its_makers(
    rights, scopes, models, expires, holder, new_scopes, new_models, new_expires
):
    giver = Principal(
        *("user", "did", "key", "app", "x", scopes, tuple(models), expires), permissions=rights
    )
    try:
        require_may_make_key(
            giver, holder, scopes=new_scopes, models=new_models, expires_us=new_expires
        )
    except Forbidden:
        return
    made = Principal(
        *("u", "d", "k", "a", "y", new_scopes, tuple(new_models), new_expires), permissions=holder
    )
    assert made.rights <= giver.rights
    assert made.scopes <= giver.scopes
    for model in ("openai/gpt", "demo/echo", "other/model"):
        assert giver.may_use(model) or not made.may_use(model)
    assert expires is None or (new_expires is not None and new_expires <= expires)


def test_a_key_as_able_as_its_makers_is_made():
    giver = principal(EVERYTHING, frozenset(Scope))
    require_may_make_key(giver, EVERYTHING, scopes=set(Scope), models=(), expires_us=None)


def test_only_owners_make_owners_and_admins():
    admin, owner = BUILT_IN[Role.ADMIN], BUILT_IN[Role.OWNER]
    for role in (Role.OWNER, Role.ADMIN):
        require_may_assign(owner, role, BUILT_IN[role])
        with pytest.raises(Forbidden):
            require_may_assign(admin, role, BUILT_IN[role])
    for role in (Role.MEMBER, Role.GUEST):
        require_may_assign(admin, role, BUILT_IN[role])


def test_the_built_in_roles_stand_one_above_the_other():
    assert set(BUILT_IN) == set(Role)
    assert BUILT_IN[Role.OWNER] == EVERYTHING
    assert BUILT_IN[Role.OWNER] - BUILT_IN[Role.ADMIN] == OWNERS_ONLY
    assert BUILT_IN[Role.MEMBER] == BUILT_IN[Role.GUEST] == frozenset()


@pytest.mark.parametrize("name", ["owner", "admin", "member", "guest", "", "Support", "1st", "a b"])
def test_what_a_role_of_ones_own_is_not_called(name):
    with pytest.raises(InvalidRequest):
        require_new_role(name, frozenset())


def test_no_role_of_ones_own_makes_roles():
    with pytest.raises(InvalidRequest, match=r"roles\.write"):
        require_new_role("support", frozenset({Permission.ROLES_WRITE}))
    require_new_role("support", EVERYTHING - OWNERS_ONLY)


def test_names_are_read_back():
    assert role_named("owner") is Role.OWNER
    assert role_named("support") == "support"
    assert permission_named("calls.read") is Permission.CALLS_READ
    with pytest.raises(InvalidRequest, match=r"calls\.read"):
        permission_named("calls")


def test_every_permission_says_what_it_is_for():
    assert set(MEANINGS) == set(Permission)
    assert all(MEANINGS.values())
