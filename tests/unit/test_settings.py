import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr

from aigne_hub.domain.charged_by import CHARGED_BY, REFINED
from aigne_hub.hub_file import DeclaredPrices, HubFile, load_hub_file
from aigne_hub.problems import ConfigError, Problem
from aigne_hub.settings import (
    PROCESS_VARIABLES,
    SCALAR_VARIABLES,
    Settings,
    load_settings,
    redacted,
)

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home directory, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    return {"HOME": str(tmp_path)}


def problems_of(environ, **options) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load_settings(environ, **options)
    return caught.value.problems


def test_defaults_need_only_a_home(home, tmp_path):
    settings = load_settings(home)
    data = tmp_path / ".local" / "share" / "aigne-hub"
    assert settings.data_dir == data
    assert settings.database_url == f"sqlite:///{data}/hub.db"
    assert settings.database_url.startswith("sqlite:////")
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8090, 1)
    assert (settings.log_level, settings.log_format, settings.drain_s) == ("info", "auto", 30)
    assert settings.config is None
    assert settings.secret_key is None


def test_xdg_data_home_is_used_when_absolute_and_ignored_when_not(home, tmp_path):
    absolute = load_settings({**home, "XDG_DATA_HOME": "/data"})
    relative = load_settings({**home, "XDG_DATA_HOME": "data"})
    assert absolute.data_dir == Path("/data/aigne-hub")
    assert relative.data_dir == tmp_path / ".local" / "share" / "aigne-hub"


def test_without_home_the_data_directory_must_be_named():
    assert problems_of({}) == [
        Problem("AIGNE_HUB_DATA_DIR", 0, "is required where HOME is not set")
    ]
    assert load_settings({}, data_dir=Path("/data")).data_dir == Path("/data")


def test_a_relative_data_directory_becomes_absolute(home, tmp_path):
    settings = load_settings({**home, "AIGNE_HUB_DATA_DIR": ".data"})
    assert settings.data_dir == tmp_path / ".data"


def test_variables_are_read_and_options_win(home):
    environ = {
        **home,
        "AIGNE_HUB_PORT": "9000",
        "AIGNE_HUB_HOST": "0.0.0.0",
        "AIGNE_HUB_WORKERS": "4",
        "AIGNE_HUB_DRAIN_S": "0",
        "AIGNE_HUB_LOG_LEVEL": "debug",
        "AIGNE_HUB_LOG_FORMAT": "json",
        "AIGNE_HUB_REDIS_URL": "redis://127.0.0.1/1",
        "AIGNE_HUB_PUBLIC_URL": "https://hub.example.com/",
        "AIGNE_HUB_DATABASE_URL": "postgresql://u:p@h:5432/d",
    }
    settings = load_settings(environ, port=9001, database_url="sqlite:///x.db")
    assert (settings.port, settings.host, settings.workers) == (9001, "0.0.0.0", 4)
    assert (settings.drain_s, settings.log_level, settings.log_format) == (0, "debug", "json")
    assert settings.redis_url == "redis://127.0.0.1/1"
    assert settings.public_url == "https://hub.example.com"
    assert settings.database_url == "sqlite:///x.db"
    assert load_settings(environ, port=0).port == 0


def test_an_empty_variable_counts_as_not_set(home):
    environ = {**home, "AIGNE_HUB_PORT": "", "AIGNE_HUB_LIMITS_STREAM_IDLE_S": ""}
    assert load_settings(environ).port == 8090
    assert load_hub_file(None, environ).limits.stream_idle_s == 300


def test_the_file_is_the_named_one_then_the_data_directorys_then_the_working_directorys(
    home, tmp_path
):
    data = tmp_path / "data"
    data.mkdir()
    assert load_settings(home, data_dir=data).config is None
    (tmp_path / "hub.yaml").touch()
    assert load_settings(home, data_dir=data).config == tmp_path / "hub.yaml"
    (data / "hub.yaml").touch()
    assert load_settings(home, data_dir=data).config == data / "hub.yaml"
    named = {**home, "AIGNE_HUB_CONFIG": "/named.yaml"}
    assert load_settings(named, data_dir=data).config == Path("/named.yaml")
    assert load_settings(named, config=Path("/o.yaml")).config == Path("/o.yaml")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("AIGNE_HUB_PORT", "http", "must be a whole number"),
        ("AIGNE_HUB_PORT", "65536", "must be less than or equal to 65535"),
        ("AIGNE_HUB_WORKERS", "0", "must be greater than or equal to 1"),
        ("AIGNE_HUB_DRAIN_S", "-1", "must be greater than or equal to 0"),
        ("AIGNE_HUB_HOST", "a b", "must be a host name or an IP address"),
        ("AIGNE_HUB_LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
        ("AIGNE_HUB_REDIS_URL", "http://h", "must be redis://…, rediss://… or unix://…"),
        ("AIGNE_HUB_PUBLIC_URL", "hub", "must be a URL like https://host or http://host:port/path"),
        ("AIGNE_HUB_SECRET_KEY", "short", "must have at least 16 characters"),
    ],
)
def test_a_bad_value_names_its_variable_and_is_not_shown(home, variable, value, message):
    assert problems_of({**home, variable: value}) == [Problem(variable, 0, message)]


