// GET /api/v1/auth/me: the token is verified, and its session and its user are read in one round trip.
import { createPublicKey, verify } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { BatchGetCommand, DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import { endpoint, failure, json } from "./http.mjs";
import { run } from "./runtime.mjs";

const { USERS_TABLE, SESSIONS_TABLE, PUBLIC_JWKS, TOKEN_ISSUER, TOKEN_AUDIENCE } = process.env;
const dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const keys = new Map(
  JSON.parse(PUBLIC_JWKS).keys.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: "jwk" })]),
);

function claimsOf(authorization) {
  const [header, payload, signature] = (authorization ?? "").replace(/^Bearer /i, "").split(".");
  if (!signature) throw failure(401, "Authentication required");
  const { alg, kid, typ } = JSON.parse(Buffer.from(header, "base64url"));
  const key = keys.get(kid);
  const signed = Buffer.from(`${header}.${payload}`);
  const right = alg === "EdDSA" && typ === "at+jwt" && key &&
    verify(null, signed, key, Buffer.from(signature, "base64url"));
  if (!right) throw failure(401, "Invalid access token");
  const claims = JSON.parse(Buffer.from(payload, "base64url"));
  const now = Date.now() / 1000;
  if (claims.iss !== TOKEN_ISSUER || claims.aud !== TOKEN_AUDIENCE || claims.exp <= now) {
    throw failure(401, "Invalid access token");
  }
  return claims;
}

run(endpoint(async (event) => {
  const { sub, sid } = claimsOf(event.headers.authorization);
  const read = await dynamodb.send(new BatchGetCommand({
    RequestItems: {
      [USERS_TABLE]: { Keys: [{ id: sub }], ConsistentRead: true },
      [SESSIONS_TABLE]: { Keys: [{ userId: sub, id: sid }], ConsistentRead: true },
    },
  }));
  const [user] = read.Responses[USERS_TABLE];
  const [session] = read.Responses[SESSIONS_TABLE];
  const now = new Date().toISOString();
  const alive = user && session && user.status === "ACTIVE" && session.authVersion === user.authVersion &&
    !session.endedAt && now < session.expiresAt && now < session.endsAt;
  if (!alive) throw failure(401, "Invalid access token");
  const { id, name, email, emailVerified, roles, createdAt, updatedAt } = user;
  return json(event, 200, { id, name, email, emailVerified, roles, createdAt, updatedAt }, { etag: `"${user.version}"` });
}));
