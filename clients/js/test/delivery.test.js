// B24 to B29: what is sent, what comes, and what is told when either may be missing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { closeError } from "../src/errors.js";
import { fakeFetch } from "./fake/http.js";
import { WAYS, inWorld } from "./fake/world.js";

const dataOf = (server) => server.published.map(({ data }) => data);

for (const [way, options] of Object.entries(WAYS)) {
  test(`messages come and go over ${way}`, () =>
    inWorld(async ({ server, open, settle }) => {
      const { client, signal, heard } = await open("/Msg", options);
      assert.equal(client.transport, way === "sse" ? "sse" : "websocket");
      assert.equal(server.opens[0].carrier, way);
      server.publish("Msg", { n: 1 });
      const answer = signal.send("hello");
      await settle();
      assert.match((await answer).id, /^\d+-\d+$/);
      assert.deepEqual(heard.data, [{ n: 1 }, "hello"]);
      assert.equal(heard.of("message")[1].id, signal.position);
      server.publish("Msg", "AP/+", { binary: true });
      await settle();
      assert.deepEqual(heard.data[2], new Uint8Array([0, 255, 254]));
    }));

  test(`B24 resume over ${way}: before the first message, after long silence, repeatedly`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const { signal, heard } = await open("/Msg", options);
      const { clientId } = signal.hello;
      for (const n of [1, 2, 3, 4]) {
        server.kill();
        await settle();
        server.publish("Msg", n);
        await clock.advance(16_000);
        assert.equal(signal.state, "open");
        assert.deepEqual([signal.hello.clientId, signal.hello.recovered], [clientId, true]);
        if (n === 2) for (let i = 0; i < 100; i++) {
          const position = { type: "position", id: server.nextId() };
          for (const session of server.sessions) session.say(position);
          await clock.advance(14_000);
        }
      }
      assert.deepEqual(heard.data, [1, 2, 3, 4]);
      assert.ok(heard.of("message").every(({ replayed }) => replayed));
      assert.deepEqual(heard.of("gap"), []);
    }));

  test(`B24 a connection that is lost before the missed messages came asks for all of them again over ${way}`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const { signal, heard } = await open("/Msg", options);
      server.kill();
      await settle();
      for (const n of [1, 2, 3]) server.publish("Msg", n);
      server.cutsAfterHello = true;
      await clock.advance(5000);
      assert.ok(server.opens.length >= 2);
      assert.deepEqual(heard.data, []);
      server.cutsAfterHello = false;
      await clock.advance(60_000);
      assert.deepEqual([heard.data, heard.of("gap")], [[1, 2, 3], []]);
    }));

  test(`B24 a replay without messages moves the position on, over ${way}`, () =>
    inWorld(async ({ clock, server, open }) => {
      const { signal } = await open("/Msg", options);
      const before = signal.position;
      server.publish("Other", "somewhere else");
      const last = server.nextId();
      server.kill();
      await clock.advance(5000);
      assert.equal(signal.hello.recovered, true);
      assert.notEqual(signal.position, before);
      assert.equal(signal.position.split("-")[1], last.split("-")[1]);
    }));

  test(`B24 a position that the server has forgotten is a gap over ${way}`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const { signal, heard } = await open("/Msg", options);
      const after = signal.position;
      server.kill();
      await settle();
      server.publish("Msg", "forgotten");
      server.forget("Msg");
      server.publish("Msg", "kept");
      await clock.advance(5000);
      assert.deepEqual(heard.of("gap"), [{ after, cause: "history" }]);
      assert.deepEqual(heard.data, ["kept"]);
    }));

  test(`B24 a Local connection that comes back says that it has begun anew over ${way}`, () =>
    inWorld(async ({ clock, server, open }) => {
      server.isLocal = () => true;
      const { signal, heard } = await open("/Msg", options);
      assert.deepEqual([signal.position, signal.resume], [undefined, undefined]);
      server.kill();
      await clock.advance(5000);
      assert.deepEqual(heard.of("gap"), [{ after: undefined, cause: "restart" }]);
    }));

  test(`B24 what was kept of another page goes on over ${way}: the same client id, what was missed, no gap`, () =>
    inWorld(async ({ server, open, connect, settle }) => {
      const { client, signal } = await open("/Msg", options);
      const { resume, hello } = signal;
      assert.equal(resume.split("~")[1], signal.position);
      client.close();
      await settle();
      server.publish("Msg", "missed");
      const next = connect(options).signal("/Msg", { resume });
      const heard = [];
      next.on("message", ({ data }) => heard.push(data));
      next.on("gap", () => heard.push("gap"));
      await settle();
      assert.deepEqual([next.hello.clientId, heard], [hello.clientId, ["missed"]]);
      const bare = connect(options).signal("/Msg", { resume: resume.split("~")[1] });
      await settle();
      assert.deepEqual([bare.hello.recovered, bare.hello.clientId !== hello.clientId], [true, true]);
    }));

  test(`B25 retries go before new sends, and failed entries leave the list, over ${way}`, () =>
    inWorld(async ({ clock, server, open }) => {
      const { signal } = await open("/Msg", options);
      let isBusy = true;
      server.errorFor = ({ message }) => {
        if (message === "bad") return { code: "level", status: 403, message: "not allowed" };
        return isBusy ? { code: "busy", status: 429, message: "busy", retryMs: 500 } : null;
      };
      const first = signal.send("first");
      const bad = assert.rejects(signal.send("bad"), { code: "refused", status: 403, message: "not allowed", retryable: false });
      await clock.advance(300);
      const last = signal.send("last");
      await clock.advance(100);
      isBusy = false;
      await clock.advance(5000);
      await Promise.all([first, bad, last]);
      assert.deepEqual([dataOf(server), signal.pending], [["first", "last"], 0]);
    }));

  test(`B26 killed between accept and ack: published once, the promise resolves, over ${way}`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const { signal } = await open("/Msg", options);
      server.holdsAcks = true;
      const sent = ["a", "b", "c"].map((text) => signal.send(text));
      await settle();
      assert.ok(server.published.length >= 1);
      server.kill();
      server.holdsAcks = false;
      await clock.advance(8000);
      const ids = (await Promise.all(sent)).map(({ id }) => id);
      assert.deepEqual(dataOf(server), ["a", "b", "c"]);
      assert.deepEqual(ids, server.history("Msg").map(({ id }) => id));
    }));

  test(`B26 an ack is lost, and the connection is not: the promise resolves, over ${way}`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const { signal } = await open("/Msg", options);
      server.holdsAcks = true;
      const sent = ["a", "b", "c"].map((text) => signal.send(text));
      await settle();
      server.holdsAcks = false;
      await clock.advance(16_000);
      const ids = (await Promise.all(sent)).map(({ id }) => id);
      assert.deepEqual([dataOf(server), server.opens.length], [["a", "b", "c"], 1]);
      assert.deepEqual(ids, server.history("Msg").map(({ id }) => id));
    }));

  test(`B27 sent, unacknowledged, beyond the retention: unknown_outcome, and never again, over ${way}`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const { signal } = await open("/Msg", options);
      server.holdsAcks = true;
      const outcome = assert.rejects(signal.send("once"), { code: "unknown_outcome", retryable: false });
      await settle();
      server.kill();
      server.isDown = true;
      await clock.advance(299_000);
      await outcome;
      Object.assign(server, { isDown: false, holdsAcks: false });
      await clock.advance(120_000);
      assert.deepEqual([signal.state, dataOf(server), signal.pending], ["open", ["once"], 0]);
    }));

  test(`B27 after a sleep the retention is looked at before anything goes again, over ${way}`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const { signal } = await open("/Msg", options);
      server.holdsAcks = true;
      const outcome = assert.rejects(signal.send("once"), { code: "unknown_outcome" });
      await settle();
      clock.sleep(400_000);
      server.kill();
      server.holdsAcks = false;
      await clock.advance(20_000);
      await outcome;
      assert.deepEqual(dataOf(server), ["once"]);
    }));

  test(`B27 sent as another client: unknown_outcome; never sent: it waits, over ${way}`, () =>
    inWorld(async ({ clock, server, open, settle }) => {
      const { signal } = await open("/Msg", options);
      server.holdsAcks = true;
      const outcome = assert.rejects(signal.send("mine"), { code: "unknown_outcome" });
      await settle();
      server.kill();
      server.isDown = true;
      await settle();
      const waits = signal.send("never sent");
      server.forgetTokens();
      Object.assign(server, { isDown: false, holdsAcks: false });
      await clock.advance(60_000);
      await outcome;
      assert.match((await waits).id, /-/);
      assert.deepEqual(dataOf(server), ["mine", "never sent"]);
    }));

  test(`B27 no promise hangs for ever over ${way}: never sent, or sent and then closed`, () =>
    inWorld(async ({ clock, server, connect, open, settle }) => {
      server.isDown = true;
      const away = connect(options).signal("/Msg");
      const late = assert.rejects(away.send("x"), { code: "network", retryable: true });
      await clock.advance(601_000);
      await late;
      assert.equal(away.pending, 0);
      server.isDown = false;
      const { client, signal } = await open("/Msg", options);
      server.holdsAcks = true;
      const sent = assert.rejects(signal.send("sent"), { code: "unknown_outcome" });
      await settle();
      server.isDown = true;
      server.kill();
      await settle();
      const unsent = assert.rejects(signal.send("unsent"), { code: "closed" });
      const ready = assert.rejects(signal.ready(), { code: "closed" });
      client.close();
      await Promise.all([sent, unsent, ready]);
      await assert.rejects(signal.send("after"), { code: "closed" });
      await assert.rejects(signal.ready(), { code: "closed" });
    }));

  test(`B28 what is too large is refused here, over ${way}`, () =>
    inWorld(async ({ clock, server, connect, settle }) => {
      const signal = connect(options).signal("/Msg");
      const early = assert.rejects(signal.send("x".repeat(5000)), { code: "too_large", status: 413, retryable: false });
      await clock.advance(10);
      await early;
      await assert.rejects(signal.send("é".repeat(2048)), { code: "too_large" });
      const fits = signal.send("é".repeat(1900));
      await settle();
      assert.match((await fits).id, /-/);
      assert.equal(signal.state, "open");
      assert.equal(dataOf(server).length, 1);
    }));
}

