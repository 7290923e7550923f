"""The model of hub.yaml: providers with keys, models with prices, aliases, roles."""

import json
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aigne_hub.config_values import Frozen, ProviderUrl, WebUrl
from aigne_hub.domain import names
from aigne_hub.domain.access import Scope
from aigne_hub.domain.charged_by import misfit
from aigne_hub.domain.oauth.external import EMAIL, ExternalIssuer
from aigne_hub.domain.permissions import OWNERS_ONLY, Permission
from aigne_hub.domain.roles import BUILT_IN, ROLE_NAME, ROLE_NAME_MEANING, ROLES_MAX
from aigne_hub.domain.routing import Policy
from aigne_hub.domain.usage import TOKENS_MAX
from aigne_hub.hub_file import prices
from aigne_hub.hub_file.prices import DeclaredPrices
from aigne_hub.providers.vendors import VENDORS
from aigne_hub.settings import OAuth, Scalars

PROVIDERS_MAX = 256
CREDENTIALS_MAX = 100
MODELS_MAX = 10_000
ALIASES_MAX = 1_000
FALLBACKS_MAX = 16
MODEL_LENGTH_MAX = 256
ISSUERS_MAX = 16
ISSUER_LENGTH_MAX = 2_048

DEMO: Final = "demo"  # the built-in provider: it may be referenced without being declared
DEMO_MODELS: Final = frozenset({"demo/echo", "demo/embed", "demo/image"})

_MODEL: Final = r"^[a-z0-9][a-z0-9_-]{0,63}/[^\s?#%\x00-\x1f\x7f]+$"
_ALIAS: Final = r"^[^\s/?#%\x00-\x1f\x7f]{1,128}$"
MEANINGS: Final = {
    names.PROVIDER: "must be 1 to 64 of a-z, 0-9, - and _, starting with a letter or digit",
    names.CREDENTIAL: (
        "must be 1 to 64 letters, digits, '.', - and _, starting with a letter or digit"
    ),
    _MODEL: "must be a reference like provider/model, without spaces, ?, # and %",
    _ALIAS: "must be an alias name: 1 to 128 characters without /, spaces, ?, # and %",
    ROLE_NAME: ROLE_NAME_MEANING,
    **prices.MEANINGS,
}


def _api_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if text.lstrip().startswith("{"):  # a service account's file, on as many lines as it came
        try:
            return SecretStr(json.dumps(json.loads(text), separators=(",", ":")))
        except ValueError:
            raise ValueError("begins like JSON and is none") from None
    if not names.is_key(text):
        raise ValueError("must be printable ASCII: no line breaks, no spaces at its ends")
    return key


def _own_role(name: str) -> str:
    if name in BUILT_IN:
        raise ValueError("is built in and stays as it is; choose another name")
    return name


def _not_owners_only(permission: Permission) -> Permission:
    if permission in OWNERS_ONLY:
        raise ValueError("is for owners only")
    return permission


Name = Annotated[str, Field(pattern=names.PROVIDER)]
# Any other is OpenAI-compatible.
_KINDS: Final = sorted((DEMO, *(profile.kind for profile in VENDORS)))
ModelReference = Annotated[str, Field(pattern=_MODEL, max_length=MODEL_LENGTH_MAX)]
AliasName = Annotated[str, Field(pattern=_ALIAS)]
RoleName = Annotated[str, Field(pattern=ROLE_NAME), AfterValidator(_own_role)]
DeclaredPermission = Annotated[Permission, AfterValidator(_not_owners_only)]
ApiKey = Annotated[
    SecretStr, Field(max_length=names.PROVIDER_KEY_CHARS_MAX), AfterValidator(_api_key)
]


