"""Models, providers and rates as AIGNE's clients and consoles ask for them, over HTTP."""

import re
from itertools import count

import pytest
from tests.api import Api, admin_of
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.patience import until
from tests.upstream.server import BAD_KEY

from aigne_hub.storage.engine import create_engine, reading
from aigne_hub.storage.prices import priced_models

SECRET = "sk-never-to-be-seen-again"
DECLARED = "declared"
NUMBERS = count()
RATES = {"input": "0.15", "output": "0.60", "cache_read": "0.075"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory, database, database_for):
    config = {
        "billing": {"enabled": True},
        "providers": [
            {
                "name": DECLARED,
                "kind": "openai",
                "base_url": "http://127.0.0.1:9/v1",
                "credentials": [{"name": "main", "api_key": SECRET}],
            }
        ],
        "models": [
            {"model": f"{DECLARED}/small", "type": "chat", "rates": RATES},
            {"model": f"{DECLARED}/large", "type": "chat", "rates": {"input": "3", "output": "9"}},
            {"model": f"{DECLARED}/org/picture:1", "type": "image", "rates": {"image": "0.04"}},
            {"model": f"{DECLARED}/film", "type": "video", "rates": {"second": "0.1"}},
            {"model": f"{DECLARED}/vectors", "type": "embedding", "rates": {"input": "0.02"}},
            {"model": f"{DECLARED}/unpriced", "type": "chat"},
        ],
    }
    folder = tmp_path_factory.mktemp("aigne")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running


@pytest.fixture(scope="module")
def nobody(hub):
    return Api(hub)


@pytest.fixture(scope="module")
def member(hub):
    return Api(hub, hub.key)


@pytest.fixture(scope="module")
def admin(hub):
    return admin_of(hub)


@pytest.fixture(scope="module")
def scoped(hub):
    """A member with a key that has the scope of administrators."""
    hub.cli("users", "create", "--email", "m@example.com")
    made = hub.cli("keys", "create", "--user", "m@example.com", "--scope", "admin")
    return Api(hub, made["key"])


@pytest.fixture
def vendor(admin):
    """A provider of an administrator's own, gone when the test is over."""
    name = f"own-{next(NUMBERS)}"
    made = admin.post("/api/ai-providers", name=name, baseUrl="https://example.com/v1")
    assert made.status == 200, made.text
    yield made.json
    admin.delete(f"/api/ai-providers/{made.json['id']}")


def stored(hub, reference):
    """Return a model's prices as they are kept."""
    engine = create_engine(hub.database_url)
    try:
        with reading(engine) as connection:
            return next(p for p in priced_models(connection) if p.offered.ref == reference)
    finally:
        engine.dispose()


# -- what clients choose from -------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/api/ai", "/api/ai-providers", "/ai-kit/api/ai"])
def test_the_list_is_what_the_stock_client_takes(nobody, prefix):
    models = nobody.get(f"{prefix}/models").json
    assert len([model for model in models if model["provider"] == DECLARED]) == 6
    for model in models:
        for name in ("model", "type", "provider", "providerDisplayName", "key"):
            assert isinstance(model[name], str)
        for name in ("input_credits_per_token", "output_credits_per_token"):
            assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", model[name])
        assert model["status"] is None or isinstance(model["status"]["available"], bool)
        assert model["key"] == f"{model['provider']}/{model['model']}"


