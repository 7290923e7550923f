"""What is used once is used once, whoever asks at the same moment: on SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from aigne_hub.domain.access import Role
from aigne_hub.domain.oauth.clients import described
from aigne_hub.domain.oauth.errors import OAuthError
from aigne_hub.domain.oauth.lifetimes import MINUTE_US, REFRESH_UNUSED_US, REFRESH_US
from aigne_hub.storage import (
    oauth_clients,
    oauth_codes,
    oauth_devices,
    oauth_families,
    oauth_grants,
    users,
)
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing

CALLBACK = "https://app.example.com/cb"
HUB = "https://hub.example"
THREADS = 16
# In `make test`, and behind the marker `full`.
FEW, MANY = 64, 10_000
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Server:
    """An authorization server's stores, as its endpoints use them."""

    def __init__(self, hub):
        self.hub = hub
        about = described({"redirect_uris": [CALLBACK]}, trusted=False)
        with self.change() as change:
            user = users.create(
                change, hub.keyring, hub.randbytes, email="a@example.com", role=Role.MEMBER
            )
            self.client = oauth_clients.create(
                change, hub.keyring, hub.randbytes, hub.pepper, about, address="a"
            ).client
            self.grant = oauth_grants.allow(change, user.id, self.client, ("inference",), None)

    def change(self):
        hub = self.hub
        return changes(hub.engine, hub.clock, hub.ids, actor="test")

    def code(self):
        hub = self.hub
        asked = oauth_codes.Asked(
            self.client.id, CALLBACK, "c" * 43, ("inference",), HUB, None, hub.clock.now_us()
        )
        with writing(hub.engine) as view:
            return oauth_codes.issue(
                view,
                hub.clock.now_us(),
                hub.randbytes,
                hub.pepper,
                family_id=hub.ids(),
                grant_id=self.grant.id,
                asked=asked,
            )

    def redeem(self, text):
        """Do what the token endpoint does with a code; True for who got tokens."""
        hub = self.hub
        with reading(hub.engine) as view:
            code = oauth_codes.find(view, hub.clock.now_us(), hub.pepper, text, self.client.id)
        if code.is_used:
            return False
        with writing(hub.engine) as view:
            now = hub.clock.now_us()
            if not oauth_codes.use(view, now, code):
                return False
            oauth_families.begin(
                view,
                now,
                code.family_id,
                grant_id=code.grant_id,
                scopes=code.asked.scopes,
                resource=HUB,
                authenticated_us=now,
            )
            self.token = oauth_families.issue(view, now, hub.randbytes, hub.pepper, code.family_id)
        return True

    def refresh(self, text):
        hub = self.hub
        with reading(hub.engine) as view:
            found = oauth_families.presented(
                view, hub.clock.now_us(), hub.pepper, text, self.client.id
            )
        if found.is_used:
            return False
        with writing(hub.engine) as view:
            now = hub.clock.now_us()
            if not oauth_families.use(view, now, found):
                return False
            oauth_families.issue(view, now, hub.randbytes, hub.pepper, found.family.id)
        return True


@pytest.fixture
def server(hub):
    return Server(hub)


def at_once(attempt, count):
    """Attempt many times from many threads; return how many had what they wanted."""
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(lambda _: attempt(), range(count)))


def live(server, text, after_us):
    """Tell whether a refresh token is good for another so much later."""
    hub = server.hub
    with reading(hub.engine) as view:
        later = hub.clock.now_us() + after_us
        return oauth_families.presented(view, later, hub.pepper, text, server.client.id).is_live


def test_a_code_is_good_for_a_minute(server, hub):
    text, began = server.code(), hub.clock.now_us()
    with reading(hub.engine) as view:
        for later, is_live in ((0, True), (MINUTE_US, False)):
            found = oauth_codes.find(view, began + later, hub.pepper, text, server.client.id)
            assert found.is_live is is_live


def test_a_refresh_token_ends_unused_and_with_its_chain(server, hub):
    assert server.redeem(server.code())
    assert live(server, server.token, REFRESH_UNUSED_US - MINUTE_US)
    assert not live(server, server.token, REFRESH_UNUSED_US)
    with reading(hub.engine) as view:
        now = hub.clock.now_us()
        found = oauth_families.presented(view, now, hub.pepper, server.token, server.client.id)
    with writing(hub.engine) as view:
        late = now + REFRESH_US - MINUTE_US
        text = oauth_families.issue(view, late, hub.randbytes, hub.pepper, found.family.id)
    assert live(server, text, REFRESH_US - MINUTE_US)
    assert not live(server, text, REFRESH_US)


COUNTS = [FEW, pytest.param(MANY, marks=pytest.mark.full)]


@pytest.mark.parametrize("count", COUNTS)
def test_one_of_many_redeems_a_code(server, count):
    text = server.code()
    assert at_once(lambda: server.redeem(text), count) == 1


@pytest.mark.parametrize("count", COUNTS)
def test_one_of_many_uses_a_refresh_token(server, count):
    assert server.redeem(server.code())
    assert at_once(lambda: server.refresh(server.token), count) == 1


def test_one_of_many_collects_a_device(server, hub):
    about = described({"grant_types": [DEVICE], "redirect_uris": []}, trusted=False)
    with server.change() as change:
        client = oauth_clients.create(
            change, hub.keyring, hub.randbytes, hub.pepper, about, address="b"
        ).client
    with writing(hub.engine) as view:
        device = oauth_devices.begin(
            view,
            hub.clock.now_us(),
            hub.randbytes,
            hub.pepper,
            client_id=client.id,
            scopes=("inference",),
            resource=HUB,
            address="a",
        )
    with server.change() as change:
        oauth_devices.decide(
            change,
            hub.pepper,
            device.user_code,
            grant_id=server.grant.id,
            authenticated_us=1,
        )

    def collect():
        with writing(hub.engine) as view:
            found = oauth_devices.poll(
                view, hub.clock.now_us(), hub.pepper, device.device_code, client.id
            )
        return not isinstance(found, OAuthError)

    assert at_once(collect, FEW) == 1


def test_secrets_are_not_in_the_database(server, hub):
    assert server.redeem(server.code())
    text = server.token.encode()
    with reading(hub.engine) as view:
        rows = view.exec_driver_sql("SELECT digest FROM refresh_token").all()
    assert rows
    assert all(text not in bytes(row[0]) and len(row[0]) == 32 for row in rows)
