// The same requests over REST and over gRPC come to the same.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "./bundle.mjs";
import { clients, METHODS } from "./clients.mjs";

const bundle = await start();
const { call } = clients(bundle.api)["connect-node, gRPC"];
after(() => bundle.stop());

const PATHS = {
  currency: "price.currency_code",
  price_currency: "min_price.currency_code",
  quantityChange: "quantity_change",
};
const CODES = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  409: "FAILED_PRECONDITION",
  412: "ABORTED",
  422: "INVALID_ARGUMENT",
};
const TOKENS = { admin: bundle.admin, user: bundle.user, stranger: "no token" };

/** What is sent along by a caller. */
function headers(as, more = {}) {
  return { ...(as === "nobody" ? {} : { authorization: `Bearer ${TOKENS[as]}` }), ...more };
}

/** Money of a decimal number. */
function money(price, currencyCode = "") {
  const [units, fraction = ""] = String(Math.abs(price)).split(".");
  const sign = price < 0 ? -1 : 1;
  return { currencyCode, units: String(sign * Number(units)), nanos: sign * Number(fraction.padEnd(9, "0")) };
}

async function rest(as, [method, path, body, more]) {
  const response = await fetch(`${bundle.api}/api/v1/products${path}`, {
    method,
    headers: headers(as, { ...(body && { "content-type": "application/json" }), ...more }),
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  const answer = response.status === 204 ? {} : await response.json();
  if (response.ok) return answer;
  const { code, detail, errors, available, requested } = answer;
  const fields = errors?.map(({ pointer, parameter = pointer, code, detail }) => {
    const name = parameter.replace(/^\//, "");
    return [PATHS[name] ?? name, code, detail];
  });
  const metadata = available === undefined ? undefined : { available: String(available), requested: String(requested) };
  return { refused: CODES[response.status], reason: code, ...(fields ? { fields } : { detail }), metadata };
}

async function grpc(as, [method, message, more]) {
  try {
    return await call(method, message, { metadata: headers(as, more) });
  } catch (error) {
    if (!error.code) throw error;
    const fields = error.of("google.rpc.BadRequest")?.fieldViolations.map((each) => [
      each.field,
      each.reason,
      each.description,
    ]);
    const { reason, metadata } = error.of("google.rpc.ErrorInfo");
    return { refused: error.code, reason, ...(fields ? { fields } : { detail: error.detail }), metadata };
  }
}

/** What of a product does not depend on which one it is. */
function ofRest({ name, description, price, currency, stock, category, status, version }) {
  return { name, description, ...money(price, currency), stock, category, status, version };
}

/** The times, which depend on it. */
const times = ({ createdAt, updatedAt }) => [Date.parse(createdAt), Date.parse(updatedAt)];

function ofGrpc({ name, description = null, price, stock = 0, category = null, status, version }) {
  const { currencyCode, units = "0", nanos = 0 } = price;
  status = status.replace("PRODUCT_STATUS_", "");
  return { name, description, currencyCode, units, nanos, stock, category, status, version: Number(version) };
}

async function make(product) {
  const made = await rest("admin", ["POST", "", product]);
  assert.ok(made.id, JSON.stringify(made));
  return made;
}

/** Two products that are alike, one for each front. */
async function twins() {
  const product = { name: "Twin", price: 5, currency: "EUR", stock: 3, category: "Old", description: "Old" };
  return [await make(product), await make(product)];
}

const NEW = { name: "Lamp", price: 19.99, currency: "EUR", stock: 4 };
const create = (more) => {
  const { price, currency, stock = 0, ...rest } = { ...NEW, ...more };
  const body = { ...rest, stock, ...(price !== undefined && { price }), ...(currency && { currency }) };
  const message = { ...rest, stock, ...(price !== undefined && { price: money(price, currency) }) };
  // Without what is undefined.
  return { rest: ["POST", "", body], grpc: ["CreateProduct", JSON.parse(JSON.stringify(message))] };
};
const update = (body, message = body, more) => ({
  rest: ({ id }) => ["PUT", `/${id}`, body, more],
  grpc: ({ id }) => ["UpdateProduct", { id, ...message }, more],
});
const stock = (quantityChange, more) => ({
  rest: ({ id }) => ["PATCH", `/${id}/stock`, { quantityChange }, more],
  grpc: ({ id }) => ["UpdateStock", { productId: id, quantityChange }, more],
});
const list = (query) => {
  const { status, ...rest } = query;
  const asked = status && { status: `PRODUCT_STATUS_${status}` };
  return {
    rest: ["GET", `?${new URLSearchParams(query)}`],
    grpc: ["ListProducts", { ...rest, ...asked }],
  };
};
const search = ({ min_price, max_price, price_currency, ...query }) => {
  const bounds = { min_price, max_price, price_currency };
  const set = Object.fromEntries(Object.entries(bounds).filter(([, bound]) => bound !== undefined));
  return {
    rest: ["GET", `/search?${new URLSearchParams({ ...query, ...set })}`],
    grpc: [
      "SearchProducts",
      {
        ...query,
        ...((min_price ?? price_currency) !== undefined && { minPrice: money(min_price ?? 0, price_currency) }),
        ...(max_price !== undefined && { maxPrice: money(max_price) }),
      },
    ],
  };
};
const get = { rest: ({ id }) => ["GET", `/${id}`], grpc: ({ id }) => ["GetProduct", { id }] };
const remove = (more) => ({
  rest: ({ id }) => ["DELETE", `/${id}`, undefined, more],
  grpc: ({ id }) => ["DeleteProduct", { id }, more],
});
const missing = { id: "01a0c450-6c78-7d1e-9a05-3f5b6c7d8e9f" };
const noId = { id: "no-id" };

const TABLE = [
  ["create", "admin", create({})],
  ["create, everything said", "admin", create({ description: " Brass ", category: "Lamps" })],
  ["create for nothing", "admin", create({ price: 0, stock: 0 })],
  ["create, the largest price", "admin", create({ price: 999999999999.99 })],
  ["create without a currency", "admin", create({ currency: undefined })],
  ["create in yen", "admin", create({ price: 5, currency: "JPY" })],
  ["create with more digits than yen have", "admin", create({ price: 5.5, currency: "JPY", name: " " })],
  ["create with a fraction of a cent", "admin", create({ price: 1.005 })],
  ["create with too many digits", "admin", create({ price: 0.00001 })],
  ["create below nothing", "admin", create({ price: -1 })],
  ["create in no currency", "admin", create({ currency: "XXX" })],
  ["create without a name and a price", "admin", create({ name: undefined, price: undefined })],
  ["create with a name too long", "admin", create({ name: "x".repeat(256) })],
  ["create with every field at fault", "admin", create({
    name: "a\nb", description: "\0", price: -1, stock: -1, category: "c".repeat(101),
  })],
  ["create, empty texts", "admin", create({ description: "", category: " " })],
  ["create as a user", "user", create({})],
  ["create as nobody", "nobody", create({})],
  ["create as a stranger", "stranger", create({})],
  ["get", "admin", get],
  ["get a draft as nobody", "nobody", get],
  ["get a draft as a user", "user", get],
  ["get what is not there", "admin", get, missing],
  ["get what is no id", "nobody", get, noId],
  ["get as a stranger", "stranger", get],
  ["update", "admin", update({ name: "Other", stock: 7, category: "Lamps" })],
  ["update nothing", "admin", update({})],
  ["update the price", "admin", update({ price: 6.5 }, { price: money(6.5) })],
  ["update price and currency", "admin", update({ price: 700, currency: "JPY" }, { price: money(700, "JPY") })],
  ["update to a price of no currency", "admin", update({ price: 7, currency: "eur" }, { price: money(7, "eur") })],
  ["update the price past its digits", "admin", update({ price: 6.505 }, { price: money(6.505) })],
  ["update, cleared", "admin", update({ description: "", category: "" })],
  ["update the status", "admin", update({ status: "ACTIVE" }, { status: "PRODUCT_STATUS_ACTIVE" })],
  ["update to a bad name", "admin", update({ name: "" })],
  ["update what is not there", "admin", update({ name: "Other" }), missing],
  ["update another version", "admin", update({ name: "Other" }, undefined, { "if-match": '"9"' })],
  ["update this version", "admin", update({ name: "Other" }, undefined, { "if-match": '"1"' })],
  ["update as a user", "user", update({ name: "Other" })],
  ["add to the stock", "admin", stock(5)],
  ["take all of the stock", "admin", stock(-3)],
  ["take more than the stock", "admin", stock(-4)],
  ["change the stock by nothing", "admin", stock(0)],
  ["add more than there can be", "admin", stock(2147483647)],
  ["add to the stock as a user", "user", stock(5)],
  ["take beyond all bounds", "admin", stock(-2147483648)],
  ["change the stock of what is not there", "admin", stock(1), missing],
  ["change the stock of another version", "admin", stock(1, { "if-match": '"2"' })],
  ["delete", "admin", remove()],
  ["delete another version", "admin", remove({ "if-match": 'W/"1"' })],
  ["delete what is no id", "admin", remove(), noId],
  ["delete as nobody", "nobody", remove()],
  ["delete as a user", "user", remove()],
  ["list", "admin", list({ category: "Lamps", size: 2 })],
  ["list as nobody", "nobody", list({})],
  ["list another status as nobody", "nobody", list({ status: "DRAFT" })],
  ["list a page too far", "admin", list({ page: 101, size: 100 })],
  ["list out of range", "admin", list({ page: -1, size: 101 })],
  ["list by no cursor", "admin", list({ cursor: "x" })],
  ["list by page and cursor", "admin", list({ page: 1, cursor: "x" })],
  ["list an empty category", "nobody", list({ category: "" })],
  ["search", "nobody", search({ q: "quill" }), undefined, 3],
  ["search between prices", "nobody", search({ q: "quill", min_price: 2, max_price: 10 }), undefined, 2],
  ["search in a currency", "nobody", search({ q: "quill", price_currency: "JPY" }), undefined, 1],
  ["search between prices of a currency", "nobody", search({ q: "quill", min_price: 2, price_currency: "EUR" }), undefined, 1],
  ["search in no currency", "nobody", search({ q: "quill", price_currency: "eur", limit: 101 })],
  ["search with a limit", "nobody", search({ q: "qui", limit: 2 }), undefined, 2],
  ["search in a category", "nobody", search({ q: "quill", category: "Nibs" }), undefined, 1],
  ["search in vain", "nobody", search({ q: "quill nothing" }), undefined, 0],
  ["search without a word", "nobody", search({ q: "..." })],
  ["search without a query", "nobody", search({})],
  ["search out of range", "nobody", search({ q: "engine", limit: 101, min_price: -1 })],
  ["search upside down", "nobody", search({ q: "quill", min_price: 2, max_price: 1 })],
];

describe("over REST and over gRPC", () => {
  assert.ok(TABLE.length >= 40);
  before(async () => {
    for (const product of [
      { name: "Quill one", price: 1, currency: "EUR" },
      { name: "Quill two", price: 10, currency: "EUR", category: "Nibs" },
      { name: "Quill three", price: 5, currency: "JPY" },
    ]) {
      const { id } = await make(product);
      await rest("admin", ["PUT", `/${id}`, { status: "ACTIVE" }]);
    }
    for (let tries = 0; (await rest("nobody", ["GET", "/search?q=quill"])).length < 3; tries += 1) {
      assert.ok(tries < 300, "the products are not found");
      await sleep(100);
    }
  });

  for (const [name, as, asked, instead, count] of TABLE) {
    test(name, { timeout: 60_000 }, async () => {
      const [one, other] = typeof asked.rest === "function" && !instead ? await twins() : [instead, instead];
      const of = (made, product) => (typeof made === "function" ? made(product) : made);
      const [restAnswer, grpcAnswer] = [await rest(as, of(asked.rest, one)), await grpc(as, of(asked.grpc, other))];
      if (restAnswer.refused) return assert.deepEqual(grpcAnswer, restAnswer);
      assert.equal(grpcAnswer.refused, undefined, JSON.stringify(grpcAnswer));
      if (restAnswer.data) {
        const { products = [], total = "0", page = 0, size, hasNext = false } = grpcAnswer;
        assert.deepEqual(products.map(({ id }) => id), restAnswer.data.map(({ id }) => id));
        assert.deepEqual(products.map(times), restAnswer.data.map(times));
        assert.deepEqual(products.map(ofGrpc), restAnswer.data.map(ofRest));
        assert.deepEqual(
          { total: Number(total), page, size, hasNext },
          { total: restAnswer.total, page: restAnswer.page, size: restAnswer.size, hasNext: restAnswer.nextCursor !== null },
        );
      } else if (Array.isArray(restAnswer)) {
        assert.equal(restAnswer.length, count);
        assert.deepEqual((grpcAnswer.products ?? []).map(ofGrpc), restAnswer.map(ofRest));
      } else if (restAnswer.id) {
        assert.deepEqual(ofGrpc(grpcAnswer.product), ofRest(restAnswer));
      } else {
        assert.deepEqual(restAnswer, {});
      }
    });
  }

  test("every method is asked", () => {
    const asked = TABLE.map(([, , { grpc }]) => (typeof grpc === "function" ? grpc({}) : grpc)[0]);
    assert.deepEqual([...new Set(asked)].sort(), [...METHODS].sort());
  });

  test("a currency that only the upper bound has is at fault there", async () => {
    const { fields } = await grpc("nobody", ["SearchProducts", { q: "quill", maxPrice: money(1, "eur") }]);
    assert.deepEqual(fields.map(([field, code]) => [field, code]), [["max_price.currency_code", "INVALID_VALUE"]]);
  });

  test("bounds of two currencies are refused with all other faults", async () => {
    const bounds = { minPrice: money(1, "EUR"), maxPrice: { currencyCode: "JPY", units: "1", nanos: -1 }, limit: 101 };
    const { fields } = await grpc("nobody", ["SearchProducts", { q: "quill", ...bounds }]);
    assert.deepEqual(fields.map(([field, code]) => [field, code]), [
      ["limit", "OUT_OF_RANGE"],
      ["max_price", "INVALID_FORMAT"],
      ["max_price.currency_code", "INVALID_VALUE"],
    ]);
  });

  test("has_next is right for every number of products about a page's end", { timeout: 120_000 }, async () => {
    const size = 3;
    for (const count of [0, 1, size - 1, size, size + 1, 2 * size]) {
      const category = `Count ${count}`;
      for (let made = 0; made < count; made += 1) {
        await make({ ...NEW, category });
      }
      for (const by of ["page", "cursor"]) {
        let seen = 0;
        let cursor = "";
        for (let page = 0; ; page += 1) {
          const place = by === "page" ? { page } : { cursor };
          const answer = await call("ListProducts", { category, size, ...place }, { metadata: headers("admin") });
          seen += answer.products?.length ?? 0;
          assert.equal(Number(answer.total ?? 0), count);
          assert.equal(answer.hasNext ?? false, seen < count, `page ${page} of ${count} products`);
          cursor = answer.nextCursor ?? "";
          assert.equal(cursor !== "", seen < count);
          if (!answer.hasNext) break;
        }
        assert.equal(seen, count);
      }
    }
  });
});
