"""The guard at connect time: an origin the operator did not declare never leads inside.

Every address here is a loopback one, and the canary is a listener that must stay unvisited.
"""

import socket

import pytest
from tests.faults.fault_server import FaultServer, call, calling, keeps_alive

from aigne_hub.transport import ConnectFailed
from aigne_hub.transport.dial import connect_one

SPELLINGS = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1",
    "127.1",
    "127.000.000.001",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_no_spelling_of_this_machine_is_reached(spelling):
    async with FaultServer(keeps_alive) as canary, calling() as client:
        with pytest.raises(ConnectFailed) as raised:
            await call(client, canary, host=spelling, trusted=False)
        assert raised.value.sent is False
        assert canary.connections == 0


async def test_a_connection_of_a_trusted_origin_is_not_lent_to_a_guarded_one():
    async with FaultServer(keeps_alive) as canary, calling() as client:
        assert await (await call(client, canary, host="localhost")).read() == b"ok"
        assert client.idle_now == 1
        with pytest.raises(ConnectFailed):
            await call(client, canary, host="localhost", trusted=False)
        assert len(canary.requests) == 1


async def test_only_the_public_addresses_of_a_name_are_tried():
    async with FaultServer(keeps_alive) as canary:

        async def mixed(host, port):
            return [
                (socket.AF_INET, ("127.0.0.1", port)),
                (socket.AF_INET, ("10.0.0.1", port)),
                (socket.AF_INET6, ("::1", port, 0, 0)),
            ]

        async with calling(resolver=mixed) as client:
            with pytest.raises(ConnectFailed, match="no address the hub may call") as raised:
                await call(client, canary, host="mixed.test", trusted=False)
            # The inside's addresses are not for the caller to learn.
            assert "10.0.0.1" not in raised.value.message
        assert canary.connections == 0


async def test_the_peer_that_was_really_reached_is_checked_again():
    async with FaultServer(keeps_alive) as canary:
        address = (socket.AF_INET, ("127.0.0.1", canary.port))
        with pytest.raises(ConnectFailed, match="may not call"):
            await connect_one(address, guarded=True)
        (await connect_one(address, guarded=False)).close()
        assert canary.requests == []
