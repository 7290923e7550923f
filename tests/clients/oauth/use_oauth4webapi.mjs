// Every flow of `oauth4webapi`, and its check of an access token as a resource server makes it.
import { createInterface } from "node:readline";
import * as oauth from "oauth4webapi";

const { issuer, callback, confidential } = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));
const visit = async (value) => {
  say({ visit: String(value) });
  return JSON.parse((await lines.next()).value).went;
};
const plain = { [oauth.allowInsecureRequests]: true };
const server = new URL(issuer);
const as = await oauth.processDiscoveryResponse(
  server,
  await oauth.discoveryRequest(server, { ...plain, algorithm: "oauth2" }),
);
const api = new URL(issuer);
const about = await oauth.processResourceDiscoveryResponse(
  api,
  await oauth.resourceDiscoveryRequest(api, plain),
);

const made = await oauth.processDynamicClientRegistrationResponse(
  await oauth.dynamicClientRegistrationRequest(
    as,
    {
      client_name: "oauth4webapi",
      redirect_uris: [callback],
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    },
    plain,
  ),
);

async function signIn(client, how) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const nonce = oauth.generateRandomNonce();
  const url = new URL(as.authorization_endpoint);
  for (const [name, value] of Object.entries({
    client_id: client.client_id,
    redirect_uri: callback,
    response_type: "code",
    scope: "openid inference",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    resource: issuer,
    state,
    nonce,
  })) {
    url.searchParams.set(name, value);
  }
  const went = new URL(await visit(url));
  const parameters = oauth.validateAuthResponse(as, client, went, state);
  const response = await oauth.authorizationCodeGrantRequest(
    as, client, how, parameters, callback, verifier, plain,
  );
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, {
    expectedNonce: nonce,
    requireIdToken: true,
  });
  await oauth.validateApplicationLevelSignature(as, response, plain);
  return tokens;
}

const client = { client_id: made.client_id };
const tokens = await signIn(client, oauth.None());
const claims = oauth.getValidatedIdTokenClaims(tokens);
const info = await oauth.processUserInfoResponse(
  as,
  client,
  claims.sub,
  await oauth.userInfoRequest(as, client, tokens.access_token, plain),
);
const shown = new Request(`${issuer}/v1/models`, {
  headers: { authorization: `Bearer ${tokens.access_token}` },
});
const access = await oauth.validateJwtAccessToken(as, shown, issuer, plain);
const refreshed = await oauth.processRefreshTokenResponse(
  as,
  client,
  await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token, plain),
);
let reused = "";
await oauth
  .processRefreshTokenResponse(
    as,
    client,
    await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token, plain),
  )
  .catch((error) => {
    reused = error.error;
  });

const begun = await oauth.processDeviceAuthorizationResponse(
  as,
  client,
  await oauth.deviceAuthorizationRequest(as, client, oauth.None(), { scope: "inference" }, plain),
);
await visit(begun.verification_uri_complete);
const device = await oauth.processDeviceCodeResponse(
  as,
  client,
  await oauth.deviceCodeGrantRequest(as, client, oauth.None(), begun.device_code, plain),
);
await oauth.processRevocationResponse(
  await oauth.revocationRequest(as, client, oauth.None(), device.refresh_token, plain),
);

const results = [];
for (const [id, secret, method] of confidential) {
  const known = { client_id: id, id_token_signed_response_alg: "EdDSA" };
  const how = method === "client_secret_basic" ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret);
  const own = await oauth.processClientCredentialsResponse(
    as,
    known,
    await oauth.clientCredentialsGrantRequest(as, known, how, { scope: "models" }, plain),
  );
  const theirs = await signIn(known, how);
  const ask = async () =>
    oauth.processIntrospectionResponse(
      as,
      known,
      await oauth.introspectionRequest(as, known, how, theirs.access_token, plain),
    );
  const live = await ask();
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, known, how, theirs.access_token, plain),
  );
  const dead = await ask();
  results.push({ scope: own.scope, live: live.active, dead: dead.active, sub: live.sub });
}
say({
  done: {
    claims, info, scope: refreshed.scope, reused, device: device.scope, revoked: "invalid_grant",
    results, access: access.client_id === client.client_id, servers: about.authorization_servers,
  },
});
process.exit(0);
