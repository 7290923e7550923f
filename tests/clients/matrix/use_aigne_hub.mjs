import { AIGNEHubChatModel } from "@aigne/aigne-hub";
import { readFileSync } from "node:fs";
import { ANSWER_MAX, CITY_SCHEMA, GIVEN, PNG, TEXT, URL, WEATHER, play } from "./matrix.mjs";

const { version } = JSON.parse(readFileSync("node_modules/@aigne/aigne-hub/package.json"));
const said = [{ role: "user", content: TEXT }];
const tools = [
  { type: "function", function: { name: "get_weather", parameters: CITY_SCHEMA } },
];
const spent = (usage) => [usage.inputTokens, usage.outputTokens];

const of = (apiKey, model) =>
  new AIGNEHubChatModel({
    baseURL: URL,
    apiKey,
    model: `aignehub/${model}`,
    modelOptions: { maxTokens: ANSWER_MAX },
    clientOptions: { clientId: "matrix" },
  });

const ask = (key, model, more = {}) => of(key, model).invoke({ messages: said, ...more });

await play(version, {
  AIGNE: {
    async text(key, model) {
      const answer = await ask(key, model);
      return { text: answer.text, usage: spent(answer.usage) };
    },
    async stream(key, model) {
      const pieces = [];
      let usage = null;
      const stream = await of(key, model).invoke({ messages: said }, { streaming: true });
      for await (const chunk of stream) {
        if (chunk.delta.text?.text) pieces.push(chunk.delta.text.text);
        if (chunk.delta.json?.usage) usage = spent(chunk.delta.json.usage);
      }
      return { pieces, usage };
    },
    async tools(key, model) {
      const { toolCalls } = await ask(key, model, { tools });
      const messages = [
        ...said,
        { role: "agent", toolCalls },
        ...toolCalls.map(({ id }) => ({ role: "tool", content: WEATHER, toolCallId: id })),
      ];
      const last = await ask(key, model, { tools, messages });
      const calls = toolCalls.map((call) => [call.function.name, call.function.arguments]);
      return { calls, text: last.text };
    },
    async structured(key, model) {
      const jsonSchema = { name: "trip", schema: GIVEN.schema, strict: true };
      const responseFormat = { type: "json_schema", jsonSchema };
      return (await ask(key, model, { responseFormat })).json;
    },
    async image(key, model) {
      const content = [
        { type: "text", text: TEXT },
        { type: "file", data: PNG, mimeType: "image/png", filename: "a.png" },
      ];
      return { text: (await ask(key, model, { messages: [{ role: "user", content }] })).text };
    },
  },
});
