// Answers what ArcBlock's own packages make of each case in cases.json, in answers.json.
import { readFileSync, writeFileSync } from "node:fs";
import { fromPublicKey, isValid, toAddress, toTypeInfo } from "@arcblock/did";
import * as Jwt from "@arcblock/jwt";
import { getHasher, getSigner } from "@ocap/mcrypto";
import stringify from "fast-json-stable-stringify";
import SealedBox from "tweetnacl-sealedbox-js";
import nacl from "tweetnacl";
import jsQR from "jsqr";

const bytes = (text) => Uint8Array.from(Buffer.from(text, "hex"));

const ANSWERS = {
  did: ({ text }) => {
    if (!isValid(text)) return null;
    const { role, pk, hash } = toTypeInfo(toAddress(text));
    return [role, pk, hash];
  },
  address: ({ pk, type: [role, key, hash] }) => {
    const address = key === 2 ? 0 : 1;
    return fromPublicKey(`0x${pk}`, { role, pk: key, hash, address });
  },
  hash: ({ hash, data }) => getHasher(hash)(bytes(data), 1),
  public: ({ key, sk }) => getSigner(key).getPublicKey(`0x${sk}`),
  sign: ({ key, sk, message }) => getSigner(key).sign(bytes(message), `0x${sk}`),
  verify: ({ key, pk, message, signature }) => {
    try {
      return getSigner(key).verify(bytes(message), bytes(signature), bytes(pk)) === true;
    } catch {
      return false;
    }
  },
  personal: ({ sk, text }) => {
    const signer = getSigner(2);
    return signer.ethSign(signer.ethHash(text), `0x${sk}`);
  },
  jwtSign: ({ address, sk, payload, version, now }) => {
    Date.now = () => now * 1000;
    return Jwt.sign(address, `0x${sk}`, payload, true, version);
  },
  jwtVerify: ({ token, pk, now }) => {
    Date.now = () => now * 1000;
    return Jwt.verify(token, `0x${pk}`);
  },
  json: ({ text }) => stringify(JSON.parse(text)),
  unseal: ({ box, seed }) => {
    const pair = nacl.box.keyPair.fromSecretKey(bytes(seed));
    const open = SealedBox.open(bytes(box), pair.publicKey, pair.secretKey);
    return open && Buffer.from(open).toString("utf8");
  },
  qr: ({ rows, scale }) => {
    const side = (rows.length + 8) * scale;
    const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
    rows.forEach((row, y) =>
      [...row].forEach((dark, x) => {
        if (dark !== "1") return;
        for (let j = 0; j < scale; j++)
          for (let i = 0; i < scale; i++) {
            const at = (((y + 4) * scale + j) * side + (x + 4) * scale + i) * 4;
            pixels.fill(0, at, at + 3);
          }
      }),
    );
    return jsQR(pixels, side, side)?.data ?? null;
  },
};

const cases = JSON.parse(readFileSync("cases.json"));
const answers = [];
for (const each of cases) answers.push(await ANSWERS[each.op](each));
writeFileSync("answers.json", JSON.stringify(answers));
process.exit(0);
