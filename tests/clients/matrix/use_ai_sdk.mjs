import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, jsonSchema, Output, streamText, tool } from "ai";
import { readFileSync } from "node:fs";
import { ANSWER_MAX, CITY_SCHEMA, GIVEN, PNG, TEXT, URL, WEATHER, play } from "./matrix.mjs";

const { version } = JSON.parse(readFileSync("node_modules/ai/package.json"));
const baseURL = `${URL}/v1`;
const limits = { maxRetries: 0, maxOutputTokens: ANSWER_MAX };
const spent = (usage) => [usage.inputTokens, usage.outputTokens];

const wires = {
  chat: (apiKey, model) =>
    createOpenAICompatible({
      name: "hub",
      baseURL,
      apiKey,
      includeUsage: true,
      supportsStructuredOutputs: true,
    })(model),
  responses: (apiKey, model) => createOpenAI({ baseURL, apiKey })(model),
  messages: (apiKey, model) => createAnthropic({ baseURL, apiKey })(model),
};

const features = (of) => ({
  async text(key, model) {
    const answer = await generateText({ model: of(key, model), prompt: TEXT, ...limits });
    return { text: answer.text, usage: spent(answer.usage) };
  },
  async stream(key, model) {
    let failure = null;
    const answer = streamText({
      model: of(key, model),
      prompt: TEXT,
      ...limits,
      onError: ({ error }) => (failure = error),
    });
    const pieces = [];
    for await (const piece of answer.textStream) pieces.push(piece);
    if (failure) throw failure;
    return { pieces, usage: spent(await answer.usage) };
  },
  async tools(key, model) {
    const calls = [];
    const get_weather = tool({
      inputSchema: jsonSchema(CITY_SCHEMA),
      execute(input) {
        calls.push(["get_weather", input]);
        return WEATHER;
      },
    });
    const answer = await generateText({
      model: of(key, model),
      prompt: TEXT,
      tools: { get_weather },
      stopWhen: isStepCount(3),
      ...limits,
    });
    return { calls, text: answer.text };
  },
  async structured(key, model) {
    const output = Output.object({ schema: jsonSchema(GIVEN.schema) });
    const answer = await generateText({ model: of(key, model), prompt: TEXT, output, ...limits });
    return answer.output;
  },
  async image(key, model) {
    const content = [
      { type: "text", text: TEXT },
      { type: "image", image: PNG, mediaType: "image/png" },
    ];
    const messages = [{ role: "user", content }];
    return { text: (await generateText({ model: of(key, model), messages, ...limits })).text };
  },
});

await play(
  version,
  Object.fromEntries(Object.entries(wires).map(([name, of]) => [name, features(of)])),
);
