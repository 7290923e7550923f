"""Principals that cannot be built empty, and what roles, scopes and patterns allow."""

from dataclasses import FrozenInstanceError
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.access import DEFAULT_SCOPES, Principal, Role, Scope, at_least
from aigne_hub.domain.errors import Forbidden, Unauthenticated


def principal(**more) -> Principal:
    values = {
        "user_id": "user",
        "user_did": "did:abt:user",
        "key_id": "key",
        "app_did": "did:abt:app",
        "role": Role.MEMBER,
        "scopes": DEFAULT_SCOPES,
    }
    return Principal(**{**values, **more})


@pytest.mark.parametrize("name", ["user_id", "user_did", "key_id", "app_did"])
@pytest.mark.parametrize("empty", ["", None])
def test_a_principal_cannot_be_built_empty(name, empty):
    with pytest.raises(ValueError, match="names its user"):
        principal(**{name: empty})


def test_a_principal_cannot_be_promoted_after_it_was_verified():
    with pytest.raises(FrozenInstanceError):
        principal().role = Role.OWNER


def test_roles_are_ordered():
    order = [Role.GUEST, Role.MEMBER, Role.ADMIN, Role.OWNER]
    for place, role in enumerate(order):
        assert [at_least(role, required) for required in order] == [
            required_place <= place for required_place in range(4)
        ]


def test_every_role_has_a_rank():
    assert all(at_least(role, Role.GUEST) for role in Role)


@given(st.integers(0, 2**53), st.integers(-3, 3))
def test_a_key_works_until_the_microsecond_it_expires(expires_us, offset):
    caller = principal(expires_us=expires_us)
    if offset >= 0:
        with pytest.raises(Unauthenticated):
            caller.require_live(expires_us + offset)
    else:
        caller.require_live(expires_us + offset)


def test_a_key_without_an_expiry_never_expires():
    principal().require_live(2**62)


def test_a_scope_that_was_not_given_is_refused():
    caller = principal(scopes=frozenset({Scope.MODELS}))
    caller.require_scope(Scope.MODELS)
    for scope in (Scope.INFERENCE, Scope.ADMIN):
        with pytest.raises(Forbidden, match=scope.value):
            caller.require_scope(scope)


def test_administration_is_never_a_default():
    assert Scope.ADMIN not in DEFAULT_SCOPES


@given(st.text(max_size=40))
def test_no_patterns_allow_every_model(model):
    assert principal().may_use(model)


@given(st.text(max_size=20), st.lists(st.text(max_size=10), min_size=1, max_size=4))
def test_patterns_allow_what_one_of_them_matches(model, patterns):
    allowed = principal(models=tuple(patterns)).may_use(model)
    assert allowed == any(fnmatchcase(model, pattern) for pattern in patterns)


@pytest.mark.parametrize(
    ("pattern", "model", "allowed"),
    [
        ("openai/*", "openai/gpt-4o", True),
        ("openai/*", "openrouter/openai/gpt-4o", False),
        ("openai/gpt-4o", "openai/gpt-4o-mini", False),
        ("openai/gpt-4o*", "openai/gpt-4o-mini", True),
        ("OpenAI/*", "openai/gpt-4o", False),
        ("*/gpt-4o", "azure/gpt-4o", True),
        ("openai/gpt-[34]*", "openai/gpt-4", True),
    ],
)
def test_patterns_are_shell_style_and_mind_case(pattern, model, allowed):
    assert principal(models=(pattern,)).may_use(model) is allowed
