"""A model that plays a script, over every wire that a provider speaks."""

import re
import threading
from collections.abc import Callable
from typing import Final

from tests.agents.chat import Chat
from tests.agents.gemini import Gemini
from tests.agents.messages import Messages
from tests.agents.responses import Responses
from tests.agents.wire import Move, Tokens, Turn, Wire
from tests.scripted import Answer, Asked, ScriptedUpstream

# How a provider of each kind is asked.
_WIRES: Final[tuple[tuple[str, Wire], ...]] = (
    (r"/chat/completions$", Chat()),
    (r"/responses$", Responses()),
    (r"/messages(/count_tokens)?(\?.*)?$", Messages()),
    (r":(streamGenerateContent|generateContent|countTokens)", Gemini()),
)
Script = Callable[[Turn], Move]


class Model(ScriptedUpstream):
    """`turns` are the requests it answered; what its script cannot answer ends in `trouble`.

    After `stumbles_after` answers it is overloaded once.
    """

    def __init__(self, script: Script, stumbles_after: int | None = None) -> None:
        super().__init__()
        self.turns: list[Turn] = []
        self.trouble: list[str] = []
        self._script = script
        self._stumbles_after = stumbles_after
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Answer:
        with self._lock:
            wire = next(wire for path, wire in _WIRES if re.search(path, asked.path))
            if len(self.turns) == self._stumbles_after:
                self._stumbles_after = None
                return wire.overloaded()
            turn = wire.turn(asked.body)
            self.turns.append(turn)
            tokens = Tokens(len(self.turns))
        try:
            move = self._script(turn)
        except AssertionError as trouble:
            self.trouble.append(str(trouble))
            move = Move("I cannot go on.")
        return wire.answer(asked, move, tokens)
