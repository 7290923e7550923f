// The stock packages call a hub's /api/v1: as a remote application and as a sibling component.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const { HUB, REMOTE_SK, SIBLING_SK } = process.env;
process.env.BLOCKLET_APP_SK = process.env.WHO === "remote" ? REMOTE_SK : SIBLING_SK;
process.env.BLOCKLET_APP_PID = "stock";
process.env.BLOCKLET_COMPONENT_DID = "z8iZwyBfqwNcGbLCiUnFAQLEzT8sJd2TSjbM2";
process.env.BLOCKLET_DATA_DIR = process.env.BLOCKLET_LOG_DIR = process.cwd();
process.env.AI_KIT_BASE_URL = `${HUB}/ai-kit`;
process.env.BLOCKLET_MOUNT_POINTS = JSON.stringify([
  {
    title: "AI Kit",
    name: "ai-kit",
    did: "z8ia3xzq2tMq8CRHfaXj1BTYJyYnEcHbqP8cJ",
    status: "running",
    mountPoint: "/ai-kit",
    webEndpoint: HUB,
  },
]);
const api = createRequire(import.meta.url)("@blocklet/aigne-hub/api/call");
const options = { useAIKitService: process.env.WHO === "remote" };
const messages = [{ role: "user", content: "say hello to the stock packages" }];

async function chat(input) {
  const pieces = [];
  let usage = null;
  for await (const chunk of await api.chatCompletions(input, options)) {
    if (chunk.delta?.content) pieces.push(chunk.delta.content);
    if (chunk.usage) usage = chunk.usage.totalTokens;
  }
  return { text: pieces.join(""), usage };
}

const said = {};
said.status = await api.status({ ...options, responseType: "json" }).then(
  (answer) => answer ?? null,
  (error) => String(error),
);
said.chat = await chat({ model: "openai/gpt-4o", messages, stream: true, temperature: 0.5 });
const embedded = await api.embeddings({ model: "openai/embed", input: ["a b", "ü"] }, options);
said.vectors = embedded.data.length;
const drawn = await api.imageGenerations(
  { model: "openai/gpt-image-1", prompt: "a cat", n: 1 },
  options,
);
said.pictures = drawn.data.length;
try {
  await chat({ model: "openai/none", messages, stream: true });
} catch (error) {
  said.refused = error.message;
}
writeFileSync("said.json", JSON.stringify(said));
process.exit(0);
