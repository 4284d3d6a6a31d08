// B15 to B21: when to come back, how, and when not to.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WAYS, inWorld } from "./fake/world.js";

/** Within two minutes, step by step: a link on which nothing comes does not stay. */
async function opens(one, clock) {
  for (let seconds = 0; seconds < 120 && one.state !== "open"; seconds++) await clock.advance(1000);
}

test("B15 jitter from the first attempt: 1,000 clients do not come at once", () =>
  inWorld(async ({ connect, server, settle }) => {
    const waits = [];
    server.isDown = true;
    for (let i = 0; i < 1000; i++) {
      connect({ transports: ["websocket"] }).signal("/Msg").on("state", ({ retryInMs }) => retryInMs !== undefined && waits.push(retryInMs));
    }
    await settle();
    assert.equal(waits.length, 1000);
    const buckets = Array(10).fill(0);
    for (const ms of waits) buckets[Math.floor(ms / 100)]++;
    for (const count of buckets) assert.ok(count > 50 && count < 150, `a flat histogram, not ${buckets}`);
  }));

test("B15 the bound of the wait doubles up to the limit", () =>
  inWorld(async ({ clock, connect, server }) => {
    const waits = [];
    server.isDown = true;
    connect({ backoffMs: [100, 800] }).signal("/Msg").on("state", ({ retryInMs }) => retryInMs !== undefined && waits.push(retryInMs));
    await clock.advance(60_000);
    const bounds = [100, 200, 400, 800, 800, 800];
    bounds.forEach((bound, i) => assert.ok(waits[i] <= bound, `${waits[i]} of ${bound}`));
    assert.ok(Math.max(...waits) > 400);
  }));

for (const [way, options] of Object.entries(WAYS)) {
  test(`B16 back-off resets after a hello and a stable time over ${way}, not at open`, () =>
    inWorld(async ({ clock, server, connect, settle }) => {
      const attempts = [];
      const client = connect({ ...options, retry: ({ attempt }) => void attempts.push(attempt) });
      client.signal("/Msg");
      await settle();
      for (let i = 0; i < 3; i++) {
        server.kill();
        await settle();
        await clock.advance(9000); // at most 1, 2 and 4 s of them are waited
      }
      assert.deepEqual(attempts.slice(0, 3), [1, 2, 3].slice(0, attempts.length), "open, but not for long");
      await clock.advance(11_000);
      server.kill();
      await settle();
      assert.equal(attempts.at(-1), 1);
    }));

  test(`B19 the table of close codes over ${way}, by a closed frame with and without retryMs`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const first = await open("/Msg", options);
      server.close(1001, "restart", 500);
      await settle();
      const { error, retryInMs } = first.heard.of("state").at(-1);
      assert.deepEqual([first.signal.state, error.code, error.closeCode, error.message, error.retryable], ["waiting", "network", 1001, "restart", true]);
      assert.ok(retryInMs >= 500 && retryInMs <= 1500);
      await clock.advance(1500);
      assert.equal(first.signal.state, "open");
      server.close(4001, "replaced");
      await clock.advance(600_000);
      assert.equal(first.signal.state, "closed");
      const last = first.heard.of("state").at(-1).error;
      assert.deepEqual([last.code, last.closeCode, last.retryable], ["closed", 4001, false]);
      assert.equal(server.opens.length, 2);
    }));

  test(`B19 replaced over ${way} by a dial of its own that it had given up: it comes back, once`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const { signal } = await open("/Msg", options);
      server.kill();
      server.swallows = true;
      await clock.advance(15_000); // a dial or two that nothing answers
      server.swallows = false;
      for (const state of ["open", "closed"]) {
        await opens(signal, clock);
        server.close(4001, "replaced");
        await settle();
        if (state === "open") await opens(signal, clock);
        else await clock.advance(60_000);
        assert.equal(signal.state, state);
      }
    }));

  test(`B20 a refusal over ${way} is not retried blindly`, () =>
    inWorld(async ({ clock, server, connect, settle }) => {
      for (const [status, code] of [[403, "refused"], [404, "refused"], [401, "auth"]]) {
        server.refusal = () => ({ status, message: `no: ${status}` });
        const signal = connect(options).signal("/Msg");
        const failed = assert.rejects(signal.ready(), { code, status, message: `no: ${status}`, retryable: false });
        await clock.advance(600_000);
        await failed;
        assert.equal(signal.state, "closed");
      }
      assert.equal(server.opens.length, 3, "one attempt each");
      server.refusal = () => ({ status: 503, message: "full", retryMs: 20_000 });
      const signal = connect(options).signal("/Msg");
      await settle();
      assert.equal(signal.state, "waiting");
      await clock.advance(19_000);
      assert.equal(server.opens.length, 4, "Retry-After is kept");
      server.refusal = () => null;
      await clock.advance(3000);
      assert.equal(signal.state, "open");
    }));
}