class DeclaredCredential(Frozen):
    """A key. Those of the lowest `priority` are used first, and share calls by `weight`."""

    name: str = Field(pattern=names.CREDENTIAL)
    api_key: ApiKey = Field(min_length=1)
    weight: StrictInt = Field(default=100, ge=1, le=names.CREDENTIAL_WEIGHT_MAX)
    priority: StrictInt = Field(default=0, ge=0, le=names.CREDENTIAL_PRIORITY_MAX)


class DeclaredProvider(Frozen):
    """`kind` names the adapter; `base_url` None means the vendor's."""

    name: Name
    kind: Name = Field(default_factory=lambda valid: valid["name"], examples=_KINDS)
    base_url: ProviderUrl | None = None
    credentials: tuple[DeclaredCredential, ...] = Field(default=(), max_length=CREDENTIALS_MAX)

    @model_validator(mode="after")
    def _built_in(self) -> "DeclaredProvider":
        if self.name == DEMO and (self.kind != DEMO or self.base_url or self.credentials):
            raise ValueError(f'"{DEMO}" is built in: it takes no kind, base_url or credentials')
        return self


class DeclaredModel(Frozen):
    """One model, its rates and the vendor's `cost`, in nano-credits as `RateCard` counts them.

    Without rates it is unpriced; without limits those of the catalogue hold.
    """

    model: ModelReference
    type: Literal[
        "chat", "embedding", "image", "video", "speech", "transcription", "rerank", "moderation"
    ]
    rates: DeclaredPrices = Field(default_factory=DeclaredPrices)
    cost: DeclaredPrices = Field(default_factory=DeclaredPrices)
    max_output_tokens: StrictInt | None = Field(default=None, ge=1, le=TOKENS_MAX)
    context_tokens: StrictInt | None = Field(default=None, ge=1, le=TOKENS_MAX)

    @field_validator("rates", "cost")
    @classmethod
    def _fits_type(cls, declared: DeclaredPrices, info: ValidationInfo) -> DeclaredPrices:
        amounts = declared.amounts()
        if amounts and "type" in info.data:
            problem = misfit(info.data["type"], amounts)
            if problem:
                raise ValueError(problem)
        return declared


class DeclaredAlias(Frozen):
    """A model and its fallbacks, in this order unless a `policy` chooses among them."""

    model: ModelReference
    fallbacks: tuple[ModelReference, ...] = Field(default=(), max_length=FALLBACKS_MAX)
    policy: Policy | None = None


class DeclaredIssuer(Frozen):
    """Another issuer whose tokens open the data plane, and which claim of them names a user."""

    issuer: WebUrl
    audience: str = Field(min_length=1, max_length=ISSUER_LENGTH_MAX)
    jwks_uri: WebUrl | None = None
    user_claim: str = Field(default=EMAIL, min_length=1, max_length=100)
    scopes: tuple[Scope, ...] = Field(
        default=(Scope.INFERENCE, Scope.MODELS), min_length=1, max_length=len(Scope)
    )

    def trusted(self) -> ExternalIssuer:
        return ExternalIssuer(
            name=self.issuer,
            audience=self.audience,
            jwks_uri=self.jwks_uri,
            user_claim=self.user_claim,
            scopes=frozenset(self.scopes),
        )


class DeclaredOAuth(OAuth):
    """The authorization server, and the issuers beside it."""

    issuers: tuple[DeclaredIssuer, ...] = Field(default=(), max_length=ISSUERS_MAX)


class HubFile(Scalars):
    """hub.yaml with the environment's overrides applied."""

    version: Literal[1]
    oauth: DeclaredOAuth = DeclaredOAuth()
    providers: tuple[DeclaredProvider, ...] = Field(default=(), max_length=PROVIDERS_MAX)
    models: tuple[DeclaredModel, ...] = Field(default=(), max_length=MODELS_MAX)
    aliases: dict[AliasName, DeclaredAlias] = Field(default_factory=dict, max_length=ALIASES_MAX)
    roles: dict[RoleName, tuple[DeclaredPermission, ...]] = Field(
        default_factory=dict, max_length=ROLES_MAX
    )
