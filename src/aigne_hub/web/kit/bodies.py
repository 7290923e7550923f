"""What requests carry. Members that the hub has no use for are left out, as Payment Kit does."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from aigne_hub.domain.money import parse_amount
from aigne_hub.web.api.bodies import AMOUNT_CHARS_MAX

NAME_MAX = 255
TEXT_MAX = 2_000
JSON_BYTES_MAX = 16 * 1024
# 9999-12-31: later instants have no calendar date.
SECONDS_MAX = 253_402_300_799


class KitBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


def _amount(value: object) -> object:
    """Let a whole number stand for its text: JSON's fractions are inexact and stay refused."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _checked(text: str) -> str:
    parse_amount(text)
    return text


def _bounded(value: Any) -> Any:
    if len(json.dumps(value)) > JSON_BYTES_MAX:
        raise ValueError(f"is more than {JSON_BYTES_MAX // 1024} KiB as JSON")
    return value


# Credits as a decimal string, such as "12.5"; `parse_amount` gives nano-credits.
AmountText = Annotated[
    str,
    Field(max_length=AMOUNT_CHARS_MAX, description='Credits, such as `"12.5"`.'),
    BeforeValidator(_amount, json_schema_input_type=str),
    AfterValidator(_checked),
]
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
Reference = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
LongText = Annotated[str, Field(max_length=TEXT_MAX)]
Metadata = Annotated[dict[str, Any], AfterValidator(_bounded)]
Document = Annotated[Any, AfterValidator(_bounded)]
# Unix seconds; 0 stands for none.
Seconds = Annotated[int, Field(ge=0, le=SECONDS_MAX)]
