from importlib.metadata import version
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from matrix import ANSWER_MAX, GIVEN, PNG_URL, TEXT, URL, get_weather, play

TOOL = tool(get_weather)


def chat(key: str, model: str, *, responses: bool) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=f"{URL}/v1",
        api_key=key,
        model=model,
        max_retries=0,
        max_tokens=ANSWER_MAX,
        stream_usage=True,
        use_responses_api=responses,
    )


def spent(message: Any) -> list[int]:
    return [message.usage_metadata[name] for name in ("input_tokens", "output_tokens")]


def features(*, responses: bool) -> dict[str, Any]:
    def of(key: str, model: str) -> ChatOpenAI:
        return chat(key, model, responses=responses)

    def text(key: str, model: str) -> Any:
        answer = of(key, model).invoke(TEXT)
        return {"text": answer.text, "usage": spent(answer)}

    def stream(key: str, model: str) -> Any:
        chunks = list(of(key, model).stream(TEXT))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        pieces = [chunk.text for chunk in chunks if chunk.text]
        return {"pieces": pieces, "usage": spent(whole)}

    def tools(key: str, model: str) -> Any:
        able = of(key, model).bind_tools([TOOL])
        said: list[Any] = [HumanMessage(TEXT)]
        answer = able.invoke(said)
        results = [
            ToolMessage(TOOL.invoke(call["args"]), tool_call_id=call["id"])
            for call in answer.tool_calls
        ]
        calls = [[call["name"], call["args"]] for call in answer.tool_calls]
        return {"calls": calls, "text": able.invoke([*said, answer, *results]).text}

    def structured(key: str, model: str) -> Any:
        made = of(key, model).with_structured_output(GIVEN["schema"], method="json_schema")
        return made.invoke(TEXT)

    def image(key: str, model: str) -> Any:
        picture = {"type": "image_url", "image_url": {"url": PNG_URL}}
        said = HumanMessage([{"type": "text", "text": TEXT}, picture])
        return {"text": of(key, model).invoke([said]).text}

    return {
        "text": text,
        "stream": stream,
        "tools": tools,
        "structured": structured,
        "image": image,
    }


play(
    version("langchain-openai"),
    {"chat": features(responses=False), "responses": features(responses=True)},
)