def test_prices_are_those_of_one_token_picture_or_second(nobody):
    listed = nobody.get("/api/ai/models").json
    found = {model["model"]: model for model in listed if model["provider"] == DECLARED}
    prices = {
        name: (model["type"], model["input_credits_per_token"], model["output_credits_per_token"])
        for name, model in found.items()
    }
    assert prices == {
        "small": ("chat", "0.00000015", "0.0000006"),
        "large": ("chat", "0.000003", "0.000009"),
        "org/picture:1": ("image_generation", "0", "0.04"),
        "film": ("video", "0", "0.1"),
        "vectors": ("embedding", "0.00000002", "0"),
        "unpriced": ("chat", "0", "0"),
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("chat", {"small", "large", "unpriced"}),
        ("chatCompletion", {"small", "large", "unpriced"}),
        ("image", {"org/picture:1"}),
        ("image_generation", {"org/picture:1"}),
        ("embedding", {"vectors"}),
        ("video", {"film"}),
        ("speech", set()),
        ("", {"small", "large", "unpriced", "org/picture:1", "film", "vectors"}),
    ],
)
def test_a_type_by_any_of_its_names(nobody, kind, expected):
    found = nobody.get("/api/ai/models", type=kind).json
    assert {model["model"] for model in found if model["provider"] == DECLARED} == expected


def test_a_type_nobody_knows(nobody):
    answer = nobody.get("/api/ai/models", type="dream")
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_the_list_follows_the_configuration(nobody, admin, vendor):
    made = admin.post(
        f"/api/ai-providers/{vendor['id']}/model-rates", model="new", inputRate=0, outputRate=0
    )
    assert made.status == 200, made.text
    key = f"{vendor['name']}/new"
    until(lambda: key in {model["key"] for model in nobody.get("/api/ai/models").json})


def test_models_by_name_need_a_key_and_show_what_it_may_use(hub, nobody, member):
    assert nobody.get("/api/ai-providers/chat/models").code == "unauthenticated"
    (small,) = [
        group
        for group in member.get("/api/ai-providers/chat/models", type="chat").json
        if group["model"] == "small"
    ]
    assert small["rates"][0]["inputRate"] == "0.00000015"
    assert small["providers"][0]["name"] == DECLARED
    bound = hub.cli("keys", "create", "--user", hub.user, "--model", f"{DECLARED}/l*")["key"]
    shown = Api(hub, bound).get("/api/ai-providers/chat/models").json
    assert [group["model"] for group in shown] == ["large"]


def test_health_names_the_keys_that_are_used(nobody):
    answer = nobody.get("/api/ai-providers/health").json
    assert answer["providers"][DECLARED] == {"main": {"running": True}}
    assert answer["timestamp"].endswith("Z")


def test_models_to_try_are_the_cheapest(admin):
    assert admin.get("/api/ai-providers/test-models").json[DECLARED] == "unpriced"


# -- providers and their keys -------------------------------------------------------------


def test_providers_are_shown_without_secrets(nobody, member, admin):
    assert nobody.get("/api/ai-providers").status == 401
    (seen,) = member.get("/api/ai-providers", name=DECLARED).json
    assert (seen["name"], seen["baseUrl"]) == (DECLARED, "")
    assert "credentials" not in seen
    whole = admin.get("/api/ai", name=DECLARED)
    (shown,) = whole.json
    assert shown["baseUrl"] == "http://127.0.0.1:9/v1"
    assert [one["name"] for one in shown["credentials"]] == ["main"]
    assert SECRET not in whole.text
    assert SECRET[-4:] not in whole.text


def test_rates_can_come_with_providers(member):
    (shown,) = member.get("/api/ai-providers", name=DECLARED, includeModelRates="true").json
    assert len(shown["modelRates"]) == 6


