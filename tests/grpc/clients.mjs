// Clients that are not ours. Each is called alike: `call(method, message, { metadata, timeoutMs })` with a message in
// protobuf's JSON answers one, or throws a `Refused`.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { createFileRegistry, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import * as node from "@connectrpc/connect-node";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import * as web from "@connectrpc/connect-web";
import grpc from "@grpc/grpc-js";

const require = createRequire(import.meta.url);
const PROTO = fileURLToPath(new URL("../../functions/products/proto", import.meta.url));
const BUF = fileURLToPath(new URL("node_modules/.bin/buf", import.meta.url));
const SERVICE = "arcana.product.v1.ProductService";

const descriptors = execFileSync(BUF, ["build", PROTO, "-o", "-#format=binpb"]);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
const service = registry.getService(SERVICE);
/** The names of the service's methods. */
export const METHODS = service.methods.map(({ name }) => name);
const methods = new Map(service.methods.map((method) => [method.name, method]));

/** What a call was refused with: a status code by its name in SCREAMING_SNAKE_CASE, and its details. */
export class Refused extends Error {
  constructor(code, message, details) {
    super(`${code}: ${message}`);
    Object.assign(this, { code, detail: message, details });
  }

  /** The detail of a type, in JSON. */
  of(type) {
    return this.details.find((detail) => detail.type === type)?.value;
  }
}

/** The refusal that a call ends in, which has this code. */
export async function refusal(code, call) {
  const error = await call.then(
    () => assert.fail(`it was to be refused with ${code}`),
    (error) => error,
  );
  assert.equal(error.code, code, error.stack);
  return error;
}

/** A detail in its bytes, in JSON. */
function detail(type, bytes) {
  const schema = registry.getMessage(type);
  return { type, value: toJson(schema, fromBinary(schema, bytes), { registry }) };
}

/** An answer in JSON, with the headers that came before it. */
function answered(method, message, headers) {
  return { ...toJson(method.output, message, { registry }), headers };
}

/** What a `ConnectError` tells. */
function told(error) {
  const code = Code[error.code].replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase();
  const details = error.details.filter(({ value }) => value instanceof Uint8Array);
  return new Refused(code, error.rawMessage, details.map(({ type, value }) => detail(type, value)));
}

function connect(transport) {
  const client = createClient(service, transport);
  const call = async (name, message, { metadata = {}, timeoutMs = 60_000 } = {}) => {
    const method = methods.get(name);
    let headers = {};
    const onHeader = (received) => (headers = Object.fromEntries(received));
    try {
      const asked = fromJson(method.input, message);
      return answered(method, await client[method.localName](asked, { headers: metadata, timeoutMs, onHeader }), headers);
    } catch (error) {
      throw error instanceof ConnectError ? told(error) : error;
    }
  };
  return { call, close: () => {} };
}

/** A refusal over gRPC, whose status stands in its metadata. */
function refused(code, message, status) {
  const headers = new Headers({ "grpc-status": String(code), "grpc-message": encodeURIComponent(message) });
  if (status) headers.set("grpc-status-details-bin", status);
  return told(findTrailerError(headers));
}

function grpcJs(api) {
  const client = new grpc.Client(new URL(api).host, grpc.credentials.createInsecure());
  const call = (name, message, { metadata = {}, timeoutMs = 60_000 } = {}) => {
    const method = methods.get(name);
    const sent = new grpc.Metadata();
    for (const [key, value] of Object.entries(metadata)) sent.set(key, value);
    return new Promise((resolve, reject) => {
      let headers = {};
      const call = client.makeUnaryRequest(
        `/${SERVICE}/${name}`,
        (message) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        fromJson(method.input, message),
        sent,
        { deadline: Date.now() + timeoutMs },
        (error, answer) => {
          if (!error) return resolve(answered(method, answer, headers));
          const [status] = error.metadata.get("grpc-status-details-bin");
          reject(refused(error.code, error.details, status?.toString("base64")));
        },
      );
      call.on("metadata", (metadata) => (headers = metadata.getMap()));
    });
  };
  return { call, close: () => client.close() };
}

function grpcWeb(api, format) {
  // The library is made for browsers.
  globalThis.XMLHttpRequest ??= require("xhr2");
  const { GrpcWebClientBase, MethodDescriptor, MethodType } = require("grpc-web");
  const client = new GrpcWebClientBase({ format });
  const call = (name, message, { metadata = {}, timeoutMs = 60_000 } = {}) => {
    const method = methods.get(name);
    const descriptor = new MethodDescriptor(
      `/${SERVICE}/${name}`,
      MethodType.UNARY,
      Object,
      Object,
      (message) => toBinary(method.input, message),
      (bytes) => fromBinary(method.output, new Uint8Array(bytes)),
    );
    return new Promise((resolve, reject) => {
      let headers = {};
      const call = client.rpcCall(
        `${api}/${SERVICE}/${name}`,
        fromJson(method.input, message),
        // A deadline that has passed is one that the library does not send.
        { ...metadata, "grpc-timeout": timeoutMs < 1 ? `${timeoutMs * 1e6}n` : `${timeoutMs}m` },
        descriptor,
        (error, answer) => {
          if (!error) return resolve(answered(method, answer, headers));
          reject(refused(error.code, error.message, error.metadata?.["grpc-status-details-bin"]));
        },
      );
      call.on("metadata", (metadata) => (headers = metadata));
    });
  };
  return { call, close: () => {} };
}

/** Every client, by what it speaks. */
export function clients(api) {
  const options = { baseUrl: api };
  return {
    "connect-web, Connect with JSON": connect(web.createConnectTransport(options)),
    "connect-web, Connect with protobuf": connect(web.createConnectTransport({ ...options, useBinaryFormat: true })),
    "connect-web, gRPC-Web": connect(web.createGrpcWebTransport(options)),
    "connect-node, Connect over HTTP/1.1": connect(node.createConnectTransport({ ...options, httpVersion: "1.1" })),
    "connect-node, Connect over HTTP/2": connect(node.createConnectTransport({ ...options, httpVersion: "2" })),
    "connect-node, gRPC-Web": connect(node.createGrpcWebTransport({ ...options, httpVersion: "1.1" })),
    "connect-node, gRPC": connect(node.createGrpcTransport(options)),
    "grpc-js, gRPC": grpcJs(api),
    "grpc-web, gRPC-Web": grpcWeb(api, "binary"),
    "grpc-web, gRPC-Web as text": grpcWeb(api, "text"),
  };
}
