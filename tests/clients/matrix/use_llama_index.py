import json
from importlib.metadata import version
from typing import Any

from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from matrix import ANSWER_MAX, PNG, TEXT, URL, get_weather, play
from pydantic import BaseModel

TOOL = FunctionTool.from_defaults(get_weather)


class Trip(BaseModel):
    city: str
    days: int


def of(key: str, model: str, **more: Any) -> OpenAILike:
    return OpenAILike(
        api_base=f"{URL}/v1",
        api_key=key,
        model=model,
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
        max_tokens=ANSWER_MAX,
        **more,
    )


def text(key: str, model: str) -> Any:
    answer = of(key, model).chat([ChatMessage(role="user", content=TEXT)])
    usage = answer.raw.usage
    return {"text": answer.message.content, "usage": [usage.prompt_tokens, usage.completion_tokens]}


def stream(key: str, model: str) -> Any:
    told = of(key, model).stream_chat([ChatMessage(role="user", content=TEXT)])
    return {"pieces": [piece.delta for piece in told if piece.delta]}


def tools(key: str, model: str) -> Any:
    llm = of(key, model)
    said = [ChatMessage(role="user", content=TEXT)]
    answer = llm.chat_with_tools([TOOL], chat_history=said, tool_required=True)
    calls = llm.get_tool_calls_from_response(answer)
    results = [
        ChatMessage(
            role="tool",
            content=get_weather(**call.tool_kwargs),
            additional_kwargs={"tool_call_id": call.tool_id},
        )
        for call in calls
    ]
    final = llm.chat_with_tools([TOOL], chat_history=[*said, answer.message, *results])
    return {
        "calls": [[call.tool_name, call.tool_kwargs] for call in calls],
        "text": final.message.content,
    }


def structured(key: str, model: str) -> Any:
    made = of(key, model, should_use_structured_outputs=True).as_structured_llm(Trip)
    answer = made.chat([ChatMessage(role="user", content=TEXT)])
    return json.loads(answer.message.content)


def image(key: str, model: str) -> Any:
    picture = ImageBlock(image=PNG.encode(), image_mimetype="image/png")
    said = ChatMessage(role="user", blocks=[TextBlock(text=TEXT), picture])
    return {"text": of(key, model).chat([said]).message.content}


play(
    version("llama-index-llms-openai-like"),
    {
        "chat": {
            "text": text,
            "stream": stream,
            "tools": tools,
            "structured": structured,
            "image": image,
        }
    },
)