WRITES = [
    ("POST", "/api/ai-providers"),
    ("PUT", f"/api/ai-providers/{DECLARED}"),
    ("DELETE", f"/api/ai-providers/{DECLARED}"),
    ("POST", f"/api/ai-providers/{DECLARED}/credentials"),
    ("PUT", f"/api/ai-providers/{DECLARED}/credentials/main"),
    ("DELETE", f"/api/ai-providers/{DECLARED}/credentials/main"),
    ("POST", f"/api/ai-providers/{DECLARED}/credentials/test"),
    ("GET", f"/api/ai-providers/{DECLARED}/credentials/main/check"),
    ("POST", "/api/ai-providers/model-rates"),
    ("POST", f"/api/ai-providers/{DECLARED}/model-rates"),
    ("PUT", f"/api/ai-providers/{DECLARED}/model-rates/x"),
    ("DELETE", f"/api/ai-providers/{DECLARED}/model-rates/x"),
    ("GET", "/api/ai-providers/test-models"),
    ("POST", "/api/ai-providers/trigger-rate-check"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_changes_are_for_administrators(nobody, member, scoped, method, path):
    """An owner's key without the scope is refused, and a member's key with it."""
    for alias in (path, path.replace("/api/ai-providers", "/api/ai")):
        assert nobody.send(method, alias, body={}).status == 401
        assert member.send(method, alias, body={}).status == 403
        assert scoped.send(method, alias, body={}).status == 403


def test_what_the_file_declares_is_changed_there(hub, admin):
    small = stored(hub, f"{DECLARED}/small").model_id
    key = {"name": "main", "value": "sk-other"}
    base = f"/api/ai-providers/{DECLARED}"
    for answer in (
        admin.put(base, baseUrl="https://evil.example/v1"),
        admin.delete(base),
        admin.post(f"{base}/credentials", **key),
        admin.put(f"{base}/credentials/main", **key),
        admin.delete(f"{base}/credentials/main"),
        admin.put(f"{base}/model-rates/{small}", inputRate="1"),
        admin.delete(f"{base}/model-rates/{small}"),
        admin.post(f"{base}/model-rates", model="small", inputRate="1", outputRate="1"),
        admin.post("/api/ai-providers", name=DECLARED, baseUrl="https://example.com/v1"),
    ):
        assert (answer.status, answer.code) == (409, "conflict"), answer.text
    assert "hub.yaml" in admin.delete(base).message


def test_a_provider_is_made_moved_and_removed(admin, vendor):
    path = f"/api/ai-providers/{vendor['id']}"
    assert (vendor["kind"], vendor["declared"]) == (vendor["name"], False)
    again = admin.post("/api/ai-providers", name=vendor["name"], baseUrl="https://example.com/v1")
    assert again.code == "conflict"
    moved = admin.put(path, name=vendor["name"], baseUrl="https://example.org/v1")
    assert moved.json["baseUrl"] == "https://example.org/v1"
    assert admin.put(path, name="other").status == 400
    assert admin.put(path, enabled=False, baseUrl="https://example.org/v1").status == 400
    assert admin.delete(path).status == 200
    assert admin.delete(path).code == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        {"name": "UPPER", "baseUrl": "https://example.com"},
        {"name": "nowhere"},
        {"name": "x", "baseUrl": "ftp://example.com"},
        {"name": "x", "baseUrl": "https://user:secret@example.com"},
        {"name": "x", "baseUrl": 5},
        {},
    ],
)
def test_a_provider_that_cannot_be_called_is_refused(admin, body):
    answer = admin.post("/api/ai-providers", **body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert "secret@" not in answer.text


def test_a_key_is_kept_sealed_and_never_shown(hub, admin, vendor):
    path = f"/api/ai-providers/{vendor['id']}/credentials"
    untried = {"skipTest": True}  # there is nobody at example.com
    kind = {"credentialType": "api_key"}
    made = admin.post(path, name="first", value={"api_key": SECRET}, **kind, **untried)
    assert made.status == 200, made.text
    assert (made.json["name"], made.json["weight"], made.json["priority"]) == ("first", 100, 0)
    assert admin.post(path, name="first", value=SECRET).code == "conflict"
    second = admin.post(path, name="second", value=f"{SECRET}-2", weight=7, priority=100, **untried)
    assert (second.json["weight"], second.json["priority"]) == (7, 100)
    refused = admin.post(path, name="third", value=SECRET, priority=101, **untried)
    assert refused.code == "invalid_request"
    changed = admin.put(
        f"{path}/{second.json['id']}",
        name="second",
        value=f"{SECRET}-3",
        priority=2,
        **untried,
    )
    assert (changed.json["id"], changed.json["priority"]) == (second.json["id"], 2)
    listed = admin.get("/api/ai-providers", name=vendor["name"])
    shown = [(one["name"], one["priority"]) for one in listed.json[0]["credentials"]]
    assert shown == [("first", 0), ("second", 2)]
    for answer in (made, second, changed, listed):
        assert SECRET not in answer.text
    assert SECRET not in hub.log()
    assert admin.delete(f"{path}/first").status == 200
    assert admin.delete(f"{path}/first").code == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        {"name": "k", "value": "two\nlines"},
        {"name": "k", "value": ""},
        {"name": "bad name", "value": SECRET},
        {"name": "k", "value": {"access_key_id": "a", "secret_access_key": SECRET}},
        {"name": "k", "value": SECRET, "credentialType": "access_key_pair"},
        {"name": "k"},
    ],
)
def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(admin, vendor, body):
    answer = admin.post(f"/api/ai-providers/{vendor['id']}/credentials", **body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert SECRET not in answer.text


def test_bedrock_is_told_by_its_region_and_takes_a_pair_of_keys(admin):
    made = admin.post("/api/ai-providers", name="bedrock", region="us-east-1").json
    assert made["baseUrl"] == "https://bedrock-runtime.us-east-1.amazonaws.com"
    path = f"/api/ai-providers/{made['id']}/credentials"
    pair = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET}
    kept = admin.post(path, name="pair", value=pair, credentialType="access_key_pair")
    assert kept.status == 200, kept.text
    assert SECRET not in kept.text
    assert admin.post(path, name="key", value=SECRET).status == 200
    for value, kind in ((SECRET, "access_key_pair"), (pair, "api_key"), ("{}", "api_key")):
        answer = admin.post(path, name="odd", value=value, credentialType=kind)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert SECRET not in answer.text
    assert admin.delete(f"/api/ai-providers/{made['id']}").status == 200


