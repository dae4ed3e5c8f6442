// A user's files in a browser, on a page of another origin than the API's and S3's.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, test } from "node:test";
import { chromium } from "playwright-core";
import { start } from "../grpc/bundle.mjs";

const BROWSERS = [process.env.ARCANA_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = BROWSERS.find((path) => path && existsSync(path));
assert.ok(executablePath, "no Chromium: apt-get install chromium, or ARCANA_CHROMIUM says where it is");

const bundle = await start();
const html = await readFile(new URL("files.html", import.meta.url));
const site = createServer((_, response) => response.setHeader("content-type", "text/html").end(html));
await new Promise((listening) => site.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${site.address().port}`;
// A container's root has no user namespaces, which Chromium's own sandbox wants.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
after(async () => {
  await browser.close();
  site.close();
  await bundle.stop();
});

/** A page of the site, for a user, with a file chosen. */
async function open(name, buffer) {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${origin}/#${new URLSearchParams({ api: bundle.api, token: bundle.user })}`);
  await page.waitForFunction("window.page");
  await page.setInputFiles("#file", { name, mimeType: "application/octet-stream", buffer });
  return page;
}

const PDF = Buffer.concat([Buffer.from("%PDF-1.7\n"), Buffer.alloc(300_000, "text ")]);

test("a page uploads a file, sees it active, downloads it, saves it and deletes it", async () => {
  const page = await open("Résumé.pdf", PDF);
  const created = await page.evaluate("page.create()");
  assert.equal(created.status, 201);
  assert.equal(created.etag, '"1"');
  const { id, upload } = created.body;
  assert.notEqual(new URL(upload.url).origin, origin);
  assert.deepEqual(Object.keys(upload.headers).sort(), ["content-type", "if-none-match", "x-amz-checksum-sha256"]);
  assert.equal(await page.evaluate((upload) => page.put(upload), upload), 200);
  const file = await page.evaluate((id) => page.settled(id), id);
  const sha256 = createHash("sha256").update(PDF).digest("hex");
  assert.deepEqual([file.status, file.sha256, file.filename], ["ACTIVE", sha256, "Résumé.pdf"]);
  const { body } = await page.evaluate("page.list()");
  assert.deepEqual(body.data, [file]);

  const download = await page.evaluate((id) => page.download(id), id);
  assert.equal(download.sha256, sha256);
  assert.match(download.disposition, /^attachment; .*filename\*=UTF-8''R%C3%A9sum%C3%A9\.pdf$/);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
  assert.equal(saved.suggestedFilename(), "Résumé.pdf");
  assert.ok(PDF.equals(await readFile(await saved.path())));

  assert.equal((await page.evaluate((id) => page.remove(id), id)).status, 204);
  assert.equal((await page.evaluate((id) => page.remove(id), id)).status, 404);
  await page.close();
});

test("a page that lies is refused", async () => {
  const page = await open("a.png", Buffer.from("MZ and no picture"));
  const { body: { id, upload } } = await page.evaluate("page.create()");
  const put = (more) => page.evaluate(([upload, more]) => page.put(upload, more), [upload, more]);
  assert.equal(await put({ "content-type": "image/gif" }), 403);
  assert.equal(await page.evaluate((upload) => page.lie(upload), upload), 400);
  assert.equal(await put({}), 200);
  const file = await page.evaluate((id) => page.settled(id), id);
  assert.deepEqual([file.status, file.reason, file.url], ["REJECTED", "TYPE_MISMATCH", null]);
  await page.close();
});
