"""What the environment sets: how the process runs, and any scalar of hub.yaml, over which it wins.

Values are validated once and frozen. A message never contains a value, because any of them
may be a secret; it names the key or the variable. `hub_file` reads hub.yaml.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StrictBool,
    StrictInt,
    ValidationError,
)

from aigne_hub.config_values import (
    BaseUrl,
    Credits,
    DatabaseUrl,
    Frozen,
    ProxyUrl,
    RedisUrl,
    Thresholds,
    WebUrl,
    listed,
    matching,
)
from aigne_hub.did_settings import DidSettings
from aigne_hub.domain import routing
from aigne_hub.domain.routing import Hint, Policy, Rules
from aigne_hub.payment_settings import Payments
from aigne_hub.problems import ConfigError, Problem, meaning

PREFIX: Final = "AIGNE_HUB_"

HOST_LENGTH_MAX = 255
PORT_MAX = 65_535
WORKERS_MAX = 256
DRAIN_S_MAX = 3_600
SECRET_KEY_LENGTH_MIN = 16
SECRET_KEY_LENGTH_MAX = 1_024
BODY_MIB_MAX = 1_024
HEADER_TIMEOUT_S_MAX = 300
UPSTREAM_WAIT_S_MAX = 3_600
CALLS_IN_FLIGHT_MAX = 1_000_000
CALLS_MONTHS_MAX = 120
HOURLY_STATS_MONTHS_MAX = 240

# Names in a hub's environment that are not the hub's: what AIGNE's clients read, and what
# Kubernetes injects for a Service called "aigne-hub" (AIGNE_HUB_PORT=tcp://… among them).
_CLIENT_VARIABLES: Final = frozenset({"AIGNE_HUB_API_URL", "AIGNE_HUB_API_KEY"})
_SERVICE_LINK: Final = re.compile(r"AIGNE_HUB_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_\w+)")
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://")


def redacted(url: str) -> str:
    """Return the URL with its password, wherever it stands, replaced by `***`.

    Works on malformed URLs too and rather hides too much: the password reaches to the last @.
    """
    hidden = re.sub(r"(://[^/?#@:]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&](?:ssl)?password=)[^&#]*", r"\1***", hidden, flags=re.IGNORECASE)


class Billing(Frozen):
    """Amounts are nano-credits; `payment_link` None means the hub's own checkout page.

    `low_balance` are the thresholds below which an account is told that it runs low.
    """

    enabled: StrictBool = False
    new_user_credits: Credits = Field(default="0", validate_default=True)
    overdraft: Credits = Field(default="0", validate_default=True)
    payment_link: WebUrl | None = None
    low_balance: Thresholds = ()
    payments: Payments = Payments()


class Limits(Frozen):
    request_body_mib: StrictInt = Field(default=32, ge=1, le=BODY_MIB_MAX)
    upstream_body_mib: StrictInt = Field(default=64, ge=1, le=BODY_MIB_MAX)
    header_timeout_s: StrictInt = Field(default=15, ge=1, le=HEADER_TIMEOUT_S_MAX)
    upstream_first_byte_s: StrictInt = Field(default=600, ge=1, le=UPSTREAM_WAIT_S_MAX)
    stream_idle_s: StrictInt = Field(default=300, ge=1, le=UPSTREAM_WAIT_S_MAX)
    head_within_s: StrictInt = Field(default=20, ge=1, le=UPSTREAM_WAIT_S_MAX)
    calls_in_flight: StrictInt = Field(default=1_000, ge=1, le=CALLS_IN_FLIGHT_MAX)


def _interval(seconds: int) -> int:
    least, most = routing.CHECK_EVERY_S_MIN, routing.CHECK_EVERY_S_MAX
    if seconds and not least <= seconds <= most:
        raise ValueError(f"must be 0, for never, or {least} to {most}")
    return seconds


_INTERVAL_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"const": 0},
        {"minimum": routing.CHECK_EVERY_S_MIN, "maximum": routing.CHECK_EVERY_S_MAX},
    ]
}


class Routing(Frozen):
    """How candidates are chosen and tried: `rules` has the same as the router reads it."""

    policy: Policy = Policy.ORDER
    attempts: StrictInt = Field(default=routing.ATTEMPTS_DEFAULT, ge=1, le=routing.ATTEMPTS_MAX)
    retries: StrictInt = Field(default=0, ge=0, le=routing.RETRIES_MAX)
    within_s: StrictInt = Field(default=routing.WITHIN_S_DEFAULT, ge=1, le=routing.WITHIN_S_MAX)
    attempt_s: StrictInt | None = Field(default=None, ge=1, le=UPSTREAM_WAIT_S_MAX)
    affinity: StrictBool = True
    hints: Annotated[tuple[Hint, ...], BeforeValidator(listed)] = Field(
        default=(), max_length=len(Hint)
    )
    hedge_percentile: StrictInt | None = Field(
        default=None, ge=routing.HEDGE_PERCENTILE_MIN, le=routing.HEDGE_PERCENTILE_MAX
    )
    check_every_s: Annotated[StrictInt, AfterValidator(_interval)] = Field(
        default=routing.CHECK_EVERY_S_DEFAULT, json_schema_extra=_INTERVAL_SCHEMA
    )

    @property
    def rules(self) -> Rules:
        return Rules(
            policy=self.policy,
            attempts=self.attempts,
            retries=self.retries,
            within_s=self.within_s,
            attempt_s=self.attempt_s,
            affinity=self.affinity,
            hints=frozenset(self.hints),
            hedge_percentile=self.hedge_percentile,
            check_every_s=self.check_every_s,
        )


class OAuth(Frozen):
    registration: Literal["open", "token", "off"] = "open"


class Retention(Frozen):
    calls_months: StrictInt = Field(default=3, ge=1, le=CALLS_MONTHS_MAX)
    hourly_stats_months: StrictInt = Field(default=6, ge=1, le=HOURLY_STATS_MONTHS_MAX)


Model = TypeVar("Model", bound=Frozen)


def _merged(own: Model, by: Frozen) -> Model:
    changes: dict[str, object] = {}
    for name in by.model_fields_set:
        value, before = getattr(by, name), getattr(own, name)
        changes[name] = _merged(before, value) if isinstance(before, Frozen) else value
    return own.model_copy(update=changes)


class Scalars(Frozen):
    """The part of hub.yaml that is single values, each of which a variable overrides.

    `public_url` None means the address the hub listens on. `production` refuses what is for
    trying out only.
    """

    public_url: BaseUrl | None = None
    production: StrictBool = False
    billing: Billing = Billing()
    limits: Limits = Limits()
    routing: Routing = Routing()
    oauth: OAuth = OAuth()
    did: DidSettings = DidSettings()
    retention: Retention = Retention()

    def overridden(self, by: "Scalars") -> Self:
        """Return self with the values that were set in `by` (its `model_fields_set`)."""
        return _merged(self, by)


class Settings(Frozen):
    """How one process runs. URLs that may hold a password are kept out of `repr`.

    `config` None means that no hub.yaml was named or found. `public_url` is what the
    environment says; the value in force, which may come from the file, is the hub file's.
    `drain_s` bounds a graceful shutdown. `upstream_proxy` is tunnelled through (CONNECT) to
    every provider except those on this machine.
    """

    data_dir: Path
    database_url: DatabaseUrl = Field(repr=False)
    config: Path | None = None
    host: Annotated[str, matching(r"[^\s/]+", "must be a host name or an IP address")] = Field(
        default="127.0.0.1", max_length=HOST_LENGTH_MAX
    )
    port: StrictInt = Field(default=8090, ge=0, le=PORT_MAX)
    workers: StrictInt = Field(default=1, ge=1, le=WORKERS_MAX)
    public_url: BaseUrl | None = None
    secret_key: SecretStr | None = Field(
        None, min_length=SECRET_KEY_LENGTH_MIN, max_length=SECRET_KEY_LENGTH_MAX
    )
    redis_url: RedisUrl | None = Field(default=None, repr=False)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    drain_s: StrictInt = Field(default=30, ge=0, le=DRAIN_S_MAX)
    upstream_proxy: ProxyUrl | None = Field(default=None, repr=False)


def _variables(model: Frozen, at: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for name, default in model:
        place = (*at, name)
        if isinstance(default, Frozen):
            names |= _variables(default, place)
        else:
            names[PREFIX + "_".join(place).upper()] = place
    return names


# Variable -> where its value goes: a path in hub.yaml, or a field of Settings.
SCALAR_VARIABLES: Final = _variables(Scalars())
PROCESS_VARIABLES: Final = {PREFIX + name.upper(): name for name in Settings.model_fields}


def scalars_from(environ: Mapping[str, str]) -> tuple[Scalars, list[Problem]]:
    """Return the scalars that variables set (see `model_fields_set`) and what is wrong.

    An empty variable counts as not set. Any problem leaves every scalar unset.
    """
    given: dict[str, Any] = {}
    for variable, (*groups, name) in SCALAR_VARIABLES.items():
        value = environ.get(variable)
        if value:
            group = given
            for each in groups:
                group = group.setdefault(each, {})
            group[name] = value
    try:
        return Scalars.model_validate_strings(given), []
    except ValidationError as error:
        variables = {path: variable for variable, path in SCALAR_VARIABLES.items()}
        return Scalars(), [
            Problem(variables[tuple(str(part) for part in found["loc"])], 0, meaning(found))
            for found in error.errors(include_url=False)
        ]


def _unknown_variables(environ: Mapping[str, str]) -> list[Problem]:
    known = sorted({*SCALAR_VARIABLES, *PROCESS_VARIABLES})
    return [
        Problem(name, 0, f"unknown variable; the closest is {closest}")
        for name in sorted(environ)
        if name.startswith(PREFIX)
        and name not in known
        and name not in _CLIENT_VARIABLES
        and not _SERVICE_LINK.fullmatch(name)
        for closest in get_close_matches(name, known, n=1, cutoff=0)
    ]


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return True  # reading it will say why it cannot be read


def _data_dir(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_DATA_HOME", "")
    if not Path(base).is_absolute():  # the XDG specification has relative paths ignored
        base = str(Path(environ["HOME"], ".local", "share")) if environ.get("HOME") else ""
    return str(Path(base, "aigne-hub")) if base else ""


def load_settings(
    environ: Mapping[str, str],
    *,
    data_dir: Path | None = None,
    database_url: str | None = None,
    config: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
) -> Settings:
    """Return the settings of this process; the keywords are command-line options and win.

    Without a configuration file named, `hub.yaml` of the data directory is taken, else that
    of the working directory, else none. Raises ConfigError naming options and variables.
    """
    options: dict[str, Path | str | int | None] = {"host": host, "port": port, "workers": workers}
    options |= {"data_dir": data_dir, "database_url": database_url, "config": config}
    given = {name: str(value) for name, value in options.items() if value is not None}
    labels = {name: variable for variable, name in PROCESS_VARIABLES.items()}
    labels |= {name: "--" + name.replace("_", "-") for name in given}
    values = {name: environ.get(variable, "") for variable, name in PROCESS_VARIABLES.items()}
    values = {name: value for name, value in values.items() if value}
    if _SERVICE_ADDRESS.match(values.get("port", "")):
        del values["port"]
    values |= given
    problems = _unknown_variables(environ)
    directory = values.get("data_dir") or _data_dir(environ)
    if not directory:
        problems.append(Problem(labels["data_dir"], 0, "is required where HOME is not set"))
    home = Path(directory).absolute()
    values["data_dir"] = str(home)
    values.setdefault("database_url", f"sqlite:///{home / 'hub.db'}")
    found = [file for file in (home / "hub.yaml", Path("hub.yaml").absolute()) if _is_there(file)]
    if found:
        values.setdefault("config", str(found[0]))
    try:
        settings = Settings.model_validate_strings(values)
    except ValidationError as error:
        problems += [
            Problem(labels[str(wrong["loc"][0])], 0, meaning(wrong))
            for wrong in error.errors(include_url=False)
        ]
        raise ConfigError("environment", problems) from None
    if problems:
        raise ConfigError("environment", problems)
    return settings