def test_a_key_does_not_follow_its_provider_to_another_address(admin, vendor):
    path = f"/api/ai-providers/{vendor['id']}"
    admin.post(f"{path}/credentials", name="first", value=SECRET, skipTest=True)
    same = admin.put(path, baseUrl="https://example.com/v1")
    assert len(same.json["credentials"]) == 1
    assert admin.put(path, name=vendor["name"]).json == same.json
    assert admin.put(path, baseUrl="https://elsewhere.example/v1").json["credentials"] == []
    admin.post(f"{path}/credentials", name="first", value=SECRET, skipTest=True)
    admin.delete(path)
    back = admin.post("/api/ai-providers", name=vendor["name"], baseUrl="https://third.example/v1")
    assert back.json["credentials"] == []
    admin.delete(path)


def test_a_provider_that_was_removed_comes_back_without_its_models(admin, vendor):
    path = f"/api/ai-providers/{vendor['id']}"
    admin.post(f"{path}/model-rates", model="m", inputRate=1, outputRate=1)
    admin.delete(path)
    again = admin.post("/api/ai-providers", name=vendor["name"], baseUrl="https://example.com/v1")
    assert again.json["id"] == vendor["id"]
    assert admin.get(f"{path}/model-rates").json == []


# -- does a key work? --------------------------------------------------------------------


@pytest.fixture(scope="module")
def reached(tmp_path_factory, upstream):
    """A hub whose provider answers; only its own user may be tried too often."""
    with HubProcess(tmp_path_factory.mktemp("reached"), config_for(upstream)) as running:
        yield running


def test_a_kept_key_is_checked(reached):
    path = "/api/ai-providers/openai/credentials/main/check"
    works = admin_of(reached).get(path)
    assert (works.status, works.json["active"], works.json["error"]) == (200, True, None)
    lacks = admin_of(reached).get(path, testModel="gpt-9")
    assert (lacks.status, lacks.json["active"]) == (200, False)
    assert "gpt-9" in lacks.json["error"]
    assert Api(reached, reached.key).get(path).code == "forbidden"
    assert admin_of(reached).get(path.replace("main", "spare")).code == "not_found"


