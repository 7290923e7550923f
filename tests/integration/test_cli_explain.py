"""`explain`: what a user or a key may do now."""

from aigne_hub.cli import main

EMAIL = "ada@example.com"
DEMO = ("--model", "demo/echo")


def test_a_key_that_opens_nothing_is_told_why(run, user):
    _, key, _ = run("keys", "create", "--user", EMAIL)
    asked = ("explain", "--user", EMAIL, "--key", key["id"], *DEMO)
    code, told, _ = run(*asked)
    assert (code, told["call"]["admitted"], told["key"]["revoked"]) == (0, True, False)
    run("users", "disable", "--user", EMAIL)
    told = run(*asked)[1]
    assert (told["call"]["status"], told["call"]["error"]["message"]) == (
        401,
        "The user is disabled.",
    )
    run("keys", "revoke", key["id"])
    told = run(*asked)[1]
    assert (told["key"]["revoked"], told["call"]["error"]["code"]) == (True, "unauthenticated")


def test_a_user_is_looked_at_as_a_whole(run, user):
    run("limits", "set", "--user", EMAIL, "--credits", "3", "--window", "total")
    run("limits", "set", "--project", "did:abt:zNK", "--requests", "4", "--window", "day")
    _, told, _ = run("explain", "--user", EMAIL, "--project", "did:abt:zNK", *DEMO)
    assert [row["limit"] for row in told["limits"]] == [
        "user credits in total",
        "project requests per day",
    ]
    assert told["key"] is None
    assert told["call"]["models"] == ["demo/echo"]
    # Billing is off: nothing is held, whatever there is.
    assert (told["call"]["hold"], told["billing"], told["payment_link"]) == ("0", False, None)


def test_a_key_without_the_scope_is_told_so(run, user):
    _, key, _ = run("keys", "create", "--user", EMAIL, "--scope", "models")
    told = run("explain", "--user", EMAIL, "--key", key["id"], *DEMO)[1]
    assert told["call"]["error"]["code"] == "forbidden"
    _, narrow, _ = run("keys", "create", "--user", EMAIL, "--model", "openai/*")
    told = run("explain", "--user", EMAIL, "--key", narrow["id"], *DEMO)[1]
    assert told["call"]["error"]["code"] == "forbidden"


def test_another_users_key_is_refused(run, user):
    _, key, _ = run("keys", "create", "--user", "owner@localhost")
    code, _, error = run("explain", "--user", EMAIL, "--key", key["id"])
    assert code == 2
    assert "another user's" in error


def test_people_get_lines(run, user, capsys):
    run("credits", "grant", "--user", EMAIL, "--amount", "2", "--expires-at", "2100-01-01T00:00Z")
    _, key, _ = run("keys", "create", "--user", EMAIL, "--name", "desk", "--rpm", "5")
    asked = ["explain", "--user", EMAIL, "--key", key["id"]]
    assert main([*asked, *DEMO, "--stream"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "user",
        "billing",
        "credit",
        "next",
        "expires",
        "limit",
        "call",
        "hold",
    ]
    assert lines[0].endswith("desk")
    assert lines[2] == "credit   2 available, 2 balance, 0 held, 0 overdraft"
    assert "5 of 5 left, 0 used, 0 held, resets 20" in lines[5]
    assert lines[6] == "call     admitted on demo/echo"
    assert main([*asked, "--model", "nowhere"]) == 0
    assert "call     refused with 404: " in capsys.readouterr().out