test("B25 never more ids on their way than the server remembers", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    server.limits = { ...server.limits, idCount: 4 };
    const { signal } = await open();
    server.holdsAcks = true;
    const sent = Array.from({ length: 20 }, (_, n) => signal.send(n));
    await settle();
    assert.equal(server.published.length, 4);
    server.kill();
    server.holdsAcks = false;
    await clock.advance(5000);
    await Promise.all(sent);
    assert.deepEqual(dataOf(server), [...Array(20).keys()]);
  }));

test("B28 the queue is bounded by count and by bytes", () =>
  inWorld(async ({ connect, settle }) => {
    const full = { code: "full", retryable: true };
    const few = connect({ queue: { messages: 3 } }).signal("/Msg");
    const sends = [1, 2, 3].map((n) => few.send(n));
    await assert.rejects(few.send(4), full);
    assert.equal(few.pending, 3);
    await settle();
    await Promise.all(sends);
    assert.match((await few.send(4)).id, /-/);
    const small = connect({ queue: { bytes: 1000 } }).signal("/Msg");
    const sent = small.send("x".repeat(500));
    await assert.rejects(small.send("x".repeat(500)), full);
    await settle();
    await sent;
    assert.match((await small.send("x".repeat(500))).id, /-/);
  }));

test("B28 the queue is bounded by age", () =>
  inWorld(async ({ clock, server, connect }) => {
    server.isDown = true;
    const signal = connect({ queue: { ageMs: 2000 } }).signal("/Msg");
    const late = assert.rejects(signal.send("x"), { code: "network" });
    await clock.advance(2000);
    assert.equal(signal.pending, 0);
    await late;
  }));

