"""Gemini's generateContent: calls without ids, signed as Gemini 3 signs them."""

from tests.agents.wire import CACHED, Json, Move, Tokens, Turn, members, pieces, plain
from tests.scripted import Answer, Asked, events, whole


class Gemini:
    def turn(self, body: Json) -> Turn:
        parts = [part for each in body["contents"] for part in each["parts"]]
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        return Turn(
            tools=frozenset(
                function["name"]
                for tool in body.get("tools", ())
                for function in tool.get("functionDeclarations", ())
            ),
            called=tuple(_id(place, call) for place, call in enumerate(calls)),
            results={
                _id(place, each): plain(each["response"]) for place, each in enumerate(results)
            },
            seals=frozenset(
                part["thoughtSignature"] for part in parts if "thoughtSignature" in part
            ),
            text=plain([body.get("systemInstruction"), body["contents"]]),
        )

    def answer(self, asked: Asked, move: Move, tokens: Tokens) -> Answer:
        if ":countTokens" in asked.path:
            return whole({"totalTokens": tokens.prompt})
        parts: list[Json] = []
        config = asked.body.get("generationConfig", {}).get("thinkingConfig", {})
        if config.get("includeThoughts"):
            parts.append({"text": "Let me see.", "thought": True})
        parts += [{"text": piece} for piece in pieces(move.text)]
        for place, call in enumerate(move.calls):
            part: Json = {"functionCall": {"name": call.name, "args": members(call)}}
            if place == 0:  # the first of parallel calls is signed
                part["thoughtSignature"] = f"c2VhbGVk{tokens.number:04}"
            parts.append(part)
        head = {"modelVersion": "gemini-3-pro", "responseId": f"r{tokens.number}"}
        usage = {
            "promptTokenCount": tokens.prompt,
            "cachedContentTokenCount": CACHED,
            "candidatesTokenCount": tokens.output,
            "totalTokenCount": tokens.prompt + tokens.output,
        }
        if ":streamGenerateContent" not in asked.path:
            return whole(
                {**head, "candidates": [_candidate(parts, "STOP")], "usageMetadata": usage}
            )
        chunks = [
            {**head, "candidates": [_candidate([part])], "usageMetadata": usage} for part in parts
        ]
        last = {**head, "candidates": [_candidate([{"text": ""}], "STOP")], "usageMetadata": usage}
        return events([*chunks, last])

    def overloaded(self) -> Answer:
        said = "The model is overloaded. Please try again later."
        return whole({"error": {"code": 503, "message": said, "status": "UNAVAILABLE"}}, 503)


def _candidate(parts: list[Json], reason: str | None = None) -> Json:
    ended = {"finishReason": reason} if reason else {}
    return {"index": 0, "content": {"role": "model", "parts": parts}, **ended}


def _id(place: int, called: Json) -> str:
    return f"{place} {called['name']}"
