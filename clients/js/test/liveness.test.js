// B9 to B14: whether the other side lives, and what the page says about itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WAYS, inWorld } from "./fake/world.js";

const pings = (socket) => socket.sent.filter(({ type }) => type === "ping").length;

/** A page, as far as it speaks to the library. */
function makePage() {
  const target = () => {
    const handlers = [];
    return {
      handlers,
      addEventListener: (type, run) => handlers.push({ type, run }),
      removeEventListener: (type, run) => handlers.splice(handlers.findIndex((one) => one.type === type && one.run === run), 1),
      fire: (type) => handlers.filter((one) => one.type === type).forEach(({ run }) => run({ type })),
    };
  };
  const window = target();
  const document = { ...target(), visibilityState: "visible" };
  return { window, document };
}

async function inPage(run) {
  const { window, document } = makePage();
  const { addEventListener, removeEventListener } = window;
  Object.assign(globalThis, { document, addEventListener, removeEventListener });
  try {
    await inWorld((world) => run({ ...world, window, document }));
  } finally {
    for (const name of ["document", "addEventListener", "removeEventListener"]) delete globalThis[name];
  }
}

for (const [way, options] of Object.entries(WAYS)) {
  test(`B9 any frame resets the deadline over ${way}, and silence ends the connection`, () =>
    inWorld(async ({ clock, server, open }) => {
      const { signal, heard } = await open("/Msg", options);
      for (let i = 0; i < 20; i++) {
        await clock.advance(14_000);
        server.publish("Msg", i);
      }
      assert.deepEqual(heard.states, ["open"]);
      assert.equal(server.opens.length, 1);
      const [socket] = server.sockets;
      if (socket) socket.isStalled = true;
      server.isDown = server.isSilent = true;
      await clock.advance(31_000);
      assert.equal(signal.state, "waiting");
      assert.equal(heard.of("state").at(-1).error.code, "network");
    }));
}

test("B9 a slow large message: bytes of an event stream count, before the message is whole", () =>
  inWorld(async ({ clock, connect, settle }) => {
    let controller;
    const fetch = async () => new Response(new ReadableStream({ start: (made) => void (controller = made) }), { headers: { "Content-Type": "text/event-stream" } });
    const write = (text) => controller.enqueue(typeof text === "string" ? new TextEncoder().encode(text) : text);
    const signal = connect({ transports: ["sse"], fetch }).signal("/Msg");
    const heard = [];
    signal.on("message", ({ data }) => heard.push(data));
    await settle();
    write('data: {"type":"hello","clientId":"a","name":"Msg","id":"1-0","recovered":null,"limits":{"pingMs":15000}}\n\n');
    await settle();
    write('data: {"type":"message","id":"1-1","name":"Msg","data":"');
    for (let i = 0; i < 30; i++) {
      await clock.advance(10_000);
      write(new Uint8Array([[0xc3], [0xa9]][i % 2])); // half of an é
    }
    write('"}\n\n');
    await settle();
    assert.deepEqual([signal.state, heard], ["open", ["é".repeat(15)]]);
  }));

test("B10 a late timer does not end a connection that has data waiting", () =>
  inWorld(async ({ clock, server, open }) => {
    const { signal, heard } = await open();
    const [socket] = server.sockets;
    clock.sleep(3_600_000);
    const sent = socket.sent.length;
    // The timers run first, and only then what has come meanwhile.
    const advanced = clock.advance(100);
    server.publish("Msg", "waited");
    await advanced;
    await clock.advance(10_000);
    assert.deepEqual([signal.state, heard.data, server.sockets.length], ["open", ["waited"], 1]);
    assert.equal(socket.sent.length, sent);
  }));

test("B10 a late timer does not send into a dead socket", () =>
  inWorld(async ({ clock, server, open }) => {
    const { signal } = await open();
    const [socket] = server.sockets;
    socket.isStalled = true;
    const sent = socket.sent.length;
    clock.sleep(3_600_000);
    const answer = signal.send("after the sleep");
    await clock.advance(9000);
    assert.equal(socket.sent.length, sent, "neither a ping nor the message");
    assert.equal(socket.readyState, 3);
    await clock.advance(2000);
    assert.match((await answer).id, /-/);
    assert.deepEqual(server.published.map(({ data }) => data), ["after the sleep"]);
  }));

test("B11 a pending ping dies with its socket", () =>
  inWorld(async ({ clock, server, open }) => {
    const { signal } = await open();
    const [first] = server.sockets;
    first.isStalled = true;
    await clock.advance(21_000);
    assert.equal(pings(first), 1, "it was asked");
    first.serverEnd(1006, "");
    await clock.advance(2000);
    assert.equal(signal.state, "open");
    await clock.advance(14_000);
    const second = server.sockets[1];
    assert.deepEqual([signal.state, server.sockets.length, pings(second)], ["open", 2, 0]);
  }));

