// One Signal connection as its user sees it: an identity that outlives whatever carries it. Read dial, take, lost.
import { makeEmitter, onAbort } from "./emitter.js";
import { SignalboxError, closeError } from "./errors.js";
import { makeOutbox } from "./outbox.js";

const STABLE_MS = 10000; // a connection that lasted so long was a good one

const aborted = ({ reason }) => new SignalboxError("aborted", "aborted", { cause: reason });

function newId() {
  const random = () => Math.random().toString(36).slice(2);
  return globalThis.crypto?.randomUUID?.() ?? random() + random(); // a page without TLS has no randomUUID
}

/** Nobody has to look at the promise; whoever does is told as always. */
function handled(promise) {
  promise.catch(() => {});
  return promise;
}

/** Returns {signal}, which is its user's, and the verbs by which its client moves it. `changed(event)`: it is in another state. */
export function makeSignal(carrier, path, resumed, changed) {
  const { queue } = carrier.env;
  const events = makeEmitter(carrier.report);
  const outbox = makeOutbox(queue, flush);
  let state = "connecting";
  let failure; // what ended it; undefined after close()
  let turn; // of the latest dial: what an earlier one still waits for is void
  let link, timer, openedAt;
  let attempt = 0;
  let isShared = false; // what it waits for is a socket that others wait for, too
  let hasGhost = false; // it gave up a dial that may still reach the server, and then takes the place of a later one
  let isPaused = false; // this program did not run for a while: its machine slept, or its page was put aside
  let hello;
  let [position, token] = resumed?.split("~").reverse() ?? [];
  let caughtUp; // the position when the replay ends, if it brings nothing
  let isReplay;

  // -- the life of a connection

  async function dial() {
    const mine = (turn = {});
    const ifStill = (run) => (given) => mine === turn && run(given);
    clearTimeout(timer);
    set("connecting");
    try {
      const bearer = await carrier.token();
      if (mine !== turn) return;
      const request = { path, resume: resumption(), token: bearer };
      link = carrier.open(request, { frame: ifStill(take), end: ifStill(lost) });
    } catch (error) {
      ifStill(lost)(error);
    }
  }

  const by = {
    hello: greet,
    message: deliver,
    position: ({ id }) => move(id),
    ack: outbox.answer,
    error: outbox.answer,
    closed: (frame) => lost(closeError(frame)),
    live() {
      move(caughtUp);
      isReplay = false;
    },
  };

  function take(frame) {
    by[frame.type]?.(frame);
    flush();
  }

  function greet({ clientId, name, groups, data, recovered, replay = false, resume, id, limits }) {
    const isMissing = hello ? !recovered : recovered === false;
    const after = position;
    const isNew = recovered == null; // nothing was to be resumed
    hello = { clientId, name, groups, data, recovered };
    token = resume;
    isReplay = replay;
    openedAt = Date.now();
    if (isNew) move(id);
    caughtUp = id;
    outbox.greet(hello, limits);
    set("open");
    events.emit("open", hello);
    if (isMissing) events.emit("gap", { after, cause: isNew ? "restart" : isPaused ? "paused" : "history" });
    isPaused = false;
  }

  function deliver({ id, name, data, binary }) {
    move(id); // before a handler runs: what has come is never asked for again
    const value = binary ? Uint8Array.from(atob(data), (char) => char.charCodeAt(0)) : data;
    events.emit("message", { id, name, data: value, replayed: isReplay });
  }

  function move(id) {
    position = id ?? position;
    caughtUp = undefined;
  }

  function lost(error) {
    if (Date.now() - openedAt > STABLE_MS) attempt = 0;
    drop();
    isShared = error.isShared;
    if (error.closeCode === 4001) [error.retryable, hasGhost] = [hasGhost, false];
    const retryInMs = carrier.wait(error, ++attempt);
    if (retryInMs === false) return end(error);
    if (retryInMs === 0) return dial(); // another way, at once
    timer = setTimeout(dial, retryInMs);
    set("waiting", { error, retryInMs });
  }

  function drop() {
    turn = undefined;
    clearTimeout(timer);
    isPaused ||= link?.isStale();
    if (link && !openedAt) hasGhost = true;
    link?.close();
    link = openedAt = undefined;
    outbox.lost();
  }

  function end(error) {
    if (state === "closed") return;
    failure = error;
    drop();
    set("closed", { error });
    outbox.fail(closed());
    events.clear();
  }

  function set(next, detail) {
    if (next === state) return;
    state = next;
    const event = { state, ...detail };
    events.emit("state", event);
    changed(event);
  }

  function flush() {
    if (state === "open") outbox.send(link, hello);
  }

  const resumption = () => (token ? `${token}~${position}` : position);
  const closed = () => failure ?? new SignalboxError("closed", "closed");

  // -- what its user sees

  const on = events.on;

  function ready({ signal: stop } = {}) {
    return handled(
      new Promise((resolve, reject) => {
        const undo = [];
        const look = () => {
          if (state === "open") resolve(hello);
          else if (state === "closed") reject(closed());
          else if (stop?.aborted) reject(aborted(stop));
          else return;
          for (const each of undo) each();
        };
        undo.push(on("state", look), onAbort(stop, look));
        look();
      }),
    );
  }

  async function add(data, { id = newId(), signal: stop, path, group, clientId, direct } = {}) {
    if (state === "closed") throw closed();
    const body = JSON.stringify({ message: data ?? null, path, group, clientId, direct });
    return outbox.add(body, id, (fail) => onAbort(stop, () => fail(aborted(stop))));
  }

  async function* iterate() {
    const waiting = [];
    let isFull = false;
    let wake;
    const undo = [
      on("message", (message) => {
        isFull ||= waiting.length >= queue.messages;
        if (!isFull) waiting.push(message);
        wake?.();
      }),
      on("state", () => wake?.()),
    ];
    try {
      for (;;) {
        if (waiting.length > 0) yield waiting.shift();
        else if (isFull) throw new SignalboxError("full", "not taken in time");
        else if (failure) throw failure;
        else if (state === "closed") return;
        else await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      for (const each of undo) each();
    }
  }

  const signal = {
    get state() {
      return state;
    },
    get hello() {
      return hello;
    },
    get position() {
      return position;
    },
    get resume() {
      return resumption();
    },
    get pending() {
      return outbox.length();
    },
    on,
    ready,
    send: (data, options) => handled(add(data, options)),
    close: async () => end(),
    [Symbol.asyncIterator]: iterate,
  };

  dial();
  return {
    signal,
    end: () => end(),
    /** The page is about to be kept or thrown away: no connection, until wake(). */
    pause() {
      drop();
      isPaused = true;
      set("waiting");
    },
    wake() {
      if (state === "waiting") dial();
      else link?.check();
    },
    /** A shared socket is dialled: whoever waits for one goes along. */
    join() {
      if (state === "waiting" && isShared) dial();
    },
  };
}
