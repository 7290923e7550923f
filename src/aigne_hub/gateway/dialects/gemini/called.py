"""What a path of Gemini's names: told without what answers it."""

from typing import NamedTuple

STREAM_METHOD = "streamGenerateContent"
BATCH_METHOD = "batchEmbedContents"
METHOD_NAMES = frozenset(
    {"generateContent", STREAM_METHOD, "countTokens", "embedContent", BATCH_METHOD}
)


class Called(NamedTuple):
    """What a path names. `streams` says that the caller takes an answer as events."""

    version: str
    model: str
    method: str
    streams: bool = False

    @property
    def operation(self) -> str:
        return f"{self.version}/models/{self.model}:{self.method}"