test("B25 posts do not overtake each other", () =>
  inWorld(async ({ server, connect, settle }) => {
    let most = 0;
    let underWay = 0;
    const serve = fakeFetch(server);
    const fetch = async (url, init) => {
      if (init.method !== "POST") return serve(url, init);
      most = Math.max(most, ++underWay);
      await settle();
      underWay--;
      return serve(url, init);
    };
    const signal = connect({ ...WAYS.sse, fetch }).signal("/Msg");
    await Promise.all([1, 2, 3].map((n) => signal.send(n)));
    assert.deepEqual([most, dataOf(server)], [1, [1, 2, 3]]);
  }));

test("B26 a POST that finds no connection makes another one, and goes once", () =>
  inWorld(async ({ clock, server, open }) => {
    const { signal } = await open("/Msg", WAYS.sse);
    server.sessions.clear(); // its gateway was declared dead, and has not noticed
    const answer = signal.send("hello");
    await clock.advance(5000);
    assert.match((await answer).id, /-/);
    assert.deepEqual([dataOf(server), signal.state, server.opens.length], [["hello"], "open", 2]);
  }));

test("B28 bufferedAmount is looked at: a full socket is not filled further", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    const { signal } = await open();
    const [socket] = server.sockets;
    socket.bufferedAmount = 2 << 20;
    const answer = signal.send("waits");
    await clock.advance(5000);
    assert.equal(server.published.length, 0);
    socket.bufferedAmount = 0;
    await clock.advance(500);
    assert.match((await answer).id, /-/);
    await settle();
  }));

