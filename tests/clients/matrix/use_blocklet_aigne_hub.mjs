// It is for programs that Blocklet Server starts, with a wallet in their environment.
import { generateKeyPairSync } from "node:crypto";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { CITY_SCHEMA, PNG_URL, TEXT, URL, WEATHER, play } from "./matrix.mjs";

const { d, x } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
const secret = Buffer.concat([d, x].map((part) => Buffer.from(part, "base64url")));
process.env.BLOCKLET_APP_SK = `0x${secret.toString("hex")}`;
process.env.BLOCKLET_APP_PID = "matrix";
process.env.BLOCKLET_DATA_DIR = process.cwd();
process.env.BLOCKLET_LOG_DIR = process.cwd();
process.env.BLOCKLET_AIGNE_API_URL = URL;
const { chatCompletionsV2, checkStatus, getUserCreditInfo } = createRequire(import.meta.url)(
  "@blocklet/aigne-hub/api/call",
);
const { version } = JSON.parse(readFileSync("node_modules/@blocklet/aigne-hub/package.json"));
const said = [{ role: "user", content: TEXT }];
const tools = [
  { type: "function", function: { name: "get_weather", parameters: CITY_SCHEMA } },
];

function with_key(key) {
  process.env.BLOCKLET_AIGNE_API_CREDENTIAL = JSON.stringify({ apiKey: key });
}

// Every chat is a stream here.
async function ask(key, model, more = {}) {
  with_key(key);
  const heard = { pieces: [], calls: [], usage: null };
  const stream = await chatCompletionsV2({ model, messages: said, stream: true, ...more });
  for await (const chunk of stream) {
    if (chunk.delta?.content) heard.pieces.push(chunk.delta.content);
    heard.calls.push(...(chunk.delta?.toolCalls ?? []));
    if (chunk.usage) heard.usage = [chunk.usage.promptTokens, chunk.usage.completionTokens];
  }
  return { ...heard, text: heard.pieces.join("") };
}

await play(version, {
  "AIGNE, flat": {
    async text(key, model) {
      const { text, usage } = await ask(key, model);
      return { text, usage };
    },
    async stream(key, model) {
      const { pieces, usage } = await ask(key, model);
      return { pieces, usage };
    },
    async tools(key, model) {
      const { calls } = await ask(key, model, { tools });
      const messages = [
        ...said,
        { role: "assistant", content: "", toolCalls: calls },
        ...calls.map(({ id }) => ({ role: "tool", content: WEATHER, toolCallId: id })),
      ];
      const { text } = await ask(key, model, { tools, messages });
      return {
        calls: calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
        text,
      };
    },
    async image(key, model) {
      const content = [
        { type: "text", text: TEXT },
        { type: "image_url", imageUrl: { url: PNG_URL } },
      ];
      const { text } = await ask(key, model, { messages: [{ role: "user", content }] });
      return { text };
    },
    async "status and credit"(key, model) {
      with_key(key);
      const status = await checkStatus({ model });
      const info = await getUserCreditInfo();
      return { available: status.available, credit: Number(info.creditBalance.balance) > 0 };
    },
  },
});
