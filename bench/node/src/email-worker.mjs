// The worker of the emails queue, for the mail that greets: a claim, the user's token, the mail, and that it is done.
import { randomUUID } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, GetCommand, PutCommand } from "@aws-sdk/lib-dynamodb";
import { SESv2Client, SendEmailCommand } from "@aws-sdk/client-sesv2";
import { run } from "./runtime.mjs";

const { ONE_TIME_TOKENS_TABLE, RECEIPTS_TABLE, MAIL_FROM, MAIL_CONFIGURATION_SET } = process.env;
const dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const ses = new SESv2Client({});

async function put(receipt, now) {
  const holder = receipt.holder;
  await dynamodb.send(new PutCommand({
    TableName: RECEIPTS_TABLE,
    Item: receipt,
    ConditionExpression: "attribute_not_exists(id) OR holder = :holder OR (done = :no AND claimedUntil < :now)",
    ExpressionAttributeValues: { ":holder": holder, ":no": false, ":now": now },
  }));
}

async function consume(record) {
  const job = JSON.parse(record.body);
  const now = Math.floor(Date.now() / 1000);
  const { userId, email, name } = job.data;
  await dynamodb.send(new GetCommand({
    TableName: ONE_TIME_TOKENS_TABLE,
    Key: { userId, purpose: "verify-email" },
    ConsistentRead: true,
  }));
  const receipt = {
    id: `email-worker#${job.id}`, holder: randomUUID(), done: false, claimedUntil: now + 60, ttl: now + 86400,
  };
  await put(receipt, now);
  const content = (data) => ({ Data: data, Charset: "UTF-8" });
  await ses.send(new SendEmailCommand({
    FromEmailAddress: MAIL_FROM,
    ConfigurationSetName: MAIL_CONFIGURATION_SET,
    Destination: { ToAddresses: [email] },
    Content: {
      Simple: {
        Subject: content("Welcome to Arcana!"),
        Body: { Html: content(`<p>Hello ${name}, welcome.</p>`), Text: content(`Hello ${name}, welcome.`) },
      },
    },
  }));
  await put({ ...receipt, done: true }, now);
}

run(async ({ Records }) => {
  const batchItemFailures = [];
  for (const record of Records) {
    try {
      await consume(record);
    } catch (error) {
      console.log(JSON.stringify({ level: "ERROR", messageId: record.messageId, cause: error.message }));
      batchItemFailures.push({ itemIdentifier: record.messageId });
    }
  }
  return { batchItemFailures };
});
