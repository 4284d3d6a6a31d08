// B4 in React itself: examples/react in strict mode, which mounts each component twice.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { fakeFetch } from "./fake/http.js";
import { fakeWebSocket } from "./fake/sockets.js";
import { inWorld } from "./fake/world.js";

const HOME = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);

/** The hook as a bundler makes it, for this process: React stays outside, so that there is one. */
async function load() {
  const made = await build({
    entryPoints: [join(HOME, "../../examples/react/use-signal.js")], bundle: true, format: "cjs", write: false,
    external: ["react"], alias: { "signalbox-client": join(HOME, "src/index.js") },
  });
  const module = { exports: {} };
  new Function("module", "exports", "require", made.outputFiles[0].text)(module, module.exports, require);
  return module.exports;
}

test("B4 the React hook: one connection in strict mode, the latest handlers, none after it is unmounted", () =>
  inWorld(async ({ server, clock, settle }) => {
    const React = require("react");
    const { act, create } = require("react-test-renderer");
    Object.assign(globalThis, { window: { location: { origin: "http://box.test" } }, IS_REACT_ACT_ENVIRONMENT: true });
    const { WebSocket, fetch } = globalThis;
    Object.assign(globalThis, { WebSocket: fakeWebSocket(server), fetch: fakeFetch(server) });
    try {
      const { useSignal } = await load();
      const heard = [];
      let shown;
      const Room = ({ tag }) => {
        shown = useSignal("/Msg", { onMessage: ({ data }) => heard.push([tag, data]) });
        return null;
      };
      const page = (tag) => React.createElement(React.StrictMode, null, React.createElement(Room, { tag }));
      const step = (run) => act(async () => { run(); await settle(); });
      let root;
      await step(() => (root = create(page("first"))));
      assert.deepEqual([server.sockets.length, server.opens.length, shown.state], [1, 1, "open"]);
      await step(() => server.publish("Msg", 1));
      await step(() => root.update(page("second")));
      await step(() => server.publish("Msg", 2));
      assert.deepEqual([heard, shown.last.data, server.opens.length], [[["first", 1], ["second", 2]], 2, 1]);
      let answer;
      await step(() => (answer = shown.send("hello")));
      assert.match((await answer).id, /-/);
      await step(() => root.unmount());
      await clock.advance(600_000);
      assert.deepEqual([server.sessions.size, server.sockets.length], [0, 1]);
    } finally {
      Object.assign(globalThis, { WebSocket, fetch });
      delete globalThis.window;
    }
  }));