test("B19 the table of close codes of a WebSocket, when no frame says more", () =>
  inWorld(async ({ server, open, settle }) => {
    const comesBack = { 1000: false, 1001: true, 1002: false, 1003: false, 1005: true, 1006: true, 1007: false, 1008: false, 1009: false,
      1011: true, 1012: true, 1013: true, 1014: true, 1015: true, 4000: false, 4001: false, 4002: true, 4003: true, 4004: true, 4321: false };
    for (const [code, expected] of Object.entries(comesBack)) {
      const { client, signal } = await open("/Msg", WAYS.websocket);
      server.sockets.at(-1).serverEnd(Number(code), "why");
      await settle();
      assert.equal(signal.state, expected ? "waiting" : "closed", code);
      client.close();
    }
  }));

test("B19 the retry hook overrides the table: when, and whether", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    const asked = [];
    let answer = 7000;
    const retry = (what) => (asked.push(what), answer);
    const { signal, heard } = await open("/Msg", { ...WAYS.websocket, retry });
    server.close(4001, "replaced");
    await settle();
    assert.equal(heard.of("state").at(-1).retryInMs, 7000);
    assert.deepEqual([asked[0].attempt, asked[0].error.closeCode, asked[0].serverHintMs], [1, 4001, undefined]);
    await clock.advance(7000);
    assert.equal(signal.state, "open");
    answer = false;
    server.close(1001, "restart", 300);
    await settle();
    assert.deepEqual([signal.state, asked[1].serverHintMs], ["closed", 300]);
  }));

test("B19 a retry hook that throws, or wants more than a timer can, harms nobody", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    const logged = [];
    const log = (event, { error }) => logged.push([event, error]);
    const thrower = await open("/Msg", { log, retry: () => { throw new Error("mine"); } });
    const sleeper = await open("/Msg", { retry: () => Infinity });
    server.kill();
    await settle();
    await clock.advance(5000);
    assert.deepEqual([thrower.signal.state, sleeper.signal.state], ["open", "waiting"]);
    assert.deepEqual([logged[0][0], logged[0][1].message], ["handler", "mine"]);
  }));

test("B17 opened without a hello counts towards the fallback, and the way back exists", () =>
  inWorld(async ({ clock, server, connect, settle }) => {
    server.swallows = true; // a proxy that takes upgrades and passes nothing on
    const client = connect();
    const signal = client.signal("/Msg");
    await clock.advance(15_000);
    assert.ok(server.sockets.length === 2, "it is tried twice");
    server.swallows = false;
    server.passesSockets = false;
    await clock.advance(15_000);
    assert.deepEqual([signal.state, client.transport], ["open", "sse"]);
    server.passesSockets = true;
    server.kill();
    await clock.advance(5000);
    assert.deepEqual([signal.state, client.transport], ["open", "sse"], "not at once");
    await clock.advance(300_000);
    server.kill();
    await clock.advance(5000);
    assert.deepEqual([signal.state, client.transport, signal.hello.recovered], ["open", "websocket", true]);
    assert.equal(server.opens.at(-1).carrier, "channel");
    await settle();
  }));

test("B17 a WebSocket that is refused by something on the way counts, too", () =>
  inWorld(async ({ clock, server, connect }) => {
    server.passesSockets = false;
    const client = connect();
    const signal = client.signal("/Msg");
    await clock.advance(5000);
    assert.deepEqual([signal.state, client.transport, server.sockets.length], ["open", "sse", 2]);
  }));

