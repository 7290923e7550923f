from collections.abc import Mapping
from typing import Annotated, Final

import typer

from aigne_hub.cli.address import public_url
from aigne_hub.cli.context import Invocation, command, single
from aigne_hub.domain.errors import InvalidRequest

KEY = "YOUR-KEY"
MODEL_DEFAULT = "demo/echo"
# What clients of other formats than OpenAI's are shown: models made for them.
_CLAUDE = "anthropic/claude-sonnet-4-5"
_CLAUDE_CODE: Final = "claude-code"
_DEFAULTS: Final[Mapping[str, str]] = {
    "anthropic": _CLAUDE,
    _CLAUDE_CODE: _CLAUDE,
    "google-genai": "google/gemini-2.5-flash",
}

# What to paste for each client whose calls the hub answers. @URL@, @KEY@ and @MODEL@ are filled in.
SNIPPETS: Final[Mapping[str, str]] = {
    "curl": """\
curl @URL@/v1/chat/completions \\
  -H "authorization: Bearer @KEY@" -H "content-type: application/json" \\
  -d '{"model": "@MODEL@", "messages": [{"role": "user", "content": "Hello"}]}'
""",
    "openai": """\
# pip install openai
from openai import OpenAI

client = OpenAI(base_url="@URL@/v1", api_key="@KEY@")
answer = client.chat.completions.create(
    model="@MODEL@", messages=[{"role": "user", "content": "Hello"}]
)
print(answer.choices[0].message.content)
""",
    "openai-node": """\
// npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "@URL@/v1", apiKey: "@KEY@" });
const answer = await client.chat.completions.create({
  model: "@MODEL@",
  messages: [{ role: "user", content: "Hello" }],
});
console.log(answer.choices[0].message.content);
""",
    "anthropic": """\
# pip install anthropic
from anthropic import Anthropic

client = Anthropic(base_url="@URL@", api_key="@KEY@")
answer = client.messages.create(
    model="@MODEL@", max_tokens=1024, messages=[{"role": "user", "content": "Hello"}]
)
print(answer.content[0].text)
""",
    "claude-code": """\
export ANTHROPIC_BASE_URL=@URL@
export ANTHROPIC_AUTH_TOKEN=@KEY@
export ANTHROPIC_MODEL=@MODEL@
claude
""",
    "codex": """\
# export AIGNE_HUB_KEY=@KEY@
# and in ~/.codex/config.toml:
model = "@MODEL@"
model_provider = "aigne-hub"

[model_providers.aigne-hub]
name = "AIGNE Hub"
base_url = "@URL@/v1"
env_key = "AIGNE_HUB_KEY"
wire_api = "responses"
""",
    "google-genai": """\
# pip install google-genai
from google import genai

client = genai.Client(api_key="@KEY@", http_options={"base_url": "@URL@"})
answer = client.models.generate_content(model="@MODEL@", contents="Hello")
print(answer.text)
""",
    "aigne": """\
// npm install @aigne/aigne-hub
import { AIGNEHubChatModel } from "@aigne/aigne-hub";

const model = new AIGNEHubChatModel({
  baseURL: "@URL@",
  apiKey: "@KEY@",
  model: "aignehub/@MODEL@",
});
const answer = await model.invoke({ messages: [{ role: "user", content: "Hello" }] });
console.log(answer.text);
""",
    "aigne-cli": """\
# 1. begins a connection, opens its page and waits; it gets a key of its own
aigne hub connect @URL@
# 2. on the hub's machine, with the id that the page shows
aigne-hub approve connect SESSION_ID --user U
""",
    "langchain": """\
# pip install langchain-openai
from langchain_openai import ChatOpenAI

model = ChatOpenAI(base_url="@URL@/v1", api_key="@KEY@", model="@MODEL@")
print(model.invoke("Hello").content)
""",
    "llm": """\
# 1. llm keys set aigne-hub   (and paste @KEY@)
# 2. add this to extra-openai-models.yaml, in the directory that `dirname "$(llm logs path)"` prints
- model_id: hub
  model_name: @MODEL@
  api_base: @URL@/v1
  api_key_name: aigne-hub
# 3. llm -m hub "Hello"
""",
    "aider": """\
export OPENAI_API_BASE=@URL@/v1
export OPENAI_API_KEY=@KEY@
aider --model openai/@MODEL@
""",
    "opencode": """\
{
  "$schema": "https://opencode.ai/config.json",
  "provider": {
    "aigne-hub": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "AIGNE Hub",
      "options": { "baseURL": "@URL@/v1", "apiKey": "@KEY@" },
      "models": { "@MODEL@": {} }
    }
  },
  "model": "aigne-hub/@MODEL@"
}
""",
    "open-webui": """\
export OPENAI_API_BASE_URLS=@URL@/v1
export OPENAI_API_KEYS=@KEY@
open-webui serve
""",
    "continue": """\
name: AIGNE Hub
version: 0.0.1
schema: v1
models:
  - name: @MODEL@
    provider: openai
    model: @MODEL@
    apiBase: @URL@/v1
    apiKey: @KEY@
""",
}

app = single()


@command(app)
def snippet(
    cli: Invocation,
    client: Annotated[
        str, typer.Argument(metavar="CLIENT", help=f"One of: {', '.join(SNIPPETS)}.")
    ],
    model: Annotated[
        str | None, typer.Option(metavar="M", help="The model to call, or an alias.")
    ] = None,
) -> None:
    """Print the set-up of a client, ready to paste once it has a key."""
    text = SNIPPETS.get(client)
    if text is None:
        known = ", ".join(SNIPPETS)
        raise InvalidRequest(f"There is no set-up for {client[:40]!r}. Known are: {known}.")
    if model is None:
        model = _DEFAULTS.get(client, MODEL_DEFAULT)
    if client == _CLAUDE_CODE:
        model = _as_answered(model)
    url = public_url(cli.settings(), cli.environ)
    for name, value in (("@URL@", url), ("@KEY@", KEY), ("@MODEL@", model)):
        text = text.replace(name, value)
    cli.output.document({"client": client, "text": text}, text.rstrip("\n"))
    if KEY in text:
        cli.output.note(f"Put a key in place of {KEY}: aigne-hub keys create --user …")


def _as_answered(model: str) -> str:
    """Return the name that a Claude answers by: its own, without its provider's.

    Claude Code sends signed thoughts back only to the model that it asked for by that name.
    """
    _, _, name = model.partition("/")
    return name if name.startswith("claude-") else model
