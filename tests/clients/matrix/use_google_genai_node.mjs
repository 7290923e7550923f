import { GoogleGenAI } from "@google/genai";
import { readFileSync } from "node:fs";
import { ANSWER_MAX, CITY_SCHEMA, GIVEN, PNG, TEXT, URL, WEATHER, play } from "./matrix.mjs";

const { version } = JSON.parse(readFileSync("node_modules/@google/genai/package.json"));
const of = (key) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: URL } }).models;
const said = [{ role: "user", parts: [{ text: TEXT }] }];
const spent = (usage) => [usage.promptTokenCount, usage.candidatesTokenCount];
const tools = [
  { functionDeclarations: [{ name: "get_weather", parametersJsonSchema: CITY_SCHEMA }] },
];

const asked = (model, contents, config) => ({
  model,
  contents,
  config: { maxOutputTokens: ANSWER_MAX, ...config },
});
const ask = (key, model, contents = said, config = {}) =>
  of(key).generateContent(asked(model, contents, config));

await play(version, {
  gemini: {
    async text(key, model) {
      const answer = await ask(key, model);
      return { text: answer.text, usage: spent(answer.usageMetadata) };
    },
    async stream(key, model) {
      const pieces = [];
      let usage = null;
      for await (const chunk of await of(key).generateContentStream(asked(model, said))) {
        if (chunk.text) pieces.push(chunk.text);
        if (chunk.usageMetadata) usage = spent(chunk.usageMetadata);
      }
      return { pieces, usage };
    },
    async tools(key, model) {
      const answer = await ask(key, model, said, { tools });
      const results = answer.functionCalls.map(({ id, name }) => ({
        functionResponse: { id, name, response: { output: WEATHER } },
      }));
      const turns = [...said, answer.candidates[0].content, { role: "user", parts: results }];
      const last = await ask(key, model, turns, { tools });
      return { calls: answer.functionCalls.map(({ name, args }) => [name, args]), text: last.text };
    },
    async structured(key, model) {
      const answer = await ask(key, model, said, {
        responseMimeType: "application/json",
        responseJsonSchema: GIVEN.schema,
      });
      return JSON.parse(answer.text);
    },
    async image(key, model) {
      const picture = { inlineData: { mimeType: "image/png", data: PNG } };
      const answer = await ask(key, model, [{ role: "user", parts: [{ text: TEXT }, picture] }]);
      return { text: answer.text };
    },
  },
});
