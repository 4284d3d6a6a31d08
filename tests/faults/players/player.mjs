// A player in Node: node player.mjs '{"url": …, "rate": …, "library": …, "clients": […]}'. See play.js and ../promises.py.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import { play } from "./play.js";

const note = (line) => process.stdout.write(JSON.stringify(line) + "\n");
process.on("unhandledRejection", (error) => note({ c: "node", k: "trouble", what: `unhandled: ${error?.stack}` }));

const config = JSON.parse(process.argv[2]);
const library = await import(config.library);
const WebSocket = globalThis.WebSocket ?? createRequire(import.meta.url)("/usr/share/nodejs/ws"); // Node 20 has none of its own

/** What is still held, but for what a process has of itself: its three streams. */
function resources() {
  const own = ["TTYWrap", "PipeWrap", "FSReqCallback"];
  return process.getActiveResourcesInfo().filter((kind) => !own.includes(kind));
}

function heap() {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const player = play(library, config, note, { WebSocket });
const began = await new Promise((resolve) => setTimeout(() => resolve(heap()), 2000).unref());

for await (const word of createInterface(process.stdin)) {
  if (word === "hush") {
    await player.hush();
    note({ k: "hushed" });
  } else if (word === "end") {
    await player.end();
    break;
  }
}
process.stdin.destroy();
setTimeout(() => setImmediate(() => note({ k: "ended", held: resources(), heap: [began, heap()] })), 1000); // nothing else is held
