// B22 and B23: tokens.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WAYS, inWorld } from "./fake/world.js";

/** A token callback whose calls a test answers itself. */
function makeDesk() {
  const calls = [];
  const token = ({ rejected, signal }) => new Promise((resolve, reject) => calls.push({ rejected, signal, resolve, reject }));
  return { calls, token };
}

for (const [way, options] of Object.entries(WAYS)) {
  test(`B22 one fetch at a time over ${way}, whoever asks; each attempt asks anew`, () =>
    inWorld(async ({ clock, server, connect, settle }) => {
      const { calls, token } = makeDesk();
      const client = connect({ ...options, token });
      const signals = [1, 2, 3].map(() => client.signal("/Msg"));
      await settle();
      assert.deepEqual(calls.map(({ rejected }) => rejected), [false]);
      calls[0].resolve("first");
      await settle();
      assert.deepEqual(signals.map(({ state }) => state), ["open", "open", "open"]);
      assert.deepEqual(server.opens.map((each) => each.token), ["first", "first", "first"]);
      server.kill();
      await clock.advance(1000);
      while (calls.at(-1).resolve("second"), (await settle()), signals.some(({ state }) => state !== "open")) await clock.advance(100);
      assert.ok(server.opens.slice(3).every((each) => each.token === "second"));
    }));

  test(`B22 the token of an old attempt is dropped over ${way}`, () =>
    inWorld(async ({ clock, server, connect }) => {
      const { calls, token } = makeDesk();
      const signal = connect({ ...options, token }).signal("/Msg");
      await clock.advance(12_000); // over connectMs: the first attempt is given up
      assert.ok(calls[0].signal.aborted);
      assert.equal(calls.length, 2);
      calls[0].resolve("old");
      await clock.advance(100);
      assert.equal(server.opens.length, 0);
      calls[1].resolve("new");
      await clock.advance(100);
      assert.deepEqual([signal.state, server.opens.map((each) => each.token)], ["open", ["new"]]);
    }));

  test(`B23 a callback that throws or hangs backs off over ${way}`, () =>
    inWorld(async ({ clock, server, connect, settle }) => {
      const waits = [];
      const callbacks = {
        throws: () => { throw new Error("no session"); },
        rejects: async () => { throw new Error("no session"); },
        hangs: () => new Promise(() => {}),
      };
      for (const [name, token] of Object.entries(callbacks)) {
        const client = connect({ ...options, token });
        const signal = client.signal("/Msg");
        signal.on("state", ({ state, error }) => state === "waiting" && waits.push([name, error]));
        await clock.advance(60_000);
        const errors = waits.filter(([whose]) => whose === name).map(([, error]) => error);
        assert.ok(errors.length >= 3 && errors.length < 30, `${name}: ${errors.length}`);
        assert.ok(errors.every(({ code, retryable }) => code === "auth" && retryable));
        if (name !== "hangs") assert.equal(errors[0].cause.message, "no session");
        client.close();
      }
      await settle();
      assert.equal(server.opens.length, 0);
      assert.equal(clock.timers, 0);
    }));

  test(`B23 it is told "rejected" after a 401 over ${way}`, () =>
    inWorld(async ({ clock, server, connect, settle }) => {
      const asked = [];
      server.refusal = (path, token) => (token === "good" ? null : { status: 401, message: "who are you" });
      const token = ({ rejected }) => (asked.push(rejected), rejected ? "good" : "stale");
      const signal = connect({ ...options, token }).signal("/Msg");
      await settle();
      assert.equal(signal.state, "waiting");
      await clock.advance(1000);
      assert.deepEqual([signal.state, asked], ["open", [false, true]]);
      server.kill();
      await clock.advance(8000);
      assert.equal(asked[2], false, "the good one was not rejected");
    }));
}

test("B23 a 401 of the POST is noticed: a fresh token, and the message goes once", () =>
  inWorld(async ({ clock, server, open }) => {
    let valid = "a";
    server.refusal = (path, token) => (token === valid ? null : { status: 401, message: "expired" });
    const token = ({ rejected }) => (rejected ? "b" : "a");
    const { signal } = await open("/Msg", { ...WAYS.sse, token });
    valid = "b";
    const answer = signal.send("hello");
    await clock.advance(3000);
    assert.match((await answer).id, /-/);
    assert.deepEqual(server.published.map(({ data }) => data), ["hello"]);
    assert.equal(signal.hello.recovered, true);
  }));

test("B22 the callback learns that nobody waits any more", () =>
  inWorld(async ({ connect, settle }) => {
    const { calls, token } = makeDesk();
    const client = connect({ token });
    client.signal("/Msg");
    await settle();
    client.close();
    assert.ok(calls[0].signal.aborted);
  }));

test("B23 no token is a token, too: null opens without one", () =>
  inWorld(async ({ server, open }) => {
    const { signal } = await open("/Msg", { token: () => null });
    assert.deepEqual([signal.state, server.opens[0].token], ["open", undefined]);
  }));