def test_a_key_is_tried_before_it_is_kept_but_not_without_end(reached):
    admin, path = admin_of(reached), "/api/ai-providers/openai/credentials/test"
    assert admin.post(path, value="sk-good").json == {"success": True}
    refused = admin.post(path, value={"api_key": BAD_KEY}, testModel="gpt-4o-mini")
    assert (refused.status, refused.code) == (400, "invalid_request")
    assert "refused the key" in refused.message
    assert BAD_KEY not in refused.text
    for _ in range(3):
        assert admin.post(path, value="sk-good").status == 200
    limited = admin.post(path.replace("/api/ai-providers", "/api/ai"), value="sk-good")
    assert (limited.status, limited.code) == (429, "rate_limited")
    assert 0 < int(limited.headers["retry-after"]) <= 600


def test_a_key_that_does_not_work_is_not_kept(reached):
    admin, path = admin_of(reached), "/api/ai-providers/openai/credentials"

    def names():
        (shown,) = admin.get("/api/ai-providers", name="openai").json
        return [one["name"] for one in shown["credentials"]]

    refused = admin.post(path, name="spare", value=BAD_KEY)
    assert (refused.status, refused.code) == (400, "invalid_request")
    assert "refused the key" in refused.message
    assert BAD_KEY not in refused.text
    lacks = admin.post(path, name="spare", value="sk-good", testModel="gpt-9")
    assert (lacks.status, "gpt-9" in lacks.message) == (400, True)
    assert names() == ["main"]
    made = admin.post(path, name="spare", value="sk-good", testModel="gpt-4o-mini").json
    assert names() == ["main", "spare"]
    assert admin.put(f"{path}/spare", name="spare", value=BAD_KEY).code == "invalid_request"
    check = f"{path}/{made['id']}/check"
    until(lambda: admin.get(check).status == 200)
    assert admin.get(check).json["active"] is True
    assert admin.put(f"{path}/spare", name="spare", value=BAD_KEY, skipTest=True).status == 200
    until(lambda: admin.get(check).json["active"] is False)
    assert admin.delete(f"{path}/spare").status == 200


def test_trying_a_key_reaches_nothing_private(reached, upstream):
    """What hub.yaml may name, an administrator's own provider may not."""
    reached.cli("users", "create", "--email", "eve@example.com", "--role", "admin")
    made = reached.cli("keys", "create", "--user", "eve@example.com", "--scope", "admin")
    eve = Api(reached, made["key"])
    tried = {"value": "sk-good"}
    assert eve.post("/api/ai-providers/openai/credentials/test", **tried).status == 200
    eve.post("/api/ai-providers", name="inside", baseUrl=upstream.base_url)
    answer = eve.post("/api/ai-providers/inside/credentials/test", **tried)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert "no answer" in answer.message


# -- rates --------------------------------------------------------------------------------


def test_a_model_is_priced_exactly(hub, admin, vendor):
    path = f"/api/ai-providers/{vendor['id']}/model-rates"
    made = admin.post(
        path,
        model="org/chat",
        type="chatCompletion",
        inputRate="0.00000015",
        outputRate=6e-7,
        unitCosts={"input": "0.0000001"},
        caching={"readRate": "0.000000075"},
        modelMetadata={"maxTokens": 4096},
    )
    assert made.status == 200, made.text
    assert (made.json["inputRate"], made.json["outputRate"]) == ("0.00000015", "0.0000006")
    assert made.json["caching"] == {"readRate": "0.000000075"}
    assert made.json["unitCosts"] == {"input": "0.0000001", "output": "0"}
    kept = stored(hub, f"{vendor['name']}/org/chat")
    assert kept.rates == {"input": 150_000_000, "output": 600_000_000, "cache_read": 75_000_000}
    changed = admin.put(f"{path}/{made.json['id']}", outputRate="0.000001")
    assert (changed.json["inputRate"], changed.json["outputRate"]) == ("0.00000015", "0.000001")
    assert admin.post(path, model="org/chat", inputRate=1, outputRate=1).code == "conflict"
    assert admin.delete(f"{path}/{made.json['id']}").status == 200
    assert admin.delete(f"{path}/{made.json['id']}").code == "not_found"