test("an aborted send leaves the list, and does not go again", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    const { signal } = await open();
    const aborted = { code: "aborted", cause: "why" };
    await assert.rejects(signal.send("x", { signal: AbortSignal.abort("why") }), aborted);
    const stop = new AbortController();
    server.kill();
    await settle();
    const waits = assert.rejects(signal.send("waits", { signal: stop.signal }), aborted);
    const ready = assert.rejects(signal.ready({ signal: stop.signal }), aborted);
    stop.abort("why");
    await Promise.all([waits, ready]);
    assert.equal(signal.pending, 0);
    await clock.advance(5000);
    assert.deepEqual(dataOf(server), []);
  }));

test("a message says where it goes, and may have an id of its sender's choice", () =>
  inWorld(async ({ server, open, settle }) => {
    const { signal } = await open("/Msg", WAYS.websocket);
    signal.send({ a: 1 }, { path: "Other", group: ["g"], clientId: "c", direct: true, id: "mine" });
    await settle();
    assert.deepEqual(server.sockets[0].sent, [{ ref: 1, id: "mine", message: { a: 1 }, path: "Other", group: ["g"], clientId: "c", direct: true }]);
    for (const id of ["", "é", "x".repeat(129), "a\nb"]) await assert.rejects(signal.send("x", { id }), { status: 400 });
    const cycle = {};
    cycle.self = cycle;
    await assert.rejects(signal.send(cycle), TypeError);
    assert.equal(signal.pending, 0);
  }));

test("B29 a handler that throws or rejects hurts nobody, and is reported", () =>
  inWorld(async ({ server, connect, settle }) => {
    const reported = [];
    const signal = connect({ log: (event, { error }) => reported.push(`${event} ${error.message}`) }).signal("/Msg");
    const heard = [];
    signal.on("message", () => { throw new Error("thrown"); });
    signal.on("message", async () => { throw new Error("rejected"); });
    signal.on("message", ({ data }) => heard.push([data, signal.position !== undefined]));
    signal.on("state", () => { throw new Error("state"); });
    await settle();
    server.publish("Msg", 1);
    server.publish("Msg", 2);
    await settle();
    assert.deepEqual(heard, [[1, true], [2, true]]);
    assert.deepEqual(reported.sort(), ["handler rejected", "handler rejected", "handler state", "handler thrown", "handler thrown"]);
    assert.equal(signal.state, "open");
  }));

