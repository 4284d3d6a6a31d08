// The player of public/player.js in Node: a command a line on standard input, a report a line on standard output.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { connect } from "../../../../clients/js/src/index.js";
import { play } from "./public/player.js";

const [url, path, options] = process.argv.slice(2);
const WebSocket = globalThis.WebSocket ?? createRequire(import.meta.url)("/usr/share/nodejs/ws");
const player = play(connect, url, path, { WebSocket, ...JSON.parse(options) });
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, argument] = JSON.parse(line);
  const answer = player[verb](argument);
  if (verb === "report") console.log(JSON.stringify(answer));
}
player.close(); // after which Node has nothing to wait for
