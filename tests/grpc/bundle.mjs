// The bundle, running, with an admin and a user.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PASSWORD = "Analytical-Engine-1843";

/**
 * Starts the program in ARCANA_PROGRAM, with the binaries in ARCANA_BUNDLE if it is set. It keeps nothing. Answers where
 * it is, tokens for it, and how to stop it.
 */
export async function start() {
  const target = process.env.CARGO_TARGET_DIR ?? `${ROOT}target`;
  const program = process.env.ARCANA_PROGRAM ?? `${target}/debug/local`;
  if (!existsSync(program)) throw new Error(`there is no ${program}: cargo build makes it, ARCANA_PROGRAM says where it is`);
  const binaries = process.env.ARCANA_BUNDLE ? ["--bundle", process.env.ARCANA_BUNDLE] : [];
  const child = spawn(program, ["--memory", "--port", "0", "--aws-port", "0", ...binaries], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const stop = async () => {
    child.kill();
    await exited;
  };
  try {
    const lines = createInterface({ input: child.stdout });
    const [line] = await Promise.race([once(lines, "line", { signal: AbortSignal.timeout(60_000) }), exited]);
    const api = /API on (http:\/\/\S+),/.exec(line)?.[1];
    if (!api) throw new Error(`${program} did not start: ${line}`);
    const [admin, user] = [await tokenOf(api, "admin@example.com", "admin"), await tokenOf(api, "user@example.com")];
    return { api, admin, user, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function send(url, body) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return response.json();
}

async function tokenOf(api, email, role) {
  await send(`${api}/api/v1/auth/register`, { name: "Ada Lovelace", email, password: PASSWORD });
  if (role) await send(`${api}/_local/invoke/users-grant-role`, { email, role });
  const { accessToken } = await send(`${api}/api/v1/auth/login`, { email, password: PASSWORD });
  return accessToken;
}
