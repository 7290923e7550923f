// What @blocklet/sdk signs in each of many cases, and what qs and json-stable-stringify make of them.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

process.env.BLOCKLET_APP_PID = "stock";
process.env.BLOCKLET_DATA_DIR = process.env.BLOCKLET_LOG_DIR = process.cwd();
const require = createRequire(import.meta.url);
const qs = require("qs");
const stringify = require("json-stable-stringify");
const { getSignData } = require("@blocklet/sdk/lib/util/verify-sign");
const { getRemoteComponentCallHeaders } = require("@blocklet/aigne-hub/api/utils/auth");

const answers = [];
for (const one of JSON.parse(readFileSync("cases.json", "utf8"))) {
  switch (one.op) {
    case "query":
      answers.push(qs.parse(one.text));
      break;
    case "json":
      answers.push(stringify(JSON.parse(one.text)));
      break;
    case "component": {
      const { data, params, method, url } = one;
      const { raw, ...signed } = await getSignData({ data, params, method, url });
      answers.push({ ...signed, query: qs.stringify(params ?? {}) });
      break;
    }
    case "remote":
      answers.push(await getRemoteComponentCallHeaders(one.data, one.user ?? undefined));
  }
}
writeFileSync("answers.json", JSON.stringify(answers));
process.exit(0);
