// What was sent and is not yet answered, in the one order in which it goes out: again after a reconnect, and before what
// came later. The server knows a message again by its id, but only for a time, only so many of them, and only from the
// same client: what it may have forgotten is never sent twice.
import { SignalboxError, networkError, statusError } from "./errors.js";

const HEAD_BYTES = 80; // at least what goes around a message, but for its id
const AGAIN_MS = 500; // after a refusal for now, or until a full socket is looked at again
const ANSWER_MS = 15000; // an answer may be lost although the connection is not: then it goes again

const tooLarge = () => statusError({ status: 413, message: "too large" });

/** `bounds`: {messages, bytes, ageMs}. `flush` is called when there may be something to send. */
export function makeOutbox({ messages, bytes: mostBytes, ageMs }, flush) {
  const limits = { idSeconds: 300, idCount: 128, maxMessageBytes: Infinity }; // until a hello says otherwise
  const entries = [];
  let waitingBytes = 0;
  let lastRef = 0;
  let sender; // whom the server takes the present connection for
  let pause;

  function remove(entry) {
    clearTimeout(entry.timer);
    entry.forget?.();
    entries.splice(entries.indexOf(entry), 1);
    waitingBytes -= entry.bytes;
  }

  function fail(entry, error) {
    remove(entry);
    entry.reject(error);
  }

  /** What was sent may have been published. */
  function giveUp(entry, cause) {
    fail(entry, entry.sender ? new SignalboxError("unknown_outcome", "not acknowledged", { cause }) : cause);
  }

  function watch(entry) {
    entry.timer = setTimeout(
      () => {
        if (Date.now() < entry.untilMs) watch(entry);
        else giveUp(entry, networkError("no answer in time"));
        flush();
      },
      Math.min(ANSWER_MS, entry.untilMs - Date.now()),
    );
  }

  function wait(ms = AGAIN_MS) {
    pause ??= setTimeout(() => {
      pause = undefined;
      flush();
    }, ms);
  }

  return {
    length: () => entries.length,

    /** `body`: the message's JSON. `stop(fail)` may call fail(error) later, and returns what undoes that. Resolves with {id}. */
    add(body, id, stop) {
      const bytes = new TextEncoder().encode(body).length + id.length + HEAD_BYTES;
      if (!/^[ -~]{1,128}$/.test(id)) throw statusError({ status: 400, message: "not an id" });
      if (bytes > limits.maxMessageBytes) throw tooLarge();
      if (entries.length >= messages || waitingBytes + bytes > mostBytes) {
        throw new SignalboxError("full", "full", { retryable: true });
      }
      return new Promise((resolve, reject) => {
        const entry = { ref: ++lastRef, id, body, bytes, untilMs: Date.now() + ageMs, resolve, reject };
        entries.push(entry);
        waitingBytes += bytes;
        watch(entry);
        entry.forget = stop((error) => fail(entry, error));
        flush();
      });
    },

    /** A connection begins. What another client has sent, or too long ago, must not go again. */
    greet({ clientId, name }, newLimits) {
      Object.assign(limits, newLimits);
      sender = `${clientId}\n${name}`;
      for (const entry of [...entries]) {
        const isTooLate = entry.sender !== sender || Date.now() >= entry.untilMs;
        if (entry.sender && isTooLate) giveUp(entry);
        else if (entry.bytes > limits.maxMessageBytes) fail(entry, tooLarge());
      }
    },

    /** Hands on what may go now. */
    send(link, hello) {
      const window = Math.min(link.window, limits.idCount);
      for (const entry of pause ? [] : [...entries]) {
        if (Date.now() - entry.outAt < ANSWER_MS) continue;
        if (entry.ref - entries[0].ref >= window) return;
        if (!link.writable()) return wait();
        entry.outAt = Date.now();
        // Seven tenths: the server must still know it when a last copy arrives.
        if (!entry.sender) entry.untilMs = entry.outAt + limits.idSeconds * 700;
        entry.sender = sender;
        link.send({ ref: entry.ref, id: entry.id }, entry.body, hello);
      }
    },

    /** An ack or an error. */
    answer(frame) {
      const { type, ref, id, retryMs } = frame;
      const entry = entries.find((each) => each.ref === ref);
      if (!entry) return;
      const error = type === "error" && statusError(frame);
      if (error.retryable) {
        entry.outAt = 0;
        wait(retryMs);
      } else if (error) fail(entry, error);
      else {
        remove(entry);
        entry.resolve({ id });
      }
    },

    /** The connection is over: all of it goes again over the next one. */
    lost() {
      for (const entry of entries) entry.outAt = 0;
      clearTimeout(pause);
      pause = undefined;
    },

    /** There will be no other connection. */
    fail(error) {
      for (const entry of [...entries]) giveUp(entry, error);
    },
  };
}
