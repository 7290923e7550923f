// A wallet made of ArcBlock's own packages goes through DID Connect as its user is told to.
import { readFileSync, writeFileSync } from "node:fs";
import * as Jwt from "@arcblock/jwt";
import { create } from "@arcblock/vc";
import { fromBase58, toBase58, toBase64 } from "@ocap/util";
import { fromJSON, fromRandom } from "@ocap/wallet";
import stringify from "fast-json-stable-stringify";
import nacl from "tweetnacl";
import SealedBox from "tweetnacl-sealedbox-js";

const { hub, plays } = JSON.parse(readFileSync("plays.json"));
const TYPES = { ed25519: 0, secp256k1: 1, ethereum: 2 };
const wallets = {};
const handshakes = {};

function walletOf({ wallet = "mine", key = "ed25519", json }) {
  if (json) return fromJSON(json);
  const type = { role: 0, pk: TYPES[key], hash: key === "ethereum" ? 0 : 1 };
  if (key === "ethereum") type.address = 0;
  wallets[wallet] ??= fromRandom(key === "ed25519" ? "default" : type);
  return wallets[wallet];
}

async function json(url, options) {
  const answer = await fetch(url, options);
  return { status: answer.status, body: await answer.json() };
}

// Every answer of the hub is signed by the same application.
async function told(answer) {
  const { appPk, authInfo } = answer.body;
  if (!(await Jwt.verify(authInfo, appPk))) throw new Error("the hub's signature is wrong");
  return Jwt.decode(authInfo);
}

async function begin({ name, seal, cookie, action = "login" }) {
  const pair = seal ? nacl.box.keyPair() : null;
  const query = pair ? `?_ek_=${Buffer.from(pair.publicKey).toString("base64url")}` : "";
  const headers = cookie ? { cookie } : {};
  const begun = await json(`${hub}/api/did/${action}/token${query}`, { headers });
  if (begun.status !== 200) throw new Error(JSON.stringify(begun));
  const link = new URL(begun.body.url);
  const url = decodeURIComponent(link.searchParams.get("url"));
  handshakes[name] = { action, token: begun.body.token, url, pair, said: [] };
  return { scheme: `${link.origin}${link.pathname}`, begun: begun.body };
}

async function ask({ name }) {
  const handshake = handshakes[name];
  handshake.request = await told(await json(handshake.url));
  return handshake.request;
}

async function claimsFor(wallet, request, { issuer, agreed = true }) {
  const claims = [];
  for (const { type, ...asked } of request.requestedClaims) {
    const claim = { type };
    if (type === "profile") Object.assign(claim, { fullName: "Ann", email: "a@b.c" });
    if (type === "agreement") Object.assign(claim, { agreed, digest: asked.digest });
    if (type === "signature") claim.sig = toBase58(await wallet.sign(fromBase58(asked.origin)));
    if (type === "verifiableCredential") {
      const vc = await create({
        type: asked.item[0],
        subject: { id: wallet.address, level: 1.5 },
        issuer: { wallet: fromJSON(issuer), name: "Issuer" },
      });
      const shown = {
        type: "VerifiablePresentation",
        challenge: request.challenge,
        verifiableCredential: [JSON.stringify(vc)],
      };
      const jws = toBase64(await wallet.sign(stringify(shown)));
      const proof = { type: "Ed25519Signature", pk: toBase58(wallet.publicKey), jws };
      claim.presentation = JSON.stringify({ ...shown, proof });
    }
    claims.push(claim);
  }
  return claims;
}

async function answer(play) {
  const { name, to = name, replay, action = "responseAuth", shift = 0 } = play;
  const wallet = walletOf(play);
  const handshake = handshakes[name];
  const request = handshake.request;
  const clock = Date.now;
  Date.now = () => clock() + shift * 1000;
  const requestedClaims =
    action === "responseAuth" && !replay ? await claimsFor(wallet, request, play) : [];
  const body = { action, challenge: request.challenge, requestedClaims };
  const userInfo = replay ? handshake.said.at(-1) : await Jwt.signV2(wallet.address, wallet.secretKey, body);
  Date.now = clock;
  handshake.said.push(userInfo);
  const said = await told(
    await json(handshakes[to].url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ userPk: toBase58(wallet.publicKey), userInfo }),
    }),
  );
  if (said.requestedClaims) handshakes[to].request = said;
  return said;
}

async function status({ name }) {
  const { action, token, pair } = handshakes[name];
  const got = await json(`${hub}/api/did/${action}/status?_t_=${token}`);
  const { loginToken } = got.body;
  if (loginToken && pair) {
    const open = SealedBox.open(Buffer.from(loginToken, "base64"), pair.publicKey, pair.secretKey);
    got.opened = JSON.parse(Buffer.from(open).toString("utf8"));
  }
  return got;
}

const DOES = { begin, ask, answer, status, did: (play) => walletOf(play).toDid() };
const outcomes = [];
for (const play of plays) outcomes.push(await DOES[play.do](play));
writeFileSync("told.json", JSON.stringify(outcomes));
process.exit(0);
