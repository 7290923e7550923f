import Anthropic from "@anthropic-ai/sdk";
import { VERSION } from "@anthropic-ai/sdk/version";
import { ANSWER_MAX, CITY_SCHEMA, GIVEN, PNG, TEXT, URL, WEATHER, play } from "./matrix.mjs";

const of = (key) => new Anthropic({ baseURL: URL, apiKey: key, maxRetries: 0 });
const said = [{ role: "user", content: TEXT }];
const tools = [{ name: "get_weather", input_schema: CITY_SCHEMA }];
const spent = (usage) => [usage.input_tokens, usage.output_tokens];
const textOf = (answer) =>
  answer.content
    .filter(({ type }) => type === "text")
    .map(({ text }) => text)
    .join("");

const ask = (key, model, more = {}) =>
  of(key).messages.create({ model, messages: said, max_tokens: ANSWER_MAX, ...more });

await play(VERSION, {
  messages: {
    async text(key, model) {
      const answer = await ask(key, model);
      return { text: textOf(answer), usage: spent(answer.usage) };
    },
    async stream(key, model) {
      const pieces = [];
      const asked = { model, messages: said, max_tokens: ANSWER_MAX };
      const stream = of(key).messages.stream(asked).on("text", (text) => pieces.push(text));
      const answer = await stream.finalMessage();
      return { pieces, usage: spent(answer.usage) };
    },
    async tools(key, model) {
      const answer = await ask(key, model, { tools });
      const uses = answer.content.filter(({ type }) => type === "tool_use");
      const results = uses.map(({ id }) => ({
        type: "tool_result",
        tool_use_id: id,
        content: WEATHER,
      }));
      const messages = [
        ...said,
        { role: "assistant", content: answer.content },
        { role: "user", content: results },
      ];
      const last = await ask(key, model, { tools, messages });
      return { calls: uses.map(({ name, input }) => [name, input]), text: textOf(last) };
    },
    async structured(key, model) {
      const format = { type: "json_schema", schema: GIVEN.schema };
      return JSON.parse(textOf(await ask(key, model, { output_config: { format } })));
    },
    async image(key, model) {
      const source = { type: "base64", media_type: "image/png", data: PNG };
      const content = [
        { type: "text", text: TEXT },
        { type: "image", source },
      ];
      return { text: textOf(await ask(key, model, { messages: [{ role: "user", content }] })) };
    },
  },
});
