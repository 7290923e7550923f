"""`limits set`, `limits list` and `limits remove`."""

import pytest

EMAIL = "ada@example.com"


def test_limits_are_set_listed_replaced_and_removed(run, user):
    _, key, _ = run("keys", "create", "--user", EMAIL, "--rpm", "7")
    spending = ("limits", "set", "--user", EMAIL, "--window", "month", "--credits")
    code, made, _ = run(*spending, "5")
    assert (code, made["subject"], made["name"], made["remaining"]) == (0, "user", user["id"], "5")
    assert run(*spending, "2.5")[1]["amount"] == "2.5"
    of_key = ("limits", "set", "--key", key["id"])
    _, tokens, _ = run(*of_key, "--tokens", "9", "--window", "week", "--zone", "Asia/Kathmandu")
    assert tokens["resets_at"].endswith("T18:15:00.000000Z")
    run(*of_key, "--streams", "1")
    run("limits", "set", "--project", "did:abt:zNK", "--requests", "0", "--window", "day")
    _, listed, _ = run("limits", "list", "--user", EMAIL)
    assert {(row["measure"], row["window"], row["amount"], row["zone"]) for row in listed} == {
        ("credits", "month", "2.5", "UTC"),
        ("requests", "minute", "7", "UTC"),
        ("tokens", "week", "9", "Asia/Kathmandu"),
        ("streams", "total", "1", "UTC"),
    }
    assert len(run("limits", "list")[1]) == 5
    gone = ("limits", "remove", "--key", key["id"], "--measure", "streams")
    assert run(*gone)[:2] == (0, {"ok": True})
    code, _, error = run(*gone)
    assert code == 4
    assert "no limit on streams" in error


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        ((), 2, "--user, --key, --project or --grant"),
        (("--user", EMAIL), 2, "--credits, --requests"),
        (
            ("--user", EMAIL, "--key", "k", "--requests", "1"),
            2,
            "--user, --key, --project or --grant",
        ),
        (("--user", EMAIL, "--requests", "1", "--tokens", "1"), 2, "--credits, --requests"),
        (("--user", EMAIL, "--requests", "1"), 2, "--window"),
        (("--user", EMAIL, "--streams", "1", "--window", "day"), 2, "at once"),
        (("--user", EMAIL, "--credits", "1", "--window", "minute"), 2, "not limited per minute"),
        (("--user", EMAIL, "--credits", "-1", "--window", "day"), 2, "a limit is 0 to"),
        (("--user", EMAIL, "--credits", "x", "--window", "day"), 2, "--credits"),
        (("--user", EMAIL, "--requests", "-1", "--window", "day"), 2, "--requests"),
        (("--user", EMAIL, "--credits", "1", "--window", "day", "--zone", "Mars"), 2, "time zone"),
        (("--key", "nothing", "--streams", "1"), 4, "no key"),
        (("--user", "nobody@example.com", "--streams", "1"), 4, "no user"),
    ],
)
def test_what_makes_no_limit_is_refused(run, user, options, code, word):
    found, printed, error = run("limits", "set", *options)
    assert (found, printed["ok"]) == (code, False)
    assert word in error


def test_a_key_may_be_held_to_nothing(run, user):
    _, key, _ = run("keys", "create", "--user", EMAIL)
    for measure in (("--streams", "0"), ("--requests", "0", "--window", "minute")):
        assert run("limits", "set", "--key", key["id"], *measure)[0] == 0
    code, (listed,), _ = run("keys", "list", "--user", EMAIL)
    assert (code, listed["streams"], listed["rpm"]) == (0, 0, 0)
