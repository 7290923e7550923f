"""Which passwords are tried first, however long they are.

A password is worth what is left of it once the words that everybody tries, the words of this
very hub and of the user's own e-mail, and runs along a keyboard are taken out of it.
"""

import re
from collections.abc import Iterator
from typing import Final

# What a guesser knows of the place (OWASP ASVS 5.0, 6.1.2). docs/identity.md lists them.
OF_THE_HUB: Final = (
    *("aigne", "arcblock", "blocklet", "hub", "gateway", "openai", "anthropic", "claude"),
    *("gemini", "chatgpt", "gpt", "model", "token", "credit", "apikey", "account"),
    *("admin", "administrator", "operator", "owner", "member", "guest", "support", "service"),
)
_COMMON: Final = (
    *("password", "passw0rd", "p@ssword", "p@ssw0rd", "passwort", "passwd", "pass", "welcome"),
    *("letmein", "iloveyou", "changeme", "changeit", "default", "secret", "master", "login"),
    *("root", "user", "test", "temp", "system", "server", "computer", "internet", "hello"),
    *("monkey", "dragon", "shadow", "sunshine", "princess", "flower", "summer", "winter"),
    *("spring", "autumn", "football", "baseball", "basketball", "hockey", "soccer"),
    *("superman", "batman", "spiderman", "starwars", "pokemon", "minecraft", "playstation"),
    *("michael", "jennifer", "jordan", "thomas", "charlie", "daniel", "jessica", "ashley"),
    *("andrew", "christopher", "liverpool", "chelsea", "arsenal", "manchester", "united"),
    *("trustno", "whatever", "freedom", "killer", "london", "berlin", "america", "company"),
    *("forever", "love", "angel", "lovely", "family", "mother", "cookie", "cheese", "ninja"),
    *("correcthorsebatterystaple", "iloveu", "loveyou", "qwert"),
    # "parol" and "privet" as a Latin keyboard has them, and their like.
    *("gfhjkm", "ghbdtn", "yfnfif", "vfhbyf", "k.,jdm", "cjkysirj", "ghjcnj"),
)
_ROWS: Final = (
    *("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop[]asdfghjkl;'zxcvbnm,./"),
    *("qwertyuiopasdfghjklzxcvbnm", "!@#$%^&*()_+", "147258369", "159753", "13579", "24680"),
    # Columns, and two rows at a time.
    *("1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/", "qazwsxedcrfvtgbyhnujmikolp"),
    *("1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "qweasdzxcrtyfghvbnuiojklm"),
    *("1qa2ws3ed4rf5tg6yh", "1qazxsw23edcvfr4", "zaq12wsxcde34rfv", "qazxswedcvfrtgbnhyujmkiolp"),
    *("123qweasdzxc", "1234qwerasdfzxcv", "a1s2d3f4g5h6j7k8l9", "a1b2c3d4e5f6g7h8", "qwaszxerdfcv"),
    *("qawsedrftgyhujikolp", "12qw34er56ty78ui", "1z2x3c4v5b6n7m", "z1x2c3v4b5n6m7", "qwe123"),
)
_RUN: Final = 3
# What is left over is a secret of its own from so many different characters.
_OWN_CHARS: Final = 6
_PERIOD_MAX: Final = 8
_WALKS: Final = frozenset(
    row[start : start + _RUN]
    for each in _ROWS
    for row in (each, each[::-1])
    for start in range(len(row) - _RUN + 1)
)


def is_easy(password: bytes, email: str | None) -> bool:
    """Tell whether a password is among those that are tried first at this hub, of this user."""
    text = password.decode("utf-8", "replace").lower()
    if _repeats(text):
        return True
    words = {*OF_THE_HUB, *_COMMON, *_words_of((email or "").lower())}
    longest_first = sorted(words, key=len, reverse=True)
    rest = re.sub("|".join(map(re.escape, longest_first)), "\n", text)
    rest = "".join(map(_without_walks, rest.split("\n")))
    return len(rest) < len(text) and len(set(rest)) < _OWN_CHARS


def _words_of(email: str) -> Iterator[str]:
    """Yield an address, and its parts that are long enough to be recognised."""
    for word in (email, *re.split(r"[^\w]+", email)):
        if len(word) >= _RUN:
            yield word


def _repeats(text: str) -> bool:
    """Tell whether a text is a word or a character over and over."""
    return any(text == (text[:size] * len(text))[: len(text)] for size in range(1, _PERIOD_MAX + 1))


def _without_walks(text: str) -> str:
    """Return a text without what runs along a keyboard, an alphabet or one character."""
    kept, at = [], 0
    while at < len(text):
        end = at
        while _walks(text[end : end + _RUN]):
            end += 1
        if end == at:
            kept.append(text[at])
            at += 1
        else:
            at = end + _RUN - 1
    return "".join(kept)


def _walks(text: str) -> bool:
    return len(text) == _RUN and (text in _WALKS or len(set(text)) == 1)
