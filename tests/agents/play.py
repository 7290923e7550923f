"""The scripts of the model: what it does at each turn, by what it was told so far."""

import re
from pathlib import Path

from tests.agents.model import Script
from tests.agents.table import ANSWER, FILES, Tools
from tests.agents.wire import Move, Turn

WORD = re.compile(r"word-[0-9a-f]{12}")
DONE = "Both words are written."


def with_tools(tools: Tools, work: Path) -> Script:
    """Read two files at once, write what stands in them, and say so."""
    reads = tuple(tools.read(str(work / name)) for name in FILES)

    def play(turn: Turn) -> Move:
        if reads[0].name not in turn.tools:
            return Move("Words")  # a title, or what else it asks for besides the task
        if tools.search and not turn.results:
            return Move("I look for more tools.", (tools.search,))
        told = "\n".join(turn.results.values())
        if tools.search:
            assert tools.found in turn.tools, f"not offered: {turn.tools}"
            assert tools.found.rpartition("__")[2] in told, f"not found: {told}"
        done = len(turn.results) - bool(tools.search)
        if not done:
            return Move("I read both.", reads)
        words = _words(told)
        assert len(words) == len(FILES), f"results without the words: {turn.results}"
        if done == len(FILES):
            return Move("I write them.", (tools.write(str(work / ANSWER), " ".join(words)),))
        return Move(DONE)

    return play


def with_edits() -> Script:
    """Write the first word, and both when the agent tells that its test of that failed."""

    def play(turn: Turn) -> Move:
        words = _words(turn.text)
        assert len(words) == len(FILES), f"a prompt without the files: {turn.text}"
        failed = f"written: {words[0]}" in turn.text
        content = " ".join(words) if failed else words[0]
        return Move(f"{DONE}\n\n{_edit(turn, content)}")

    return play


def _edit(turn: Turn, content: str) -> str:
    """Return the content of the file in the form that the agent's prompt asks for."""
    assert "entire content" in turn.text, f"no form of edits known: {turn.text}"
    return f"{ANSWER}\n```\n{content}\n```\n"


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(WORD.findall(text)))
