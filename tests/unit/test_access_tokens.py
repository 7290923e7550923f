"""The hub's access tokens: the one that is right, and everything that is not."""

import pytest
from tests.tokens import NOW_S, Mint, forgeries, id_token, written

from aigne_hub.auth.access_tokens import Issuer, checked
from aigne_hub.domain.oauth.access_token import Refused

MINT = Mint()
FORGERIES = dict(forgeries())


def issuer(audience=MINT.issuer):
    return Issuer(MINT.issuer, audience, MINT.published)


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_a_token_of_the_hub_says_who_and_what(kind):
    found = checked(MINT.with_header(typ=kind), issuer(), NOW_S * 1_000_000)
    assert (found.subject, found.client_id, found.scopes) == (
        MINT.subject,
        "client",
        ("inference", "models"),
    )
    assert (found.grant_id, found.family_id, found.token_id) == ("grant", "family", "token")
    assert found.expires_us == (NOW_S + 3_000) * 1_000_000


def test_both_algorithms_sign():
    token = MINT.raw(*_es256(), MINT.es256)
    assert checked(token, issuer(), NOW_S * 1_000_000).subject == MINT.subject


def _es256():
    header = MINT.header(alg="ES256", kid=MINT.es256.id)
    return written(header), written(MINT.claims())


def test_there_are_enough_forgeries():
    assert len(FORGERIES) >= 140


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused(name):
    with pytest.raises(Refused):
        checked(FORGERIES[name](MINT), issuer(), NOW_S * 1_000_000)


def test_an_id_token_is_no_access_token():
    with pytest.raises(Refused, match="typ"):
        checked(id_token(MINT), issuer(), NOW_S * 1_000_000)


def test_introspection_reads_a_token_for_somebody_else():
    token = MINT.token(aud="https://other.example")
    found = checked(token, issuer(audience=None), NOW_S * 1_000_000)
    assert found.audience == "https://other.example"


def test_a_key_that_was_taken_back_verifies_nothing():
    with pytest.raises(Refused, match="kid"):
        checked(MINT.token(), Issuer(MINT.issuer, MINT.issuer, {}), NOW_S * 1_000_000)
