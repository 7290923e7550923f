import pytest

from aigne_hub.catalog.model_limits import UNKNOWN, ModelLimits, limits_of


@pytest.mark.parametrize(
    ("name", "context", "output"),
    [
        ("claude-opus-5-5", 1_000_000, 128_000),
        ("claude-opus-4-20250514", 200_000, 32_000),
        ("claude-opus-4-1-20250805", 200_000, 32_000),
        ("claude-opus-4.6", 1_000_000, 128_000),
        ("claude-sonnet-4-5-20250929", 1_000_000, 64_000),
        ("anthropic/claude-haiku-4.5", 200_000, 64_000),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", 200_000, 8_192),
        ("claude-3-haiku-20240307", 200_000, 4_096),
    ],
)
def test_claudes_are_known_by_whichever_vendors_name(name: str, context: int, output: int):
    assert limits_of(name) == ModelLimits(context, output)


def test_a_model_that_nobody_knows_has_the_limits_that_the_manual_names():
    assert limits_of("gpt-4o-mini") == UNKNOWN == (131_072, 16_384)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("gemini-2.5-flash", (1_048_576, 65_536)),
        ("models/gemini-1.5-pro-002", (2_097_152, 8_192)),
        ("google/gemini-2.0-flash", (1_048_576, 8_192)),
        ("gemini-4-pro", (1_048_576, 65_536)),
    ],
)
def test_gemini_models_read_what_google_says(name: str, limits: tuple[int, int]):
    assert limits_of(name) == limits
