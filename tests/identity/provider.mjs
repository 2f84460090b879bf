// A certified OpenID Connect provider (npm: oidc-provider) with one client and people of the tests.
// node provider.mjs MODULES PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI PEOPLE_JSON
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, port, clientId, clientSecret, redirectUri, people] = process.argv.slice(2);
const entry = createRequire(join(modules, "x.js")).resolve("oidc-provider");
const { default: Provider } = await import(pathToFileURL(entry));
const known = JSON.parse(people);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      redirect_uris: [redirectUri],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  claims: {
    openid: ["sub"],
    profile: ["name", "groups", "accounts", "organizations", "actor"],
    email: ["email", "email_verified"],
  },
  cookies: { keys: ["of these tests alone"] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, sub) => known[sub] && { accountId: sub, claims: () => ({ sub, ...known[sub] }) },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
