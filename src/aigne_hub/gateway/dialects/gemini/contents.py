"""The contents of a request in Gemini's format as neutral messages.

https://ai.google.dev/api/caching#Content and /gemini-api/docs/thought-signatures.
"""

import base64

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    Media,
    Message,
    Part,
    Reasoning,
    Seal,
    Text,
    ToolCall,
    ToolResult,
    seal_of,
)
from aigne_hub.gateway.dialects.gemini.members import Members
from aigne_hub.providers.languages import written
from aigne_hub.providers.languages.gemini_reader import kind_of
from aigne_hub.providers.profiles import GEMINI_LANGUAGE

_ROLES = {None: "user", "": "user", "user": "user", "function": "user", "model": "assistant"}
# Where files are that only Google can read.
_KEPT = ("https://generativelanguage.googleapis.com/", "gs://")
_FOREIGN = b"hub."


class Talk:
    """The messages of a request as they are read, and what their parts hold beside content."""

    def __init__(self, lost: list[str]) -> None:
        self.messages: list[Message] = []
        self._lost = lost
        # Calls of the model that have no result yet, by id; those without one get one.
        self._open: dict[str, str] = {}
        self._calls = 0

    def instruct(self, top: Members) -> None:
        """Read the instruction, whose role says nothing."""
        content = top.within("systemInstruction")
        if content is None:
            return
        said: list[Part] = []
        for part in content.each("parts"):
            said.append(Text(part.text("text")))
            part.refuse_rest("cannot stand in a system instruction: it is text.")
        if said:
            self.messages.append(Message("system", tuple(said)))

    def say(self, top: Members) -> None:
        """Read the contents. Pieces of one answer, as a stream gave it, are one message."""
        answer: list[Members] = []
        for content in top.each("contents"):
            given = content.take("role")
            role = _ROLES.get(given) if given is None or isinstance(given, str) else None
            if role is None:
                raise InvalidRequest(
                    f"`{content.at('role')}` is `user` or `model`.", param=content.at("role")
                )
            parts = content.each("parts")
            content.note_rest()
            if role == "assistant":
                answer += parts
                continue
            self._answer(answer)
            answer = []
            self._user(parts)
        self._answer(answer)

    def _user(self, parts: list[Members]) -> None:
        results: list[Part] = []
        said: list[Part] = []
        for part in parts:
            result = part.within("functionResponse")
            if result is not None:
                results.append(self._result(result))
                result.note_rest()
            else:
                said += self._content(part)
            part.take("thoughtSignature")
            part.note_rest()
        if results or said:
            self.messages.append(Message("user", (*results, *said)))

    def _answer(self, parts: list[Members]) -> None:
        said: list[Part] = []
        thought = ""
        for part in parts:
            signature = part.maybe_text("thoughtSignature")
            seal = _seal(signature) if signature else None
            is_thought = part.flag("thought")
            if is_thought:
                thought += part.maybe_text("text") or ""
                if seal is not None:
                    said.append(Reasoning(thought, seal))
                    thought = ""
            else:
                if thought:
                    said.append(Reasoning(thought))
                    thought = ""
                self._add(said, part, seal)
            part.note_rest()
        if thought:
            said.append(Reasoning(thought))
        if said:
            self.messages.append(Message("assistant", tuple(said)))

    def _add(self, said: list[Part], part: Members, seal: Seal | None) -> None:
        """Add what a part of an answer says; text goes on where it stopped."""
        call = part.within("functionCall")
        if call is not None:
            said.append(self._call(call, seal))
            call.note_rest()
            return
        for content in self._content(part):
            last = said[-1] if said else None
            if isinstance(content, Text) and isinstance(last, Text):
                said[-1] = Text(last.text + content.text)
            else:
                said.append(content)
        if seal is not None:
            said.append(Reasoning(seal=seal, is_redacted=True))

    def _call(self, call: Members, seal: Seal | None) -> ToolCall:
        name = call.text("name")
        known = call.maybe_text("id") or f"call_{self._calls}"
        self._calls += 1
        self._open[known] = name
        arguments = written(call.take("args") or {}).decode()
        return ToolCall(known, name, arguments, seal=seal)

    def _result(self, result: Members) -> ToolResult:
        """Return a result; one without an id is that of the first open call of its function."""
        name = result.text("name")
        known = result.maybe_text("id")
        if not known:
            known = next((one for one, called in self._open.items() if called == name), None)
            if known is None:
                raise InvalidRequest(
                    f"`{result.path}` answers no call of {name!r} that the model made.",
                    param=result.path,
                )
        self._open.pop(known, None)
        response = result.take("response")
        content: list[Text | Media] = []
        is_error = isinstance(response, dict) and response.keys() == {"error"}
        if isinstance(response, dict) and response.keys() in ({"output"}, {"error"}):
            response = next(iter(response.values()))
        if response not in (None, "", {}):
            text = response if isinstance(response, str) else written(response).decode()
            content.append(Text(text))
        for part in result.each("parts"):
            content += self._content(part)
            part.note_rest()
        return ToolResult(known, tuple(content), is_error)

    def _content(self, part: Members) -> list[Text | Media]:
        text = part.maybe_text("text")
        said: list[Text | Media] = [Text(text)] if text else []
        blob, file = part.within("inlineData"), part.within("fileData")
        if blob is not None:
            mime = blob.text("mimeType")
            name = blob.maybe_text("displayName")
            said.append(Media(kind_of(mime), data=_standard(blob), mime_type=mime, name=name))
            blob.note_rest()
        if file is not None:
            said.append(_file(file))
            file.note_rest()
        for name in ("executableCode", "codeExecutionResult", "toolCall", "toolResponse"):
            if name in part:
                raise InvalidRequest(
                    f"`{part.at(name)}`: what tools of Google's own did cannot be told to "
                    "another provider.",
                    param=part.at(name),
                )
        if "functionCall" in part or "functionResponse" in part:
            raise InvalidRequest(
                f"`{part.path}`: the model calls functions, and the user answers.",
                param=part.path,
            )
        return said


def _standard(blob: Members) -> str:
    """Return data in the common alphabet of base64; clients also use the one for addresses."""
    return blob.text("data").replace("-", "+").replace("_", "/")


def _file(file: Members) -> Media:
    uri = file.text("fileUri")
    if uri.startswith(_KEPT):
        raise InvalidRequest(
            f"`{file.at('fileUri')}`: files kept at Google cannot be read by another provider; "
            "send `inlineData`.",
            param=file.at("fileUri"),
        )
    mime = file.maybe_text("mimeType")
    name = file.maybe_text("displayName")
    return Media(kind_of(mime or "image/*"), url=uri, mime_type=mime, name=name)


def _seal(signature: str) -> Seal:
    """Return the seal of a signature, in which those of other providers are encoded once more."""
    common = signature.replace("-", "+").replace("_", "/")
    try:
        told = base64.b64decode(common + "=" * (-len(common) % 4), validate=True)
    except ValueError:  # no base64, or no ASCII even
        told = b""
    if told.startswith(_FOREIGN):
        return seal_of(told.decode("utf-8", "replace"), GEMINI_LANGUAGE)
    return Seal(GEMINI_LANGUAGE, signature)