def test_a_bad_option_is_named_as_an_option(home):
    assert problems_of({**home, "AIGNE_HUB_PORT": "1"}, port=70_000)[0].path == "--port"
    assert problems_of(home, database_url="mysql://h/d")[0].path == "--database-url"


def test_an_unknown_variable_names_the_closest_known_one_and_all_problems_are_listed(home):
    environ = {
        **home,
        "AIGNE_HUB_BILLING_ENABLE": "1",
        "AIGNE_HUB_PROT": "1",
        "AIGNE_HUB_PORT": "x",
    }
    assert problems_of(environ) == [
        Problem(
            "AIGNE_HUB_BILLING_ENABLE",
            0,
            "unknown variable; the closest is AIGNE_HUB_BILLING_ENABLED",
        ),
        Problem("AIGNE_HUB_PROT", 0, "unknown variable; the closest is AIGNE_HUB_PORT"),
        Problem("AIGNE_HUB_PORT", 0, "must be a whole number"),
    ]


def test_variables_of_clients_and_of_kubernetes_services_are_left_alone(home):
    environ = {
        **home,
        "AIGNE_HUB_API_URL": "https://hub",
        "AIGNE_HUB_API_KEY": "blocklet-x",
        "AIGNE_HUB_SERVICE_HOST": "10.0.0.1",
        "AIGNE_HUB_SERVICE_PORT": "8090",
        "AIGNE_HUB_SERVICE_PORT_HTTP": "8090",
        "AIGNE_HUB_PORT": "tcp://10.0.0.1:8090",
        "AIGNE_HUB_PORT_8090_TCP": "tcp://10.0.0.1:8090",
        "AIGNE_HUB_PORT_8090_TCP_ADDR": "10.0.0.1",
    }
    assert load_settings(environ).port == 8090


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///hub.db",
        "sqlite:////var/lib/hub.db",
        "postgresql://u:p@h:5432/d?sslmode=require",
        "postgresql:///hub?host=/run/postgresql",
    ],
)
def test_accepted_database_urls(home, url):
    assert load_settings(home, database_url=url).database_url == url


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@h/d",
        "postgres://u:hunter2@h/d",
        "postgresql+asyncpg://u:hunter2@h/d",
        "postgresql://u:hunter2@h:99999/d",
        "postgresql://u:hunter2@[h/d",
        "sqlite://hunter2",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///hub.db?key=hunter2",
    ],
)
def test_other_database_urls_are_refused_without_showing_them(home, url):
    with pytest.raises(ConfigError) as caught:
        load_settings({**home, "AIGNE_HUB_DATABASE_URL": url})
    assert str(caught.value).startswith("AIGNE_HUB_DATABASE_URL: must ")
    assert "sqlite:///" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:pw@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://u:p@w/x:y@h/d", "postgresql://u:***@h/d"),
        ("redis://:pw@h/0", "redis://:***@h/0"),
        ("postgresql://u@h/d?sslmode=require&password=pw#f", None),
        ("postgresql://h:5432/d", "postgresql://h:5432/d"),
        ("sqlite:////data/hub.db", "sqlite:////data/hub.db"),
    ],
)
def test_redacted_hides_the_password_wherever_it_stands(url, shown):
    assert redacted(url) == (shown or "postgresql://u@h/d?sslmode=require&password=***#f")


def test_secrets_are_not_in_the_repr(home):
    settings = load_settings(
        {
            **home,
            "AIGNE_HUB_SECRET_KEY": "hunter2-hunter2-hunter2",
            "AIGNE_HUB_REDIS_URL": "redis://:hunter2@h/0",
            "AIGNE_HUB_DATABASE_URL": "postgresql://u:hunter2@h/d",
        }
    )
    assert "hunter2" not in repr(settings) + str(settings)
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == "hunter2-hunter2-hunter2"


