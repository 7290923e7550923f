"""A call that asks a second upstream when the first takes long is charged for one of them."""

from pathlib import Path

import pytest
from tests.caller import ask
from tests.faults.server import RIGHT, FaultServer
from tests.hub import HubProcess

SLOW, QUICK = "key-of-the-slow-one", "key-of-the-quick-one"
# So many answers are known before a percentile of them is believed.
KNOWN = 40


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_one_of_two_that_run_side_by_side_is_charged(tmp_path: Path, stream: bool):
    with FaultServer(tmp_path) as faults:
        config = {
            "providers": [
                {
                    "name": "pool",
                    "kind": "openai",
                    "base_url": faults.base_url(RIGHT),
                    "credentials": [
                        {"name": "slow", "api_key": SLOW},
                        {"name": "quick", "api_key": QUICK, "priority": 1},
                    ],
                }
            ],
            "models": [
                {
                    "model": "pool/m",
                    "type": "chat",
                    "rates": {"input": "1000", "output": "2000"},
                    "cost": {"input": "10", "output": "10"},
                }
            ],
            "billing": {"enabled": True, "new_user_credits": "1000"},
            "routing": {"hedge_percentile": 99},
        }
        with HubProcess(tmp_path / "hub", config) as hub:
            for _ in range(KNOWN):
                usual = ask(hub, "pool/m", stream=stream)
                assert usual.status == 200
            faults.set(SLOW, "F02-silence")
            asked = faults.counts(QUICK).requests
            before = float(hub.balance()["balance"])
            reply = ask(hub, "pool/m", stream=stream)
            assert (reply.status, reply.text) == (200, usual.text)
            assert reply.headers["x-aigne-hub-attempts"] == "2"
            assert faults.counts(QUICK).requests == asked + 1
            call = hub.cli("calls", "show", reply.call_id)
            assert [
                (one["credential"], one["reason"], one["error"] is None) for one in call["attempts"]
            ] == [("slow", "chosen", False), ("quick", "hedge", True)]
            # What the one that lost may have read is the operator's cost, not the caller's.
            assert float(call["attempts"][0]["cost"]) > 0
            assert call["credits"] == hub.cli("calls", "show", usual.call_id)["credits"]
            assert before - float(hub.balance()["balance"]) == pytest.approx(float(call["credits"]))
            assert float(hub.balance()["held"]) == 0
            hub.verified()
