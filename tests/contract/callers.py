"""Callers of every format: what they ask, what they read, and how they go on talking.

Each asks about the weather in two cities, with a tool, a picture, or for JSON, and answers the
calls of the tool with what it was told before, as its SDK would: unchanged.
"""

import json
from typing import Any, NamedTuple

from tests.aigne import merged
from tests.caller import Reply
from tests.contract.shapes import PICTURE, SCHEMA, TOOL

Json = dict[str, Any]
WORDS = "How is it?"
RESULTS = ("rain in Oslo", "sun in Rome")
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
DATA_URL = f"data:image/png;base64,{PICTURE}"


class Called(NamedTuple):
    id: str
    name: str
    arguments: Any


class Chat:
    """OpenAI's chat completions."""

    def ask(self, model: str, *, stream: bool) -> tuple[str, Json]:
        body: Json = {"model": model, "messages": [{"role": "user", "content": WORDS}]}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return "/v1/chat/completions", {**body, "reasoning_effort": "low"}

    def with_tools(self, body: Json) -> Json:
        function = {"name": TOOL, "parameters": PARAMETERS}
        return {**body, "tools": [{"type": "function", "function": function}]}

    def with_picture(self, body: Json) -> Json:
        parts = [
            {"type": "text", "text": WORDS},
            {"type": "image_url", "image_url": {"url": DATA_URL}},
        ]
        return {**body, "messages": [{"role": "user", "content": parts}]}

    def with_schema(self, body: Json) -> Json:
        schema = {"name": "a", "schema": SCHEMA, "strict": True}
        return {**body, "response_format": {"type": "json_schema", "json_schema": schema}}

    def answer(self, reply: Reply) -> Json:
        """Return the message that was answered, put together from its pieces."""
        if not reply.streamed:
            message: Json = reply.json["choices"][0]["message"]
            return message
        message = {"role": "assistant", "content": ""}
        calls: dict[int, Json] = {}
        for event in reply.events:
            for choice in event.get("choices", ()):
                for name, value in choice["delta"].items():
                    if name == "tool_calls":
                        for piece in value:
                            self._add(calls, piece)
                    elif name != "role" and value:
                        message[name] = message.get(name) or type(value)()
                        message[name] += value
        if calls:
            message["tool_calls"] = [calls[index] for index in sorted(calls)]
        return message

    @staticmethod
    def _add(calls: dict[int, Json], piece: Json) -> None:
        index = piece.pop("index")
        if index in calls:
            calls[index]["function"]["arguments"] += piece["function"].get("arguments", "")
        else:
            calls[index] = piece

    def text(self, reply: Reply) -> str:
        return self.answer(reply)["content"] or ""

    def calls(self, reply: Reply) -> list[Called]:
        return [
            Called(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in self.answer(reply).get("tool_calls", ())
        ]

    def go_on(self, body: Json, reply: Reply) -> Json:
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(self.calls(reply), RESULTS, strict=True)
        ]
        return {**body, "messages": [*body["messages"], self.answer(reply), *results]}

    def error(self, reply: Reply) -> str:
        assert set(reply.error) >= {"message", "type", "param", "code"}
        return str(reply.error["message"])


class Responses:
    """OpenAI's Responses."""

    def ask(self, model: str, *, stream: bool) -> tuple[str, Json]:
        body: Json = {
            "model": model,
            "input": [{"role": "user", "content": WORDS}],
            "stream": stream,
        }
        return "/v1/responses", {**body, "reasoning": {"effort": "low", "summary": "auto"}}

    def with_tools(self, body: Json) -> Json:
        tool = {"type": "function", "name": TOOL, "parameters": PARAMETERS, "strict": False}
        return {**body, "tools": [tool]}

    def with_picture(self, body: Json) -> Json:
        parts = [
            {"type": "input_text", "text": WORDS},
            {"type": "input_image", "image_url": DATA_URL},
        ]
        return {**body, "input": [{"role": "user", "content": parts}]}

    def with_schema(self, body: Json) -> Json:
        schema = {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}
        return {**body, "text": {"format": schema}}

    def output(self, reply: Reply) -> list[Json]:
        whole = reply.events[-1]["response"] if reply.streamed else reply.json
        items: list[Json] = whole["output"]
        return items

    def text(self, reply: Reply) -> str:
        if reply.streamed:
            kind = "response.output_text.delta"
            return "".join(event["delta"] for event in reply.events if event["type"] == kind)
        said = [item["content"] for item in self.output(reply) if item["type"] == "message"]
        return "".join(part["text"] for content in said for part in content)

    def calls(self, reply: Reply) -> list[Called]:
        return [
            Called(item["call_id"], item["name"], json.loads(item["arguments"]))
            for item in self.output(reply)
            if item["type"] == "function_call"
        ]

    def go_on(self, body: Json, reply: Reply) -> Json:
        results = [
            {"type": "function_call_output", "call_id": call.id, "output": result}
            for call, result in zip(self.calls(reply), RESULTS, strict=True)
        ]
        return {**body, "input": [*body["input"], *self.output(reply), *results]}

    def error(self, reply: Reply) -> str:
        if reply.streamed:
            last = reply.events[-1]
            assert last["type"] == "error"
            return str(last.get("message") or last["error"]["message"])
        return str(reply.error["message"])