def test_settings_are_frozen(home):
    with pytest.raises(ValueError, match="frozen"):
        load_settings(home).port = 1  # type: ignore[misc] - that it fails is the test


ISSUER = "zNKqQQMr3v5oPg8ZmMbHSMbXdN5Z3cFaSoFV"
PAYMENTS = "AIGNE_HUB_BILLING_PAYMENTS_"


def test_every_scalar_of_the_file_has_a_variable_that_wins_over_the_file(tmp_path):
    values: dict[str, tuple[str, object]] = {
        "AIGNE_HUB_PUBLIC_URL": ("https://env.example", "https://env.example"),
        "AIGNE_HUB_BILLING_ENABLED": ("true", True),
        "AIGNE_HUB_BILLING_NEW_USER_CREDITS": ("2.5", 2_500_000_000),
        "AIGNE_HUB_BILLING_OVERDRAFT": ("3", 3_000_000_000),
        "AIGNE_HUB_BILLING_PAYMENT_LINK": ("https://pay.example/?a=b", "https://pay.example/?a=b"),
        "AIGNE_HUB_BILLING_LOW_BALANCE": ("5,0.5", (5_000_000_000, 500_000_000)),
        "AIGNE_HUB_PRODUCTION": ("true", True),
        f"{PAYMENTS}MODE": ("off", "off"),
        f"{PAYMENTS}CREDIT_PRICE": ("0.5", 500_000_000),
        f"{PAYMENTS}CURRENCY": ("eur", "eur"),
        f"{PAYMENTS}MIN": ("2", 2_000_000_000),
        f"{PAYMENTS}MAX": ("20", 20_000_000_000),
        f"{PAYMENTS}INSTRUCTIONS": ("IBAN 1", "IBAN 1"),
        f"{PAYMENTS}STRIPE_SECRET_KEY": ("sk_1", SecretStr("sk_1")),
        f"{PAYMENTS}STRIPE_WEBHOOK_SECRET": ("whsec_1", SecretStr("whsec_1")),
        f"{PAYMENTS}STRIPE_API_BASE": ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        f"{PAYMENTS}PAYMENT_KIT_URL": ("https://kit.example/pay/", "https://kit.example/pay"),
        f"{PAYMENTS}PAYMENT_KIT_TOKEN": ("t", SecretStr("t")),
        f"{PAYMENTS}PAYMENT_KIT_METER": ("m", "m"),
        "AIGNE_HUB_LIMITS_REQUEST_BODY_MIB": ("7", 7),
        "AIGNE_HUB_LIMITS_UPSTREAM_BODY_MIB": ("8", 8),
        "AIGNE_HUB_LIMITS_HEADER_TIMEOUT_S": ("9", 9),
        "AIGNE_HUB_LIMITS_UPSTREAM_FIRST_BYTE_S": ("10", 10),
        "AIGNE_HUB_LIMITS_STREAM_IDLE_S": ("11", 11),
        "AIGNE_HUB_LIMITS_HEAD_WITHIN_S": ("15", 15),
        "AIGNE_HUB_LIMITS_CALLS_IN_FLIGHT": ("12", 12),
        "AIGNE_HUB_ROUTING_POLICY": ("latency", "latency"),
        "AIGNE_HUB_ROUTING_ATTEMPTS": ("16", 16),
        "AIGNE_HUB_ROUTING_RETRIES": ("1", 1),
        "AIGNE_HUB_ROUTING_WITHIN_S": ("17", 17),
        "AIGNE_HUB_ROUTING_ATTEMPT_S": ("18", 18),
        "AIGNE_HUB_ROUTING_AFFINITY": ("false", False),
        "AIGNE_HUB_ROUTING_HINTS": ("providers,policy", ("providers", "policy")),
        "AIGNE_HUB_ROUTING_HEDGE_PERCENTILE": ("95", 95),
        "AIGNE_HUB_ROUTING_CHECK_EVERY_S": ("30", 30),
        "AIGNE_HUB_OAUTH_REGISTRATION": ("token", "token"),
        "AIGNE_HUB_DID_NEW_USERS": ("false", False),
        "AIGNE_HUB_DID_NEW_USER_ROLE": ("guest", "guest"),
        "AIGNE_HUB_DID_TERMS_URL": ("https://a.example/terms", "https://a.example/terms"),
        "AIGNE_HUB_DID_TERMS_SHA256": ("0a" * 32, "0a" * 32),
        "AIGNE_HUB_DID_CREDENTIAL_TYPE": ("Passport", "Passport"),
        "AIGNE_HUB_DID_CREDENTIAL_ISSUERS": (f"did:abt:{ISSUER}", (ISSUER,)),
        "AIGNE_HUB_RETENTION_CALLS_MONTHS": ("13", 13),
        "AIGNE_HUB_RETENTION_HOURLY_STATS_MONTHS": ("14", 14),
    }
    assert set(values) == set(SCALAR_VARIABLES)
    file = tmp_path / "hub.yaml"
    file.write_text("version: 1\npublic_url: https://file.example\nlimits: {stream_idle_s: 99}\n")
    for variable, (text, expected) in values.items():
        value: Any = load_hub_file(file, {variable: text})
        for step in SCALAR_VARIABLES[variable]:
            value = getattr(value, step)
        assert value == expected, variable


