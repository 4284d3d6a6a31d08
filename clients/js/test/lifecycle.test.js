// B1 to B8: what begins, and that it ends.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { connect } from "../src/index.js";
import { fakeFetch } from "./fake/http.js";
import { FakeServer } from "./fake/server.js";
import { fakeWebSocket } from "./fake/sockets.js";
import { WAYS, inWorld, listen } from "./fake/world.js";

const TEN_MINUTES = 600_000;
const INDEX = new URL("../src/index.js", import.meta.url);

for (const [way, options] of Object.entries(WAYS)) {
  const dials = (server) => server.sockets.length + server.requests.length;

  test(`B1 close() is final over ${way}: in back-off, while connecting, while waiting for a token`, () =>
    inWorld(async ({ clock, server, connect, settle }) => {
      const cases = {
        backOff: async () => {
          server.isDown = true;
          const client = connect(options);
          const signal = client.signal("/Msg");
          await settle();
          assert.equal(signal.state, "waiting");
          return client;
        },
        connecting: async () => {
          server.isMute = true;
          const client = connect(options);
          assert.equal(client.signal("/Msg").state, "connecting");
          await settle();
          return client;
        },
        token: async () => {
          const client = connect({ ...options, token: ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve("late"))) });
          client.signal("/Msg");
          await settle();
          return client;
        },
      };
      for (const [name, begin] of Object.entries(cases)) {
        Object.assign(server, { isDown: false, isMute: false });
        const client = await begin();
        client.close();
        const before = dials(server);
        Object.assign(server, { isDown: false, isMute: false });
        await clock.advance(TEN_MINUTES);
        assert.deepEqual([client.state, dials(server)], ["closed", before], name);
        assert.throws(() => client.signal("/Msg"), { code: "closed" });
      }
    }));

  test(`B1 closing one signal over ${way} ends it alone`, () =>
    inWorld(async ({ clock, server, connect, settle }) => {
      const client = connect(options);
      const [one, other] = [client.signal("/Msg"), client.signal("/Other")];
      await settle();
      await one.close();
      await settle();
      assert.deepEqual([one.state, other.state, client.state], ["closed", "open", "open"]);
      assert.deepEqual([...server.sessions].map(({ name }) => name), ["Other"]);
      await other.close();
      await clock.advance(TEN_MINUTES);
      assert.equal(client.state, "idle");
      assert.ok(server.sockets.every(({ readyState }) => readyState === 3), "no socket stays without a signal");
      assert.equal(client.signal("/Msg").state, "connecting", "a client that has no signal left may get others");
    }));

  test(`B4 mount, unmount, mount over ${way} makes one connection`, () =>
    inWorld(async ({ server, connect, settle }) => {
      const shared = connect(options);
      shared.signal("/Msg").close();
      shared.signal("/Msg");
      await settle();
      assert.equal(server.opens.length, 1, "with one client");
      connect(options).close();
      const own = connect(options);
      own.signal("/Msg").close();
      own.close();
      connect(options).signal("/Msg");
      await settle();
      assert.equal(server.opens.length, 2, "with a client for each mount");
      assert.ok(server.sockets.length <= 2);
    }));

  test(`B8 after 1,000 reconnects over ${way} no listener and no timer is left`, () =>
    inWorld(async ({ clock, server, settle, connect }) => {
      const stop = new AbortController();
      let listeners = 0;
      const { signal: aborting } = stop;
      const add = aborting.addEventListener.bind(aborting);
      const remove = aborting.removeEventListener.bind(aborting);
      aborting.addEventListener = (...args) => (listeners++, add(...args));
      aborting.removeEventListener = (...args) => (listeners--, remove(...args));
      const client = connect({ ...options, backoffMs: [10, 10], signal: aborting });
      const signal = client.signal("/Msg", { signal: aborting });
      signal.on("message", () => {}, { signal: aborting });
      await settle();
      const before = { listeners, timers: clock.timers };
      for (let i = 0; i < 1000; i++) {
        server.kill();
        await settle();
        await clock.advance(10);
      }
      assert.equal(signal.state, "open");
      assert.deepEqual({ listeners, timers: clock.timers }, before);
      client.close();
      await settle();
      assert.deepEqual({ listeners, timers: clock.timers }, { listeners: 0, timers: 0 });
      assert.equal(server.sessions.size, 0);
    }));
}

test("B2 late events of an old socket are ignored", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    const { signal, heard } = await open();
    const [old] = server.sockets;
    const { onmessage, onclose, onopen } = old; // a platform that has them in its queue already
    server.kill();
    await clock.advance(5000);
    assert.equal(signal.state, "open");
    const before = heard.events.length;
    onopen({});
    onmessage({ data: JSON.stringify({ channel: 1, type: "message", id: "1-1", name: "Msg", data: "late" }) });
    onclose({ code: 1006, reason: "" });
    await clock.advance(5000);
    assert.equal(heard.events.length, before);
    assert.equal(server.sockets.length, 2);
  }));

test("B3 a dial that timed out closes its socket: a mute server sees at most one", () =>
  inWorld(async ({ clock, server, connect }) => {
    server.isMute = true;
    connect({ transports: ["websocket"] }).signal("/Msg");
    for (let second = 0; second < 300; second++) {
      await clock.advance(1000);
      assert.ok(server.sockets.filter(({ readyState }) => readyState < 2).length <= 1);
    }
    assert.ok(server.sockets.length > 2, "it goes on trying");
  }));