for (const event of ["visibilitychange", "resume", "pageshow", "online"]) {
  test(`B12 ${event} dials now`, () =>
    inPage(async ({ clock, server, connect, settle, window, document }) => {
      server.isDown = true;
      const signal = connect().signal("/Msg");
      await clock.advance(60_000);
      server.isDown = false;
      const target = event === "visibilitychange" || event === "resume" ? document : window;
      if (signal.state !== "waiting") assert.fail(signal.state);
      target.fire(event);
      await settle();
      assert.equal(signal.state, "open");
    }));
}

test("B12 hidden does not spin, and does not keep from connecting", () =>
  inPage(async ({ clock, server, connect, settle, document }) => {
    server.isDown = true;
    const signal = connect({ transports: ["websocket"] }).signal("/Msg");
    await settle();
    document.visibilityState = "hidden";
    const before = server.sockets.length;
    for (let i = 0; i < 1000; i++) document.fire("visibilitychange");
    await settle();
    assert.equal(server.sockets.length, before);
    server.isDown = false;
    await clock.advance(60_000);
    assert.equal(signal.state, "open");
  }));

test("B12 wake() on an event stream, which cannot be asked, does not end it", () =>
  inWorld(async ({ clock, server, open }) => {
    const { client, signal } = await open("/Msg", WAYS.sse);
    client.wake();
    await clock.advance(15_000);
    assert.deepEqual([signal.state, server.opens.length], ["open", 1]);
  }));

test("B12 wake() on an open connection asks whether it lives, without delay", () =>
  inWorld(async ({ clock, server, open }) => {
    const { client, signal } = await open();
    const [socket] = server.sockets;
    client.wake();
    assert.equal(pings(socket), 1);
    await clock.advance(10_000);
    assert.equal(signal.state, "open");
    socket.isStalled = true;
    client.wake();
    await clock.advance(6000);
    assert.equal(server.sockets.length, 2);
    assert.equal(signal.state, "open");
  }));

for (const [way, options] of Object.entries(WAYS)) {
  test(`B13 back/forward cache over ${way}: the state is set in pagehide, one resumed connection after pageshow`, () =>
    inPage(async ({ clock, server, open, settle, window }) => {
      const { signal, heard } = await open("/Msg", options);
      const { clientId } = signal.hello;
      window.fire("pagehide");
      assert.equal(signal.state, "waiting", "at once");
      assert.ok(server.sockets.every(({ readyState }) => readyState >= 2), "at once");
      const timers = clock.timers;
      await settle();
      assert.equal(server.sessions.size, 0);
      server.publish("Msg", "missed");
      await clock.advance(60_000);
      assert.equal(server.opens.length, 1, "a page that is put aside dials nothing");
      assert.ok(clock.timers <= timers);
      window.fire("pageshow");
      await settle();
      assert.deepEqual([server.opens.length, signal.state, signal.hello.clientId], [2, "open", clientId]);
      assert.deepEqual([heard.data, heard.of("gap")], [["missed"], []]);
    }));
}

test("B13 a page that was put aside for longer than the history is told so", () =>
  inPage(async ({ clock, server, open, settle, window }) => {
    const { signal, heard } = await open();
    const after = signal.position;
    window.fire("pagehide");
    await settle();
    server.publish("Msg", "forgotten");
    server.forget("Msg");
    await clock.advance(600_000);
    window.fire("pageshow");
    await settle();
    assert.deepEqual(heard.of("gap"), [{ after, cause: "paused" }]);
  }));

test("B13 a machine that slept is told so, and only that time", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    const { heard } = await open();
    server.sockets[0].isStalled = true;
    clock.sleep(3_600_000);
    server.publish("Msg", "forgotten");
    server.forget("Msg");
    await clock.advance(15_000);
    server.kill();
    await settle();
    server.publish("Msg", "forgotten");
    server.forget("Msg");
    await clock.advance(15_000);
    assert.deepEqual(heard.of("gap").map(({ cause }) => cause), ["paused", "history"]);
  }));

test("B14 offline is a hint: it asks, and never forbids dialling", () =>
  inPage(async ({ clock, server, open, settle, window }) => {
    Object.defineProperty(globalThis, "navigator", { configurable: true, value: { onLine: false } });
    try {
      const { signal } = await open();
      assert.equal(signal.state, "open");
      window.fire("offline");
      assert.equal(pings(server.sockets[0]), 1);
      await settle();
      assert.equal(signal.state, "open", "what answers is not offline");
      server.kill();
      await clock.advance(5000);
      assert.equal(signal.state, "open");
    } finally {
      delete globalThis.navigator;
    }
  }));

test("the page's listeners go with the client", () =>
  inPage(async ({ open, window, document }) => {
    const { client } = await open();
    assert.ok(window.handlers.length > 0 && document.handlers.length > 0);
    client.close();
    assert.deepEqual([window.handlers, document.handlers], [[], []]);
  }));
