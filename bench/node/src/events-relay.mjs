// The reader of the users table's stream, for an account that is new: one event on the bus.
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { unmarshall } from "@aws-sdk/util-dynamodb";
import { run } from "./runtime.mjs";

const { EVENT_BUS_NAME } = process.env;
const bus = new EventBridgeClient({});

run(async ({ Records }) => {
  const entries = Records.filter(({ eventName }) => eventName === "INSERT").map((record) => {
    const { id, name, email, change, createdAt } = unmarshall(record.dynamodb.NewImage);
    const event = {
      id: record.eventID, type: "user.registered", data: { userId: id, name, email }, timestamp: createdAt,
      source: "arcana", version: 1, correlationId: change.correlationId,
    };
    return { EventBusName: EVENT_BUS_NAME, Source: "arcana", DetailType: event.type, Detail: JSON.stringify(event) };
  });
  const { FailedEntryCount } = await bus.send(new PutEventsCommand({ Entries: entries }));
  if (FailedEntryCount > 0) throw new Error("the bus has refused an event");
  return { batchItemFailures: [] };
});