@pytest.mark.parametrize(
    ("kind", "unit"), [("imageGeneration", "image"), ("video", "second"), ("image", "image")]
)
def test_output_that_is_no_token_is_priced_by_the_piece(hub, admin, vendor, kind, unit):
    path = f"/api/ai-providers/{vendor['id']}/model-rates"
    made = admin.post(path, model=f"piece-{kind}", type=kind, outputRate="0.04")
    assert made.json["outputRate"] == "0.04"
    assert stored(hub, f"{vendor['name']}/piece-{kind}").rates == {unit: 40_000_000}


@pytest.mark.parametrize(
    "body",
    [
        {"model": "x"},
        {"model": "x", "inputRate": "-1", "outputRate": "1"},
        {"model": "x", "inputRate": "0.0000000000000000001", "outputRate": "1"},
        {"model": "x", "inputRate": "much", "outputRate": "1"},
        {"model": "x y", "inputRate": "1", "outputRate": "1"},
        {"model": "x", "type": "dream", "inputRate": "1", "outputRate": "1"},
    ],
)
def test_prices_that_make_no_sense_are_refused(admin, vendor, body):
    answer = admin.post(f"/api/ai-providers/{vendor['id']}/model-rates", **body)
    assert (answer.status, answer.code) == (400, "invalid_request"), answer.text


def test_several_providers_get_a_model_or_none(admin, vendor):
    price = {"inputRate": "0.000001", "outputRate": "0.000002"}
    path = "/api/ai-providers/model-rates"
    refused = admin.post(path, model="small", providers=[vendor["id"], DECLARED], **price)
    assert refused.code == "conflict"
    own = f"/api/ai-providers/{vendor['id']}/model-rates"
    assert admin.get(own).json == []
    assert admin.post(path, model="m", providers=["nobody"], **price).status == 400
    made = admin.post(path, model="m", providers=[vendor["id"], DECLARED, vendor["name"]], **price)
    assert made.json["summary"] == {"total": 2}
    assert [rate["model"] for rate in admin.get(own).json] == ["m"]
    for rate in made.json["data"]:
        path = f"/api/ai-providers/{rate['providerId']}/model-rates/{rate['id']}"
        assert admin.delete(path).status == 200


def test_rates_are_listed_by_the_page_and_searched(member, admin):
    first = member.get("/api/ai-providers/model-rates", pageSize=2, o="asc").json
    assert (first["count"], first["paging"]) == (6, {"page": 1, "pageSize": 2})
    assert [rate["model"] for rate in first["list"]] == ["small", "large"]
    assert first["list"][0]["provider"]["name"] == DECLARED

    def found(**query):
        listed = member.get("/api/ai-providers/model-rates", **query).json["list"]
        return {rate["model"] for rate in listed}

    assert found(model="MALL") == {"small"}
    assert found(q="model:large") == {"large"}
    assert found(q="like-model:ar") == {"large"}
    assert found(q="type:embedding") == {"vectors"}
    assert found(q="provider:nobody") == set()
    assert found(providerId=f"nobody,{DECLARED}", q="film") == {"film"}


def test_what_providers_charge_is_for_administrators(member, admin, vendor):
    path = f"/api/ai-providers/{vendor['id']}/model-rates"
    admin.post(path, model="m", inputRate=1, outputRate=1, unitCosts={"input": "0.5"})
    assert admin.get(path).json[0]["unitCosts"] == {"input": "0.5", "output": "0"}
    assert member.get(path).json[0]["unitCosts"] is None


def test_a_check_of_prices_can_be_asked_for(admin, reached):
    answer = admin.post("/api/ai-providers/trigger-rate-check")
    assert answer.status == 200
    assert answer.json["timestamp"].endswith("Z")
    unbilled = admin_of(reached).post("/api/ai-providers/trigger-rate-check")
    assert (unbilled.status, unbilled.code) == (409, "conflict")