test("B29 a promise that nobody looks at is no unhandled rejection", () =>
  inWorld(async ({ clock, server, connect, settle }) => {
    const unhandled = [];
    const note = (error) => unhandled.push(error);
    process.on("unhandledRejection", note);
    server.isDown = true;
    const client = connect({ queue: { messages: 1 } });
    const signal = client.signal("/Msg");
    signal.send("waits");
    signal.send("full");
    signal.ready();
    const iterator = signal[Symbol.asyncIterator]();
    iterator.next();
    await clock.advance(1000);
    client.close();
    signal.send("closed");
    signal.ready();
    await settle();
    process.off("unhandledRejection", note);
    assert.deepEqual(unhandled, []);
  }));

test("B29 handlers may close, send and dial from within", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    const { client, signal, heard } = await open();
    signal.on("message", ({ data }) => data === "close" && signal.close());
    server.publish("Msg", "close");
    server.publish("Msg", "after");
    await settle();
    assert.deepEqual([signal.state, heard.data], ["closed", ["close"]]);
    for (const state of ["connecting", "open", "waiting"]) {
      const other = client.signal("/Msg");
      other.on("state", (event) => event.state === state && client.signal("/Third") && other.close());
      await settle();
      server.kill();
      await clock.advance(20_000);
      assert.equal(other.state, "closed", state);
    }
    const before = clock.timers;
    await clock.advance(60_000);
    assert.ok(clock.timers <= before);
  }));

test("an async iterator gives each message once, and ends with its signal", () =>
  inWorld(async ({ clock, server, open, settle }) => {
    const { signal } = await open();
    const taken = [];
    const done = (async () => {
      for await (const { data } of signal) taken.push(data);
      return "ended";
    })();
    for (const n of [1, 2, 3]) server.publish("Msg", n);
    server.kill();
    await settle();
    server.publish("Msg", 4);
    await clock.advance(5000);
    assert.deepEqual(taken, [1, 2, 3, 4]);
    signal.close();
    assert.equal(await done, "ended");
  }));

test("an async iterator throws what ended its signal, and is bounded", () =>
  inWorld(async ({ server, open, connect, settle }) => {
    const { signal } = await open();
    const failed = assert.rejects(async () => { for await (const _ of signal); }, { code: "closed", closeCode: 4001 });
    await settle();
    server.close(4001, "replaced");
    await failed;
    const slow = connect({ queue: { messages: 2 } }).signal("/Msg");
    const iterator = slow[Symbol.asyncIterator]();
    const first = iterator.next();
    await settle();
    server.publish("Msg", 1);
    await settle();
    assert.equal((await first).value.data, 1);
    for (const n of [2, 3, 4, 5]) server.publish("Msg", n);
    await settle();
    assert.equal((await iterator.next()).value.data, 2);
    assert.equal((await iterator.next()).value.data, 3);
    await assert.rejects(iterator.next(), { code: "full" });
    assert.equal((await iterator.next()).done, true);
    assert.equal(slow.state, "open");
    assert.equal(closeError({ code: 4001 }).retryable, false);
  }));

test("a channel that is given up while it opens does not stay at the server", () =>
  inWorld(async ({ server, open, connect, settle }) => {
    const { client } = await open();
    const [socket] = server.sockets;
    const signal = client.signal("/Other");
    while (!socket.sent.some(({ path }) => path === "/Other")) await null;
    signal.close();
    await settle();
    assert.deepEqual([...server.sessions].map(({ name }) => name), ["Msg"]);
    assert.equal(connect({}).state, "idle");
  }));
