from functools import cache
from importlib.metadata import version
from typing import Any

from anthropic import AsyncAnthropic
from matrix import ANSWER_MAX, CALLS, PNG, TEXT, URL, get_weather, play
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider


class Trip(BaseModel):
    city: str
    days: int


# A client of each key and vendor: to make one takes longer than to ask it.
@cache
def openai(key: str) -> OpenAIProvider:
    return OpenAIProvider(
        openai_client=AsyncOpenAI(base_url=f"{URL}/v1", api_key=key, max_retries=0)
    )


@cache
def anthropic(key: str) -> AnthropicProvider:
    return AnthropicProvider(
        anthropic_client=AsyncAnthropic(base_url=URL, api_key=key, max_retries=0)
    )


@cache
def google(key: str) -> GoogleProvider:
    return GoogleProvider(api_key=key, base_url=URL)


# It knows by a model's name what it can, and on Anthropic's wire these names are none it knows.
ABLE: Any = {"supports_json_schema_output": True}
MODELS: dict[str, Any] = {
    "chat": lambda key, model: OpenAIChatModel(model, provider=openai(key)),
    "responses": lambda key, model: OpenAIResponsesModel(model, provider=openai(key)),
    "messages": lambda key, model: AnthropicModel(model, provider=anthropic(key), profile=ABLE),
    "gemini": lambda key, model: GoogleModel(model, provider=google(key)),
}


def features(wire: str) -> dict[str, Any]:
    def of(key: str, model: str, **more: Any) -> Agent[None, Any]:
        settings: Any = {"max_tokens": ANSWER_MAX}
        return Agent(MODELS[wire](key, model), model_settings=settings, retries=0, **more)

    def text(key: str, model: str) -> Any:
        answer = of(key, model).run_sync(TEXT)
        usage = answer.usage
        return {"text": answer.output, "usage": [usage.input_tokens, usage.output_tokens]}

    def stream(key: str, model: str) -> Any:
        answer = of(key, model).run_stream_sync(TEXT)
        pieces = list(answer.stream_text(delta=True, debounce_by=None))
        usage = answer.usage
        return {"pieces": pieces, "usage": [usage.input_tokens, usage.output_tokens]}

    def tools(key: str, model: str) -> Any:
        answer = of(key, model, tools=[get_weather]).run_sync(TEXT)
        return {"calls": list(CALLS), "text": answer.output}

    def structured(key: str, model: str) -> Any:
        return of(key, model, output_type=NativeOutput(Trip)).run_sync(TEXT).output.model_dump()

    def by_tool(key: str, model: str) -> Any:
        return of(key, model, output_type=Trip).run_sync(TEXT).output.model_dump()

    def image(key: str, model: str) -> Any:
        picture = BinaryContent.from_data_uri(f"data:image/png;base64,{PNG}")
        return {"text": of(key, model).run_sync([TEXT, picture]).output}

    return {
        "text": text,
        "stream": stream,
        "tools": tools,
        "structured": structured,
        "structured by a tool": by_tool,
        "image": image,
    }


play(version("pydantic-ai-slim"), {wire: features(wire) for wire in MODELS})