test("B17 a restart of the server does not count", () =>
  inWorld(async ({ clock, server, connect, settle }) => {
    server.isDown = true;
    const client = connect();
    const signal = client.signal("/Msg");
    await clock.advance(120_000);
    assert.ok(server.sockets.length > 5);
    server.isDown = false;
    await opens(signal, clock);
    assert.deepEqual([signal.state, client.transport], ["open", "websocket"]);
    assert.equal(server.opens.length, 1);
    await settle();
  }));

test("B17 a server that does not answer at all counts for no transport", () =>
  inWorld(async ({ clock, server, connect }) => {
    for (const transports of [["websocket", "sse"], ["sse", "websocket"]]) {
      server.isMute = true;
      const client = connect({ transports });
      client.signal("/Msg");
      await clock.advance(120_000);
      server.isMute = false;
      await opens(client, clock);
      assert.equal(client.transport, transports[0]);
    }
  }));

test("B19 a close code before the hello is believed, and asked for no more", () =>
  inWorld(async ({ server, open, settle }) => {
    server.swallows = true;
    const { signal, heard } = await open("/Msg", WAYS.websocket);
    server.sockets[0].serverEnd(1008, "policy");
    await settle();
    assert.deepEqual([signal.state, heard.of("state").at(-1).error.closeCode, server.requests.length], ["closed", 1008, 0]);
  }));

test("B20 what asks for the reason of a refusal ends with its client, and leaves nothing", () =>
  inWorld(async ({ clock, server, connect, settle }) => {
    server.passesSockets = false;
    const asked = [];
    const fetch = (url, { signal }) => (asked.push(signal), new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))));
    const client = connect({ fetch });
    client.signal("/Msg");
    await settle();
    client.close();
    await settle();
    assert.deepEqual([asked.map(({ aborted }) => aborted), clock.timers], [[true], 0]);
    server.refusal = () => ({ status: 403 });
    const refused = connect(WAYS.websocket).signal("/Msg");
    await settle();
    assert.deepEqual([refused.state, clock.timers], ["closed", 0]);
  }));

test("B17 failures count only one after the other", () =>
  inWorld(async ({ clock, server, connect }) => {
    const client = connect({ retry: () => 1000 });
    const signal = client.signal("/Msg");
    server.passesSockets = false;
    await clock.advance(500);
    for (const isDown of [true, false, true]) {
      server.isDown = isDown;
      await clock.advance(1000);
    }
    Object.assign(server, { isDown: false, passesSockets: true });
    await clock.advance(1000);
    assert.deepEqual([signal.state, client.transport], ["open", "websocket"]);
  }));

test("B17 after the way back, one failure is enough to leave it again", () =>
  inWorld(async ({ clock, server, connect, settle }) => {
    server.passesSockets = false;
    const client = connect();
    const signal = client.signal("/Msg");
    await clock.advance(5000);
    await clock.advance(300_000);
    server.kill();
    await settle();
    const before = server.sockets.length;
    await clock.advance(5000);
    assert.deepEqual([signal.state, client.transport, server.sockets.length - before], ["open", "sse", 1]);
  }));

test("B20 a signal that waits because it was refused is not dialled with the others", () =>
  inWorld(async ({ clock, server, connect, settle }) => {
    const client = connect();
    server.refusal = (path) => (path === "/Full" ? { status: 503, message: "full", retryMs: 60_000 } : null);
    const [full, other] = [client.signal("/Full"), client.signal("/Msg")];
    await settle();
    server.kill();
    await clock.advance(5000);
    assert.deepEqual([full.state, other.state], ["waiting", "open"]);
    assert.equal(server.opens.filter(({ path }) => path === "/Full").length, 1);
    await clock.advance(60_000);
    assert.equal(server.opens.filter(({ path }) => path === "/Full").length, 2);
  }));

test("B15 signals of one socket come back together, whenever they were made", () =>
  inWorld(async ({ clock, server, connect }) => {
    server.isDown = true;
    const client = connect({ transports: ["websocket"], backoffMs: [1000, 60_000] });
    for (let i = 0; i < 10; i++) {
      client.signal("/Msg");
      await clock.advance(10);
    }
    await clock.advance(60_000);
    const before = server.sockets.length;
    await clock.advance(600_000);
    assert.ok(server.sockets.length - before < 60, `${server.sockets.length - before} dials of ten signals in ten minutes`);
  }));

