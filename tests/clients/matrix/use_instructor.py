from functools import cache
from importlib.metadata import version
from typing import Any

import instructor
from matrix import PNG_URL, TEXT, URL, play
from openai import OpenAI
from pydantic import BaseModel


class Trip(BaseModel):
    city: str
    days: int


@cache
def of(key: str, mode: instructor.Mode) -> instructor.Instructor:
    client = OpenAI(base_url=f"{URL}/v1", api_key=key, max_retries=0)
    return instructor.from_openai(client, mode=mode)


def made(key: str, model: str, mode: instructor.Mode, content: Any = TEXT) -> Any:
    messages: Any = [{"role": "user", "content": content}]
    return of(key, mode).create_with_completion(
        model=model, messages=messages, response_model=Trip, max_retries=0
    )


def features(mode: instructor.Mode) -> dict[str, Any]:
    def text(key: str, model: str) -> Any:
        messages: Any = [{"role": "user", "content": TEXT}]
        answer = of(key, mode).create(model=model, messages=messages, response_model=None)
        usage = answer.usage
        return {
            "text": answer.choices[0].message.content,
            "usage": [usage.prompt_tokens, usage.completion_tokens],
        }

    def structured(key: str, model: str) -> Any:
        return made(key, model, mode)[0].model_dump()

    def partial(key: str, model: str) -> Any:
        messages: Any = [{"role": "user", "content": TEXT}]
        parts = of(key, mode).create_partial(model=model, messages=messages, response_model=Trip)
        return [part.model_dump() for part in parts][-1]

    def image(key: str, model: str) -> Any:
        picture = {"type": "image_url", "image_url": {"url": PNG_URL}}
        return made(key, model, mode, [{"type": "text", "text": TEXT}, picture])[0].model_dump()

    return {
        "text": text,
        "structured": structured,
        "structured stream": partial,
        "structured image": image,
    }


play(
    version("instructor"),
    {
        "chat with tools": features(instructor.Mode.TOOLS),
        "chat": features(instructor.Mode.JSON_SCHEMA),
    },
)
