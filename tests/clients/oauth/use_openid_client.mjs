// Every flow of `openid-client`, as its users write it. Speaks lines of JSON with the test: it asks
// for a person ({visit}), and is told where the browser went.
import { createInterface } from "node:readline";
import * as client from "openid-client";

const { issuer, callback, confidential } = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));
const visit = async (value) => {
  say({ visit: String(value) });
  return JSON.parse((await lines.next()).value).went;
};
const plain = { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] };
const server = new URL(issuer);

const registered = await client.dynamicClientRegistration(
  server,
  {
    client_name: "openid-client",
    redirect_uris: [callback],
    grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    token_endpoint_auth_method: "none",
  },
  client.None(),
  plain,
);

async function signIn(config, more) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: callback,
    scope: "openid email inference models",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
    ...more,
  });
  const went = await visit(url);
  return client.authorizationCodeGrant(config, new URL(went), {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
    maxAge: more?.max_age,
  });
}

const tokens = await signIn(registered, { max_age: 3600 });
const claims = tokens.claims();
const info = await client.fetchUserInfo(registered, tokens.access_token, claims.sub);
const refreshed = await client.refreshTokenGrant(registered, tokens.refresh_token);
let reused = "";
await client.refreshTokenGrant(registered, tokens.refresh_token).catch((error) => {
  reused = error.error;
});

const begun = await client.initiateDeviceAuthorization(registered, { scope: "inference" });
await visit(begun.verification_uri_complete);
const device = await client.pollDeviceAuthorizationGrant(registered, { ...begun, interval: 1 });
await client.tokenRevocation(registered, device.refresh_token);
let revoked = "";
await client.refreshTokenGrant(registered, device.refresh_token).catch((error) => {
  revoked = error.error;
});

const results = [];
for (const [id, secret, how] of confidential) {
  const config = await client.discovery(
    server,
    id,
    { id_token_signed_response_alg: "EdDSA" },
    how === "client_secret_basic" ? client.ClientSecretBasic(secret) : client.ClientSecretPost(secret),
    plain,
  );
  const own = await client.clientCredentialsGrant(config, { scope: "models" });
  const theirs = await signIn(config);
  const live = await client.tokenIntrospection(config, theirs.access_token);
  await client.tokenRevocation(config, theirs.access_token);
  const dead = await client.tokenIntrospection(config, theirs.access_token);
  results.push({ scope: own.scope, live: live.active, dead: dead.active, sub: live.sub });
}
say({ done: { claims, info, scope: refreshed.scope, reused, device: device.scope, revoked, results } });
process.exit(0);
