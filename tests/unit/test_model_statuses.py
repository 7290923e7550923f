"""What calls show of the models they went to, and what is known of models by their names."""

import pytest

from aigne_hub.catalog.model_features import features_of
from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.model_status import ModelStatus
from aigne_hub.domain.operations import Attempt, Reason, Settle
from aigne_hub.usage.model_statuses import ModelStatuses

MODEL = "openai/gpt-x"


def ended(
    outcome: Outcome,
    status: int | None = 200,
    code: str | None = None,
    *,
    at_us: int = 1,
    asked: bool = True,
) -> Settle:
    tried = Attempt("openai", "main", status, None, 0, 7_000, "openai/m", Reason.CHOSEN, None)
    attempts = [tried] if asked else []
    return Settle(
        call_id="c",
        account_id="a",
        outcome=outcome,
        held=0,
        charge=0,
        usage=None,
        usage_source=None,
        provider="openai",
        credential="main",
        ended_us=at_us,
        duration_us=9_000,
        ttfb_us=None,
        billed=False,
        model=MODEL,
        error_code=code,
        error_message="The upstream answered so.",
        attempts=attempts,
    )


def seen(*calls: Settle) -> ModelStatus | None:
    statuses = ModelStatuses()
    for call in calls:
        statuses.note(call)
    return statuses.of(MODEL)


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Outcome.UPSTREAM_FAILED, None, "unreachable"),
        (Outcome.UPSTREAM_FAILED, 200, "broken_answer"),
        (Outcome.UPSTREAM_FAILED, 401, "invalid_key"),
        (Outcome.UPSTREAM_FAILED, 402, "no_credit"),
        (Outcome.UPSTREAM_FAILED, 403, "forbidden"),
        (Outcome.UPSTREAM_FAILED, 404, "model_not_found"),
        (Outcome.UPSTREAM_FAILED, 503, "unavailable"),
        (Outcome.UPSTREAM_TIMEOUT, 200, "timeout"),
    ],
)
def test_a_failure_of_the_upstream_says_why(outcome: Outcome, status: int | None, code: str):
    found = seen(ended(Outcome.COMPLETED), ended(outcome, status, at_us=2))
    assert found is not None
    assert (found.available, found.code, found.checked_us) == (False, code, 2)
    assert found.message == "The upstream answered so."


@pytest.mark.parametrize(("status", "code"), [(429, "no_credit"), (400, "unavailable")])
def test_what_is_about_the_hubs_own_account_says_so_by_any_status(status: int, code: str):
    found = seen(ended(Outcome.UPSTREAM_FAILED, status, "upstream_error"))
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize(
    "call",
    [
        ended(Outcome.UPSTREAM_FAILED, 400, at_us=2),
        ended(Outcome.UPSTREAM_FAILED, 429, "rate_limited", at_us=2),
        ended(Outcome.UPSTREAM_FAILED, 403, "invalid_request", at_us=2),
        ended(Outcome.UPSTREAM_FAILED, 403, "not_found", at_us=2),
        ended(Outcome.UPSTREAM_FAILED, 424, "invalid_request", at_us=2),
        ended(Outcome.REJECTED, at_us=2),
        ended(Outcome.INTERRUPTED, at_us=2),
        ended(Outcome.CLIENT_CANCELLED, at_us=2, asked=False),
    ],
)
def test_what_is_nobodys_fault_or_the_callers_says_nothing(call: Settle):
    found = seen(ended(Outcome.COMPLETED), call)
    assert found == ModelStatus(MODEL, available=True, checked_us=1, response_us=7_000)
    assert seen(call) is None


def test_an_answer_is_noted_once_between_two_deliveries():
    statuses = ModelStatuses()
    statuses.note(ended(Outcome.COMPLETED))
    assert MODEL in statuses.answering
    (noted,) = statuses.taken()
    assert noted.available
    assert MODEL not in statuses.answering
    assert statuses.of(MODEL) == noted
    assert statuses.taken() == []


def test_the_newer_of_two_processes_words_stands():
    statuses = ModelStatuses()
    statuses.note(ended(Outcome.COMPLETED, at_us=5))
    statuses.taken()
    older = ModelStatus(MODEL, available=False, checked_us=4, code="timeout")
    statuses.learn([older])
    assert statuses.of(MODEL) == ModelStatus(MODEL, available=True, checked_us=5, response_us=7_000)
    newer = older._replace(checked_us=6)
    statuses.learn([newer])
    assert statuses.of(MODEL) == newer


@pytest.mark.parametrize(
    ("name", "kind", "reads", "features"),
    [
        ("gpt-4o-mini", "chat", "image", "tools"),
        ("openai/gpt-5-mini", "chat", "file", "reasoning"),
        ("o3", "chat", "image", "reasoning"),
        ("us.anthropic.claude-sonnet-4-5", "chat", "file", "reasoning"),
        ("gemini-2.5-flash", "chat", "video", "structured_output"),
    ],
)
def test_families_are_known_by_name(name: str, kind: str, reads: str, features: str):
    found = features_of(name, kind)
    assert reads in found.input
    assert features in found.features


def test_of_other_models_only_the_type_is_claimed():
    assert features_of("mystery", "chat") == (("text",), ("text",), ())
    assert features_of("gpt-4o-transcribe", "transcription").input == ("audio",)
    assert features_of("mystery", "unheard") == ((), (), ())