def test_an_override_leaves_the_rest_of_its_section_to_the_file(tmp_path):
    file = tmp_path / "hub.yaml"
    file.write_text("version: 1\nlimits: {stream_idle_s: 99, calls_in_flight: 5}\n")
    limits = load_hub_file(file, {"AIGNE_HUB_LIMITS_CALLS_IN_FLIGHT": "6"}).limits
    assert (limits.stream_idle_s, limits.calls_in_flight, limits.request_body_mib) == (99, 6, 32)


def test_bad_overrides_name_their_variables(tmp_path):
    environ = {"AIGNE_HUB_BILLING_OVERDRAFT": "-1", "AIGNE_HUB_OAUTH_REGISTRATION": "closed"}
    with pytest.raises(ConfigError) as caught:
        load_hub_file(None, environ)
    assert caught.value.problems == [
        Problem("AIGNE_HUB_BILLING_OVERDRAFT", 0, "must not be negative"),
        Problem("AIGNE_HUB_OAUTH_REGISTRATION", 0, "must be 'open', 'token' or 'off'"),
    ]


def keys_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return every leaf of the file as the page writes it, such as `models[].type`."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        inner = [part for part in (field.annotation, *get_args(field.annotation)) if is_model(part)]
        many = (
            "[]"
            if "tuple" in str(field.annotation)
            else ".NAME"
            if inner and "dict" in str(field.annotation)
            else ""
        )
        leaf = not inner or inner[0] is DeclaredPrices
        found += [prefix + name] if leaf else keys_of(inner[0], f"{prefix}{name}{many}.")
    return found


def is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def row_of(name: str) -> str:
    rows = [
        line
        for line in PAGE.read_text().splitlines()
        if re.match(r"\|.*`" + re.escape(name) + "`", line)
    ]
    assert len(rows) == 1, f"docs/configuration.md has {len(rows)} rows for {name}"
    return rows[0]


def test_the_page_names_every_key_and_variable():
    keys = keys_of(HubFile)
    assert {"models[].type", "aliases.NAME.fallbacks", "billing.enabled", "version"} <= set(keys)
    assert "providers[].credentials[].weight" in keys
    for name in [*keys, *SCALAR_VARIABLES, *PROCESS_VARIABLES]:
        row_of(name)


def test_the_page_names_every_price():
    section = PAGE.read_text().partition("\n### Rates\n")[2].partition("\n### ")[0]
    assert section
    assert {name for name in DeclaredPrices.model_fields if f"`{name}`" not in section} == set()
    types = section.partition("| type | needs one of |")[2]
    for kind, units in CHARGED_BY.items():
        (row,) = re.findall(rf"^\| `{kind}` \| .*$", types, re.MULTILINE)
        enough, extra = row.split("|")[2:4]
        assert re.findall(r"`(\w+)`", enough) == list(units.enough), kind
        refined = "what refines tokens" in extra
        named = re.findall(r"`(\w+)`", extra)
        assert set(named) | (set(REFINED) if refined else set()) == set(units.extra), kind


def test_the_page_states_the_default_and_bounds_of_every_number():
    numbers = [
        (variable, Settings.model_fields[name]) for variable, name in PROCESS_VARIABLES.items()
    ]
    for variable, path in SCALAR_VARIABLES.items():
        if len(path) == 2:
            section = HubFile.model_fields[path[0]].annotation
            assert section is not None
            numbers.append((variable, section.model_fields[path[1]]))
    checked = 0
    for variable, field in numbers:
        bounds = {type(each).__name__: each for each in field.metadata}
        if "Ge" in bounds and "Le" in bounds:
            row = row_of(variable)
            none = field.default is None
            assert ("| `null`: " if none else f"| `{field.default}` |") in row
            assert f"| {bounds['Ge'].ge} to {bounds['Le'].le} |" in row
            checked += 1
    assert checked == 17
