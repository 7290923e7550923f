from importlib.metadata import version
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from matrix import ANSWER_MAX, GIVEN, PNG, TEXT, URL, get_weather, play

TOOL = tool(get_weather)


def of(key: str, model: str) -> ChatAnthropic:
    return ChatAnthropic(
        base_url=URL, api_key=key, model=model, max_retries=0, max_tokens=ANSWER_MAX
    )


def spent(message: Any) -> list[int]:
    return [message.usage_metadata[name] for name in ("input_tokens", "output_tokens")]


def text(key: str, model: str) -> Any:
    answer = of(key, model).invoke(TEXT)
    return {"text": answer.text, "usage": spent(answer)}


def stream(key: str, model: str) -> Any:
    chunks = list(of(key, model).stream(TEXT))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return {"pieces": [chunk.text for chunk in chunks if chunk.text], "usage": spent(whole)}


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
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    said = HumanMessage([{"type": "text", "text": TEXT}, {"type": "image", "source": source}])
    return {"text": of(key, model).invoke([said]).text}


play(
    version("langchain-anthropic"),
    {
        "messages": {
            "text": text,
            "stream": stream,
            "tools": tools,
            "structured": structured,
            "image": image,
        }
    },
)
