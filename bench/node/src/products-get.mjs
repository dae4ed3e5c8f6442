// GET /api/v1/products/{id}: one product, as everybody sees it.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, GetCommand } from "@aws-sdk/lib-dynamodb";
import { endpoint, failure, json } from "./http.mjs";
import { run } from "./runtime.mjs";

const { PRODUCTS_TABLE, CATALOGUE_CACHE_SECONDS } = process.env;
const dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient({}));

run(endpoint(async (event) => {
  const { id } = event.pathParameters;
  const { Item: product } = await dynamodb.send(new GetCommand({ TableName: PRODUCTS_TABLE, Key: { id } }));
  if (product?.status !== "ACTIVE") throw failure(404, "Product not found");
  const { name, description, price, currency, stock, category, status, version, createdAt, updatedAt } = product;
  const shown = { id, name, description, price: Number(price), currency, stock, category, status, version, createdAt, updatedAt };
  return json(event, 200, shown, {
    etag: `"${version}"`,
    "cache-control": `public, max-age=${CATALOGUE_CACHE_SECONDS}`,
  });
}));
