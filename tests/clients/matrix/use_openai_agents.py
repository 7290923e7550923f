import asyncio
from importlib.metadata import version
from typing import Any

from matrix import ANSWER_MAX, CALLS, PNG_URL, TEXT, URL, get_weather, play
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)


class Trip(BaseModel):
    city: str
    days: int


set_tracing_disabled(disabled=True)


def features(kind: Any) -> dict[str, Any]:
    def of(key: str, model: str, **more: Any) -> Agent[Any]:
        client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=key, max_retries=0)
        settings = ModelSettings(max_tokens=ANSWER_MAX, include_usage=True)
        made = kind(model=model, openai_client=client)
        return Agent(name="matrix", model=made, model_settings=settings, **more)

    def spent(run: Any) -> list[int]:
        usage = run.context_wrapper.usage
        return [usage.input_tokens, usage.output_tokens]

    def text(key: str, model: str) -> Any:
        run = Runner.run_sync(of(key, model), TEXT)
        return {"text": run.final_output, "usage": spent(run)}

    def stream(key: str, model: str) -> Any:
        async def told() -> Any:
            run = Runner.run_streamed(of(key, model), TEXT)
            pieces = [
                event.data.delta
                async for event in run.stream_events()
                if event.type == "raw_response_event"
                and isinstance(event.data, ResponseTextDeltaEvent)
            ]
            return {"pieces": pieces, "usage": spent(run)}

        return asyncio.run(told())

    def tools(key: str, model: str) -> Any:
        run = Runner.run_sync(of(key, model, tools=[function_tool(get_weather)]), TEXT)
        return {"calls": list(CALLS), "text": run.final_output}

    def structured(key: str, model: str) -> Any:
        return Runner.run_sync(of(key, model, output_type=Trip), TEXT).final_output.model_dump()

    def image(key: str, model: str) -> Any:
        content = [
            {"type": "input_text", "text": TEXT},
            {"type": "input_image", "detail": "auto", "image_url": PNG_URL},
        ]
        said: Any = [{"role": "user", "content": content}]
        return {"text": Runner.run_sync(of(key, model), said).final_output}

    return {
        "text": text,
        "stream": stream,
        "tools": tools,
        "structured": structured,
        "image": image,
    }


play(
    version("openai-agents"),
    {"responses": features(OpenAIResponsesModel), "chat": features(OpenAIChatCompletionsModel)},
)