test("B17 many signals that fail together count once", () =>
  inWorld(async ({ clock, server, connect }) => {
    server.passesSockets = false;
    const client = connect({ multiplex: false, retry: () => 1000 });
    for (let i = 0; i < 20; i++) client.signal("/Msg");
    await clock.advance(10);
    assert.equal(server.opens.length, 0);
    server.passesSockets = true;
    await clock.advance(5000);
    assert.deepEqual([server.opens.length, client.transport], [20, "websocket"]);
  }));

test("B18 a deadline for hello on SSE: a proxy that buffers is left for a WebSocket", () =>
  inWorld(async ({ clock, server, connect }) => {
    server.swallows = true;
    const client = connect({ transports: ["sse", "websocket"] });
    const signal = client.signal("/Msg");
    await clock.advance(9000);
    assert.equal(signal.state, "connecting");
    await clock.advance(16_000);
    server.swallows = false;
    await clock.advance(15_000);
    assert.deepEqual([signal.state, client.transport], ["open", "websocket"]);
  }));

test("B20 where the server does not multiplex, each signal gets a WebSocket of its own", () =>
  inWorld(async ({ clock, server, connect }) => {
    server.multiplex = undefined;
    const client = connect();
    const signals = [client.signal("/Msg"), client.signal("/Other")];
    const states = [];
    for (const signal of signals) signal.on("state", ({ state }) => states.push(state));
    await clock.advance(1);
    assert.deepEqual(signals.map(({ state }) => state), ["open", "open"]);
    assert.deepEqual(server.opens.map(({ carrier }) => carrier), ["websocket", "websocket"]);
    assert.equal(server.sockets.length, 3, "the multiplex path was asked for once");
    assert.deepEqual(states, ["open", "open"], "nobody is told of a wait that is none");
  }));

test("B20 a socket that has all the channels it may have is joined by another one", () =>
  inWorld(async ({ clock, server, connect, settle }) => {
    server.maxChannels = 3;
    const client = connect();
    const signals = [client.signal("/Msg")];
    await settle();
    for (let i = 0; i < 6; i++) signals.push(client.signal("/Msg"));
    await clock.advance(2000); // the second socket learns its bound from a refusal
    assert.ok(signals.every(({ state }) => state === "open"));
    assert.equal(server.sockets.length, 3);
    client.close();
    assert.ok(server.sockets.every(({ readyState }) => readyState >= 2));
  }));

test("B20 a path that is no connection ends its signal, over an event stream, too", () =>
  inWorld(async ({ server, open }) => {
    server.refusal = () => ({ status: 200, message: "a page" });
    for (const options of [WAYS.channel, WAYS.sse]) {
      const { heard } = await open("/Msg", options);
      const { state, error } = heard.of("state").at(-1);
      assert.deepEqual([state, error.code, error.status, error.message], ["closed", "refused", 200, "a page"]);
    }
  }));

test("B20 an old server that takes the multiplex path for a route of its own", () =>
  inWorld(async ({ clock, server, connect }) => {
    const client = connect({ multiplex: "/Anything" });
    const signal = client.signal("/Msg");
    await clock.advance(1);
    assert.deepEqual([signal.state, server.opens.at(-1).carrier, signal.hello.name], ["open", "websocket", "Msg"]);
  }));

test("B21 any answer but an event stream is dialled again, unless it is final", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    for (const status of [500, 502, 503, 504, 429]) {
      server.refusal = () => ({ status });
      const { client, signal } = await open("/Msg", WAYS.sse);
      assert.equal(signal.state, status === 500 ? "closed" : "waiting", String(status));
      server.refusal = () => null;
      await clock.advance(2000);
      if (status !== 500) assert.equal(signal.state, "open", String(status));
      client.close();
    }
    server.refusal = () => ({ status: 204 });
    const { signal } = await open("/Msg", WAYS.sse);
    await settle();
    assert.equal(signal.state, "closed", "204 ends it");
  }));
