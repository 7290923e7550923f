"""docs/providers.md says of each vendor what its profile says."""

from pathlib import Path

from aigne_hub.gateway.offers import LANGUAGE_NAMES
from aigne_hub.providers.profile import Profile
from aigne_hub.providers.vendors import VENDORS

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
HEAD = "| kind | formats and addresses | key | what is special | checked |\n|---|---|---|---|---|\n"


def row(profile: Profile) -> str:
    own = profile.base_url or profile.like
    formats = [
        f"{LANGUAGE_NAMES[language]}: `{profile.address(own, language)}`"
        for language in profile.languages
    ]
    keys = {f"`{spoken.auth[0]}`": None for spoken in profile.languages.values()}
    copy = " (stored copy)" if profile.stored else ""
    cells = (
        f"`{profile.kind}`",
        "<br>".join(formats),
        ", ".join(keys) + (", optional" if profile.is_keyless else ""),
        " ".join(profile.quirks),
        f"[{profile.checked}]({profile.source}){copy}",
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_is_the_profiles():
    table = HEAD + "\n".join(row(profile) for profile in VENDORS) + "\n"
    assert table in PAGE.read_text(), f"docs/providers.md needs this table:\n\n{table}"
