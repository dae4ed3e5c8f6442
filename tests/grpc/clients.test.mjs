// Walks the catalogue with clients that are not ours.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "./bundle.mjs";
import { clients, refusal } from "./clients.mjs";

const bundle = await start();
after(() => bundle.stop());

const bearer = (token) => ({ authorization: `Bearer ${token}` });
const price = { currencyCode: "EUR", units: "19", nanos: 990_000_000 };
let number = 0;

for (const [name, { call, close }] of Object.entries(clients(bundle.api))) {
  describe(name, { timeout: 120_000 }, () => {
    after(close);
    const admin = (method, message, metadata = {}) =>
      call(method, message, { metadata: { ...bearer(bundle.admin), ...metadata } });
    const word = `engine${++number}`;
    const make = async (more = {}) => {
      const { product } = await admin("CreateProduct", { name: `An ${word}`, price, stock: 3, category: word, ...more });
      return product;
    };

    test("walks from create to delete", async () => {
      const made = await make({ description: "Brass, 1843: naïve, 機械" });
      assert.deepEqual(made.price, price);
      assert.equal(made.status, "PRODUCT_STATUS_DRAFT");
      assert.equal(made.version, "1");
      assert.match(made.createdAt, /^2\d{3}-.*Z$/);

      const { id } = made;
      assert.deepEqual((await admin("GetProduct", { id })).product, made);
      await refusal("NOT_FOUND", call("GetProduct", { id }));

      const active = (await admin("UpdateProduct", { id, status: "PRODUCT_STATUS_ACTIVE", description: "" })).product;
      assert.equal(active.description, undefined);
      assert.deepEqual((await call("GetProduct", { id })).product, active);

      const listed = await call("ListProducts", { category: word });
      assert.deepEqual(listed.products, [active]);
      assert.equal(listed.total, "1");
      assert.ok(!listed.hasNext);

      for (let tries = 0; ; tries += 1) {
        const { products } = await call("SearchProducts", { q: word, maxPrice: { units: "20" } });
        if (products?.length) {
          assert.deepEqual(products, [active]);
          break;
        }
        assert.ok(tries < 100, "the product is not found");
        await sleep(100);
      }

      assert.equal((await admin("UpdateStock", { productId: id, quantityChange: -2 })).product.stock, 1);
      await admin("DeleteProduct", { id });
      await refusal("NOT_FOUND", admin("GetProduct", { id }));
    });

    test("is told each error by its code, with details", async () => {
      const { id } = await make();
      const invalid = await refusal(
        "INVALID_ARGUMENT",
        admin("CreateProduct", { name: "\r\n", price: { currencyCode: "EUR", nanos: 5_000_000 }, stock: -1 }),
      );
      const violations = invalid.of("google.rpc.BadRequest").fieldViolations;
      assert.deepEqual(
        violations.map(({ field, reason }) => [field, reason]),
        [["name", "TOO_SHORT"], ["price", "INVALID_FORMAT"], ["stock", "OUT_OF_RANGE"]],
      );
      const shown = await refusal("NOT_FOUND", call("GetProduct", { id: "no-id" }));
      assert.equal(shown.detail, "Product not found");
      assert.deepEqual(shown.of("google.rpc.ErrorInfo"), { reason: "NOT_FOUND", domain: "arcana" });
      await refusal("UNAUTHENTICATED", call("DeleteProduct", { id }));
      await refusal("UNAUTHENTICATED", call("GetProduct", { id }, { metadata: bearer("none") }));
      await refusal("PERMISSION_DENIED", call("DeleteProduct", { id }, { metadata: bearer(bundle.user) }));
      const stock = await refusal("FAILED_PRECONDITION", admin("UpdateStock", { productId: id, quantityChange: -5 }));
      assert.equal(stock.detail, "Insufficient stock. Available: 3");
      assert.deepEqual(stock.of("google.rpc.ErrorInfo").metadata, { available: "3", requested: "5" });
      await refusal("ABORTED", admin("DeleteProduct", { id }, { "if-match": '"7"' }));
      await refusal("RESOURCE_EXHAUSTED", admin("CreateProduct", { name: "x".repeat(3 << 20), price }));
    });

    test("gives up on a read when its deadline has passed", async () => {
      await refusal("DEADLINE_EXCEEDED", call("SearchProducts", { q: "late" }, { timeoutMs: 0.001 }));
    });

    test("may repeat a call under a key", async () => {
      const key = { "idempotency-key": `key of ${word}` };
      const message = { name: `Another ${word}`, price };
      const [first, again] = [await admin("CreateProduct", message, key), await admin("CreateProduct", message, key)];
      assert.equal(first.headers["idempotency-replayed"], undefined);
      assert.equal(again.headers["idempotency-replayed"], "true");
      assert.deepEqual(again.product, first.product);
      const reused = await refusal("INVALID_ARGUMENT", admin("CreateProduct", { name: "x", price }, key));
      assert.equal(reused.of("google.rpc.ErrorInfo").reason, "IDEMPOTENCY_KEY_REUSED");

      const { id } = first.product;
      const refused = { "idempotency-key": `refusal of ${word}` };
      const take = () => refusal("FAILED_PRECONDITION", admin("UpdateStock", { productId: id, quantityChange: -5 }, refused));
      const told = await take();
      await admin("UpdateStock", { productId: id, quantityChange: 9 });
      assert.deepEqual((await take()).details, told.details);
    });
  });
}
