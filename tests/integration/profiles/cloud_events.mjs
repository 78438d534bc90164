// Reads CloudEvents from standard input with the SDK, validates each by the schema of the specification, and prints them as it
// has understood them: `node cloud_events.mjs FOLDER lines|batch`.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, mode] = process.argv.slice(2);
const { HTTP } = createRequire(`${folder}/`)("cloudevents");
const input = readFileSync(0, "utf8");
let events;
if (mode === "batch") {
  events = HTTP.toEvent({ headers: { "content-type": "application/cloudevents-batch+json" }, body: input });
} else {
  const lines = input.split("\n").filter((line) => line !== "");
  events = lines.map((body) => HTTP.toEvent({ headers: { "content-type": "application/cloudevents+json" }, body }));
}
// The SDK's own schema does not look at characters: attributes of the type String have no control characters, and none is empty.
const refused = /[\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]/;
for (const event of events) {
  if (event.validate() !== true) throw new Error(`not valid: ${event.id}`);
  for (const [name, value] of Object.entries(event.toJSON())) {
    // The SDK adds an empty `data_base64` of its own.
    if (name === "data" || name === "data_base64") continue;
    if (!/^[a-z0-9]+$/.test(name)) throw new Error(`the name ${name}`);
    if (value === "" || value === null) throw new Error(`${name} is empty`);
    if (typeof value === "string" && refused.test(value)) throw new Error(`${name} of ${event.id}: ${JSON.stringify(value)}`);
  }
  console.log(JSON.stringify(event));
}