class Messages:
    """Anthropic's Messages."""

    def ask(self, model: str, *, stream: bool) -> tuple[str, Json]:
        messages = [{"role": "user", "content": WORDS}]
        body: Json = {"model": model, "max_tokens": 3_000, "stream": stream, "messages": messages}
        return "/v1/messages", {**body, "thinking": {"type": "enabled", "budget_tokens": 1_024}}

    def with_tools(self, body: Json) -> Json:
        return {**body, "tools": [{"name": TOOL, "input_schema": PARAMETERS}]}

    def with_picture(self, body: Json) -> Json:
        source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
        parts = [{"type": "text", "text": WORDS}, {"type": "image", "source": source}]
        return {**body, "messages": [{"role": "user", "content": parts}]}

    def with_schema(self, body: Json) -> Json:
        return {**body, "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}

    def content(self, reply: Reply) -> list[Json]:
        """Return the blocks that were answered, put together from their pieces."""
        if not reply.streamed:
            blocks: list[Json] = reply.json["content"]
            return blocks
        made: list[Json] = []
        for event in reply.events:
            if event["type"] == "content_block_start":
                made.append({**event["content_block"], "json": ""})
            elif event["type"] == "content_block_delta":
                delta, block = event["delta"], made[event["index"]]
                for theirs, ours in (
                    ("text", "text"),
                    ("thinking", "thinking"),
                    ("partial_json", "json"),
                ):
                    block[ours] = (
                        block.get(ours, "") + delta.get(theirs, "")
                        if theirs in delta
                        else block.get(ours)
                    )
                block["signature"] = delta.get("signature", block.get("signature"))
        return [self._ended(block) for block in made]

    @staticmethod
    def _ended(block: Json) -> Json:
        said = block.pop("json")
        if block["type"] == "tool_use" and said:
            block["input"] = json.loads(said)
        return {name: value for name, value in block.items() if value is not None}

    def text(self, reply: Reply) -> str:
        return "".join(one["text"] for one in self.content(reply) if one["type"] == "text")

    def calls(self, reply: Reply) -> list[Called]:
        used = [one for one in self.content(reply) if one["type"] == "tool_use"]
        return [Called(one["id"], one["name"], one["input"]) for one in used]

    def go_on(self, body: Json, reply: Reply) -> Json:
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(self.calls(reply), RESULTS, strict=True)
        ]
        said = {"role": "assistant", "content": self.content(reply)}
        return {**body, "messages": [*body["messages"], said, {"role": "user", "content": results}]}

    def error(self, reply: Reply) -> str:
        told = reply.events[-1] if reply.streamed else reply.json
        assert told["type"] == "error"
        return str(told["error"]["message"])


