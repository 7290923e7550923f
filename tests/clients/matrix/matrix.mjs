// What every client for Node is asked to do: the same as in matrix.py, which says what is what.
import { writeFileSync } from "node:fs";

export const GIVEN = JSON.parse(process.env.MATRIX);
export const URL = GIVEN.url;
export const TEXT = GIVEN.text;
export const PNG = GIVEN.png;
export const PNG_URL = `data:image/png;base64,${PNG}`;
export const WEATHER = "rain";
export const ANSWER_MAX = 200;
export const CITY_SCHEMA = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

export async function play(version, wires) {
  const done = {};
  for (const [wire, features] of Object.entries(wires)) done[wire] = await ofWire(features);
  writeFileSync("told.json", JSON.stringify({ version, wires: done }));
  process.exit(0);
}

async function ofWire(features) {
  const done = {};
  for (const [provider, model] of Object.entries(GIVEN.models)) {
    const outcomes = {};
    for (const [name, feature] of Object.entries(features)) {
      outcomes[name] = await outcome(feature, GIVEN.key, model);
    }
    outcomes.refused = await outcome(features.text, GIVEN.key, GIVEN.refusing[provider]);
    done[provider] = outcomes;
  }
  const model = GIVEN.models.openai;
  done.hub = {
    unknown: await outcome(features.text, GIVEN.key, GIVEN.nobody),
    "wrong key": await outcome(features.text, "sk-wrong", model),
    "no credit": await outcome(features.text, GIVEN.poor_key, model),
  };
  if (features.stream) {
    done.hub["no credit, stream"] = await outcome(features.stream, GIVEN.poor_key, model);
  }
  return done;
}

async function outcome(feature, key, model) {
  try {
    return { ok: await feature(key, model) };
  } catch (error) {
    const status = [error, error.cause]
      .flatMap((one) => [one?.status, one?.statusCode, one?.code, one?.response?.status])
      .find((one) => typeof one === "number");
    return {
      raised: error.constructor?.name ?? typeof error,
      status: status ?? null,
      message: String(error.message ?? error),
      where: String(error.stack).slice(0, 2000),
    };
  }
}
