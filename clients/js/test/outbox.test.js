// B25: the list of what is not acknowledged, against a model, with random sends, breaks, refusals and waits.
import assert from "node:assert/strict";
import { test } from "node:test";
import { onAbort } from "../src/emitter.js";
import { SignalboxError } from "../src/errors.js";
import { makeOutbox } from "../src/outbox.js";
import { Clock, settle } from "./fake/clock.js";

const STORIES = 150;
const STEPS = 120;
const LONGEST_WAY_MS = 80_000; // then the server has given up a connection that does not answer its pings
const LIMITS = { idSeconds: 300, idCount: 8, maxMessageBytes: 400 };

/** Numbers from a seed, so that a story can be told again. */
function dice(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** What the server does: it handles in the order of arrival, knows the latest ids of each client, and forgets them in time. */
class Model {
  published = []; // ids, in order
  isBusy = false;
  delayed = new Set(); // ids that were refused for now: those on their way with them may come first
  #answers = new Map(); // client → Map of id → {frame, untilMs}

  handle(client, { ref, id }) {
    if (!this.#answers.has(client)) this.#answers.set(client, new Map());
    const answers = this.#answers.get(client);
    const known = answers.get(id);
    if (known && known.untilMs > Date.now()) return { ...known.frame, ref };
    if (this.isBusy) this.delayed.add(id);
    if (this.isBusy) return { type: "error", ref, status: 429, code: "busy", retryMs: 200 };
    const frame = id.startsWith("bad") ? { type: "error", status: 403, message: "level" } : { type: "ack", id: `m-${id}` };
    if (frame.type === "ack") this.published.push(id);
    answers.set(id, { frame, untilMs: Date.now() + LIMITS.idSeconds * 1000 });
    if (answers.size > LIMITS.idCount) answers.delete(answers.keys().next().value);
    return { ...frame, ref };
  }
}

async function tell(seed, clock) {
  const roll = dice(seed);
  const model = new Model();
  const sends = []; // {id, stop, outcome}
  let link, hello;
  let client = 0;
  const outbox = makeOutbox({ messages: 40, bytes: 8000, ageMs: 600_000 }, () => link && outbox.send(link, hello));

  const connect = () => {
    if (link) return;
    if (roll(8) === 0) client++; // the identity could not be kept
    const onTheWay = []; // to the server
    link = { window: roll(4) ? Infinity : 1, isFull: false, writable: () => !link?.isFull, onTheWay, send: (head) => onTheWay.push({ ...head, atMs: Date.now() }), answers: [] };
    hello = { clientId: `client-${client}`, name: "Msg" };
    outbox.greet(hello, LIMITS);
    outbox.send(link, hello);
  };
  const lose = () => {
    link = undefined;
    outbox.lost();
  };
  const arrive = (count) => {
    for (const head of link?.onTheWay.splice(0, count) ?? []) {
      if (Date.now() - head.atMs > LONGEST_WAY_MS) return lose();
      link.answers.push(model.handle(hello.clientId, head));
    }
  };
  const answer = (count) => {
    const { answers } = link ?? { answers: [] };
    for (const frame of answers.splice(0, count)) {
      outbox.answer(frame);
      if (link) outbox.send(link, hello);
    }
  };
  const cut = () => {
    if (!link) return;
    if (roll(2)) arrive(Infinity); // what was on its way still arrives, or not; what it leads to is told to nobody
    lose();
  };
  const send = () => {
    const id = `${roll(10) ? "ok" : "bad"}-${sends.length}`;
    const entry = { id, stop: new AbortController() };
    const { signal } = entry.stop;
    const body = JSON.stringify({ message: "x".repeat(roll(25) ? roll(100) : 500) });
    sends.push(entry);
    const settled = (kind) => (value) => (entry.outcome = { kind, value });
    try {
      outbox.add(body, id, (fail) => onAbort(signal, () => fail(new SignalboxError("aborted", "aborted")))).then(settled("done"), settled("failed"));
    } catch (error) {
      settled("failed")(error);
    }
  };
  const steps = [send, send, send, connect, () => arrive(1 + roll(4)), () => answer(1 + roll(4)), cut,
    () => (model.isBusy = !model.isBusy), () => link && (link.isFull = !link.isFull), () => sends.length && sends[roll(sends.length)].stop.abort(),
    () => clock.advance(roll(500)), () => roll(12) === 0 && clock.advance(roll(400_000)), () => roll(12) === 0 && clock.sleep(roll(400_000))];

  for (let step = 0; step < STEPS; step++) await steps[roll(steps.length)]();

  // The world gets well: everything that may still go goes.
  model.isBusy = false;
  for (let round = 0; outbox.length() > 0; round++) {
    assert.ok(round < 200, "it comes to an end");
    connect();
    link.isFull = false;
    await clock.advance(300);
    arrive(Infinity);
    answer(Infinity);
  }
  await settle();

  const order = sends.map(({ id }) => id);
  const { published, delayed } = model;
  const inOrder = (id) => !delayed.has(id);
  assert.equal(new Set(published).size, published.length, "nothing is published twice");
  assert.deepEqual(published.filter(inOrder), order.filter((id) => inOrder(id) && published.includes(id)), "in the order of the sends");
  for (const { id, outcome } of sends) {
    assert.ok(outcome, `${id} has an outcome`);
    const { kind, value } = outcome;
    const isThere = published.includes(id);
    if (kind === "done") assert.ok(isThere && value.id === `m-${id}`, id);
    else if (!["unknown_outcome", "aborted"].includes(value.code)) assert.ok(!isThere, `${id}: ${value.code}`);
  }
}

test(`B25 the outgoing list against a model: ${STORIES} stories`, async () => {
  const clock = new Clock();
  clock.install();
  try {
    for (let seed = 1; seed <= STORIES; seed++) {
      try {
        await tell(seed, clock);
      } catch (error) {
        error.message = `seed ${seed}: ${error.message}`;
        throw error;
      }
      assert.equal(clock.timers, 0, `seed ${seed}: a timer is left`);
    }
  } finally {
    clock.uninstall();
  }
});
