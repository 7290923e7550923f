import OpenAI from "openai";
import { VERSION } from "openai/version";
import { ANSWER_MAX, CITY_SCHEMA, GIVEN, PNG_URL, TEXT, URL, WEATHER, play } from "./matrix.mjs";

const of = (key) => new OpenAI({ baseURL: `${URL}/v1`, apiKey: key, maxRetries: 0 });
const said = [{ role: "user", content: TEXT }];
const tool = {
  type: "function",
  function: { name: "get_weather", parameters: CITY_SCHEMA, strict: true },
};

async function chat(key, model, more = {}) {
  const asked = { model, messages: said, max_completion_tokens: ANSWER_MAX, ...more };
  return of(key).chat.completions.create(asked);
}

const spent = (usage) => [usage.prompt_tokens, usage.completion_tokens];
const used = (usage) => [usage.input_tokens, usage.output_tokens];

const chatFeatures = {
  async text(key, model) {
    const answer = await chat(key, model);
    return { text: answer.choices[0].message.content, usage: spent(answer.usage) };
  },
  async stream(key, model) {
    const pieces = [];
    let usage = null;
    const stream = await chat(key, model, {
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
      if (chunk.usage) usage = spent(chunk.usage);
    }
    return { pieces, usage };
  },
  async tools(key, model) {
    const { message } = (await chat(key, model, { tools: [tool] })).choices[0];
    const calls = message.tool_calls;
    const results = calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: WEATHER }));
    const messages = [...said, message, ...results];
    const last = await chat(key, model, { tools: [tool], messages });
    return {
      calls: calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
      text: last.choices[0].message.content,
    };
  },
  async structured(key, model) {
    const format = { name: "trip", schema: GIVEN.schema, strict: true };
    const answer = await of(key).chat.completions.parse({
      model,
      messages: said,
      response_format: { type: "json_schema", json_schema: format },
    });
    return JSON.parse(answer.choices[0].message.content);
  },
  async image(key, model) {
    const content = [
      { type: "text", text: TEXT },
      { type: "image_url", image_url: { url: PNG_URL } },
    ];
    const answer = await chat(key, model, { messages: [{ role: "user", content }] });
    return { text: answer.choices[0].message.content };
  },
};

const respond = (key, model, more = {}) =>
  of(key).responses.create({ model, input: TEXT, max_output_tokens: ANSWER_MAX, ...more });

const responsesFeatures = {
  async text(key, model) {
    const answer = await respond(key, model);
    return { text: answer.output_text, usage: used(answer.usage) };
  },
  async stream(key, model) {
    const pieces = [];
    let usage = null;
    for await (const event of await respond(key, model, { stream: true })) {
      if (event.type === "response.output_text.delta") pieces.push(event.delta);
      if (event.type === "response.completed") usage = used(event.response.usage);
    }
    return { pieces, usage };
  },
  async tools(key, model) {
    const tools = [
      { type: "function", name: "get_weather", parameters: CITY_SCHEMA, strict: true },
    ];
    const answer = await respond(key, model, { tools });
    const calls = answer.output.filter(({ type }) => type === "function_call");
    const results = calls.map(({ call_id }) => ({
      type: "function_call_output",
      call_id,
      output: WEATHER,
    }));
    const input = [...said, ...answer.output, ...results];
    const last = await respond(key, model, { tools, input });
    return {
      calls: calls.map((call) => [call.name, JSON.parse(call.arguments)]),
      text: last.output_text,
    };
  },
  async structured(key, model) {
    const format = { type: "json_schema", name: "trip", schema: GIVEN.schema, strict: true };
    return JSON.parse((await respond(key, model, { text: { format } })).output_text);
  },
  async image(key, model) {
    const content = [
      { type: "input_text", text: TEXT },
      { type: "input_image", detail: "auto", image_url: PNG_URL },
    ];
    const answer = await respond(key, model, { input: [{ role: "user", content }] });
    return { text: answer.output_text };
  },
};

await play(VERSION, { chat: chatFeatures, responses: responsesFeatures });