class Generate:
    """Gemini's `generateContent` and `streamGenerateContent`."""

    def ask(self, model: str, *, stream: bool) -> tuple[str, Json]:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        config = {"thinkingConfig": {"includeThoughts": True}}
        body = {
            "contents": [{"role": "user", "parts": [{"text": WORDS}]}],
            "generationConfig": config,
        }
        return f"/v1beta/models/{model}:{method}", body

    def with_tools(self, body: Json) -> Json:
        function = {"name": TOOL, "parametersJsonSchema": PARAMETERS}
        return {**body, "tools": [{"functionDeclarations": [function]}]}

    def with_picture(self, body: Json) -> Json:
        parts = [{"text": WORDS}, {"inlineData": {"mimeType": "image/png", "data": PICTURE}}]
        return {**body, "contents": [{"role": "user", "parts": parts}]}

    def with_schema(self, body: Json) -> Json:
        config = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
        return {**body, "generationConfig": {**body["generationConfig"], **config}}

    def parts(self, reply: Reply) -> list[Json]:
        answers = reply.events if reply.streamed else [reply.json]
        candidates = [one for answer in answers for one in answer.get("candidates", ())]
        return [part for one in candidates for part in one.get("content", {}).get("parts", ())]

    def text(self, reply: Reply) -> str:
        return "".join(
            part.get("text", "") for part in self.parts(reply) if not part.get("thought")
        )

    def calls(self, reply: Reply) -> list[Called]:
        made = [part["functionCall"] for part in self.parts(reply) if "functionCall" in part]
        return [Called(call.get("id", ""), call["name"], call["args"]) for call in made]

    def go_on(self, body: Json, reply: Reply) -> Json:
        results = [
            {"functionResponse": {"id": call.id, "name": call.name, "response": {"output": result}}}
            for call, result in zip(self.calls(reply), RESULTS, strict=True)
        ]
        turns = [{"role": "model", "parts": self.parts(reply)}, {"role": "user", "parts": results}]
        return {**body, "contents": [*body["contents"], *turns]}

    def error(self, reply: Reply) -> str:
        assert reply.error["status"].isupper()
        return str(reply.error["message"])


class Envelope:
    """AIGNE's `/api/v2/chat`."""

    def ask(self, model: str, *, stream: bool) -> tuple[str, Json]:
        given: Json = {"messages": [{"role": "user", "content": WORDS}]}
        given["modelOptions"] = {"model": model, "reasoningEffort": "low"}
        return "/api/v2/chat", {"input": given, "options": {"streaming": stream}}

    def with_tools(self, body: Json) -> Json:
        tool = {"type": "function", "function": {"name": TOOL, "parameters": PARAMETERS}}
        return {**body, "input": {**body["input"], "tools": [tool]}}

    def with_picture(self, body: Json) -> Json:
        picture = {"type": "file", "data": PICTURE, "mimeType": "image/png"}
        messages = [{"role": "user", "content": [{"type": "text", "text": WORDS}, picture]}]
        return {**body, "input": {**body["input"], "messages": messages}}

    def with_schema(self, body: Json) -> Json:
        schema = {"name": "a", "schema": SCHEMA, "strict": True}
        wanted = {"type": "json_schema", "jsonSchema": schema}
        return {**body, "input": {**body["input"], "responseFormat": wanted}}

    def output(self, reply: Reply) -> Json:
        if not reply.streamed:
            value: Json = reply.json
            return value
        # What was said before an error; the error has an event of its own.
        return merged(reply.body.partition(b"event: error")[0])

    def text(self, reply: Reply) -> str:
        said = self.output(reply)
        return str(said.get("text", "")) or json.dumps(said.get("json", ""))

    def calls(self, reply: Reply) -> list[Called]:
        return [
            Called(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in self.output(reply).get("toolCalls", ())
        ]

    def go_on(self, body: Json, reply: Reply) -> Json:
        said = {
            "role": "agent",
            "content": self.text(reply),
            "toolCalls": self.output(reply)["toolCalls"],
        }
        results = [
            {"role": "tool", "toolCallId": call.id, "content": result}
            for call, result in zip(self.calls(reply), RESULTS, strict=True)
        ]
        messages = [*body["input"]["messages"], said, *results]
        return {**body, "input": {**body["input"], "messages": messages}}

    def error(self, reply: Reply) -> str:
        if not reply.streamed:
            return str(reply.error["message"])
        return str(json.loads(reply.body.rpartition(b"event: error\ndata: ")[2])["message"])


Caller = Chat | Responses | Messages | Generate | Envelope
CALLERS: dict[str, Caller] = {
    "chat": Chat(),
    "responses": Responses(),
    "messages": Messages(),
    "gemini": Generate(),
    "aigne": Envelope(),
}