test("B4 whoever leaves and comes in one go keeps the socket", () =>
  inWorld(async ({ server, open, settle }) => {
    const { client, signal } = await open();
    signal.close();
    const next = client.signal("/Other#part");
    await settle();
    assert.deepEqual([next.state, server.sockets.length, server.opens.at(-1).path], ["open", 1, "/Other"]);
  }));

test("B5 importing touches no globals", () => {
  const script = `
    const touched = [];
    const kept = { ...globalThis };
    for (const name of ["WebSocket", "fetch", "document", "window", "self", "navigator", "location", "crypto", "addEventListener", "setTimeout"]) {
      Object.defineProperty(globalThis, name, { configurable: true, get() { touched.push(name); return undefined; } });
    }
    await import(${JSON.stringify(INDEX.href)});
    process.stdout.write(JSON.stringify(touched));`;
  const done = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.deepEqual([done.stdout, done.stderr], ["[]", ""]);
});

test("B5 it works in a worker, where there is no document", () =>
  inWorld(async ({ open }) => {
    assert.equal(globalThis.document, undefined);
    const { signal } = await open();
    assert.equal(signal.state, "open");
  }));

test("B6 without a global WebSocket: an injected one, else SSE by fetch, else a clear error", () =>
  inWorld(async ({ server, settle }) => {
    const { WebSocket, fetch } = globalThis;
    try {
      delete globalThis.WebSocket;
      const clients = [
        connect("http://box.test/", { WebSocket: fakeWebSocket(server), fetch: fakeFetch(server) }),
        connect("http://box.test/", { fetch: fakeFetch(server) }),
      ];
      clients.forEach((client) => client.signal("/Msg"));
      await settle();
      assert.deepEqual(clients.map(({ transport }) => transport), ["websocket", "sse"]);
      clients.forEach((client) => client.close());
      delete globalThis.fetch;
      assert.throws(() => connect("http://box.test/"), { name: "SignalboxError", message: /neither WebSocket nor fetch/ });
      assert.throws(() => connect("http://box.test/", { WebSocket: fakeWebSocket(server), transports: ["sse"] }), { name: "SignalboxError" });
    } finally {
      Object.assign(globalThis, { WebSocket, fetch });
    }
  }));

test("B7 it needs no Event and no EventTarget", () =>
  inWorld(async ({ server, settle }) => {
    const { Event, EventTarget } = globalThis;
    try {
      delete globalThis.Event;
      delete globalThis.EventTarget;
      const client = connect("http://box.test/", { WebSocket: fakeWebSocket(server) });
      const heard = listen(client.signal("/Msg"));
      await settle();
      server.publish("Msg", 1);
      await settle();
      assert.deepEqual(heard.data, [1]);
      client.close();
    } finally {
      Object.assign(globalThis, { Event, EventTarget });
    }
  }));

test("B7 on returns its undo, takes an AbortSignal, and a handler may remove another", () =>
  inWorld(async ({ server, open, settle }) => {
    const { signal } = await open();
    const stop = new AbortController();
    const heard = [];
    const off = signal.on("message", () => heard.push("undone"));
    signal.on("message", () => heard.push("aborted"), { signal: stop.signal });
    signal.on("message", () => heard.push("never"), { signal: AbortSignal.abort() });
    signal.on("message", () => last());
    const last = signal.on("message", () => heard.push("removed"));
    server.publish("Msg", 1);
    await settle();
    off();
    off();
    stop.abort();
    server.publish("Msg", 2);
    await settle();
    assert.deepEqual(heard, ["undone", "aborted"]);
  }));

test("B8 Node exits when the client is closed", () => {
  const script = `
    import { connect } from ${JSON.stringify(INDEX.href)};
    import { FakeServer } from ${JSON.stringify(new URL("./fake/server.js", import.meta.url).href)};
    import { fakeWebSocket } from ${JSON.stringify(new URL("./fake/sockets.js", import.meta.url).href)};
    const client = connect("http://box.test", { WebSocket: fakeWebSocket(new FakeServer()) });
    const signal = client.signal("/Msg");
    await signal.ready();
    client.close();
    console.log("closed");`;
  const done = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8", timeout: 5000 });
  assert.deepEqual([done.status, done.stdout], [0, "closed\n"]);
});

test("an AbortSignal closes a client or a signal, also one that was aborted before", () =>
  inWorld(async ({ server, connect, settle }) => {
    const stop = new AbortController();
    const client = connect({ signal: stop.signal });
    const one = new AbortController();
    const signals = [client.signal("/Msg", { signal: one.signal }), client.signal("/Msg"), client.signal("/Msg", { signal: AbortSignal.abort() })];
    await settle();
    assert.deepEqual(signals.map(({ state }) => state), ["open", "open", "closed"]);
    one.abort();
    assert.deepEqual(signals.map(({ state }) => state), ["closed", "open", "closed"]);
    stop.abort();
    assert.deepEqual([client.state, signals[1].state], ["closed", "closed"]);
    await settle();
    assert.equal(server.sessions.size, 0);
    assert.equal(connect({ signal: AbortSignal.abort() }).state, "closed");
  }));
