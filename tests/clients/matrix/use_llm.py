import base64
import json
from importlib.metadata import version
from typing import Any

import llm
from llm.default_plugins.openai_models import Chat
from matrix import ANSWER_MAX, CALLS, GIVEN, PNG, TEXT, URL, get_weather, play


def of(key: str, model: str) -> Any:
    made = Chat(
        model,
        model_name=model,
        api_base=f"{URL}/v1",
        vision=True,
        supports_schema=True,
        supports_tools=True,
    )
    made.key = key
    return made


def text(key: str, model: str) -> Any:
    answer = of(key, model).prompt(TEXT, stream=False, max_tokens=ANSWER_MAX)
    said, usage = answer.text(), answer.usage()
    return {"text": said, "usage": [usage.input, usage.output]}


def stream(key: str, model: str) -> Any:
    answer = of(key, model).prompt(TEXT, stream=True, max_tokens=ANSWER_MAX)
    pieces = [piece for piece in answer if piece]
    usage = answer.usage()
    return {"pieces": pieces, "usage": [usage.input, usage.output]}


def tools(key: str, model: str) -> Any:
    told = of(key, model).chain(TEXT, tools=[llm.Tool.function(get_weather)], stream=False)
    said = told.text()
    return {"calls": list(CALLS), "text": said}


def structured(key: str, model: str) -> Any:
    return json.loads(of(key, model).prompt(TEXT, schema=GIVEN["schema"], stream=False).text())


def image(key: str, model: str) -> Any:
    picture = llm.Attachment(type="image/png", content=base64.b64decode(PNG))
    return {"text": of(key, model).prompt(TEXT, attachments=[picture], stream=False).text()}


play(
    version("llm"),
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
