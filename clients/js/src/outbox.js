// What was sent and is not yet answered, in the one order in which it goes out: again after a reconnect, and before what
// came later. The server knows a message again by its id, but only for a time, only so many of them, and only from the
// same client: what it may have forgotten is never sent twice.
import { SignalboxError, networkError, statusError } from "./errors.js";

const HEAD_BYTES = 80; // at least what goes around a message, but for its id
const AGAIN_MS = 1000; // after a refusal for now
const FULL_MS = 100; // until a full socket is looked at again

const tooLarge = () => statusError({ status: 413, message: "too large" });
const unknown = (cause) =>
  new SignalboxError("unknown_outcome", "not acknowledged", { cause });

/** `bounds`: {messages, bytes, ageMs}. `flush` is called when there may be something to send. */
export function makeOutbox({ messages, bytes: mostBytes, ageMs }, flush) {
  const limits = { idSeconds: 300, idCount: 128, maxMessageBytes: Infinity }; // until a hello says otherwise
  const entries = [];
  let waitingBytes = 0;
  let lastRef = 0;
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

  function expire(entry, ms, error) {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      fail(entry, error);
      flush();
    }, ms);
  }

  function wait(ms) {
    pause ??= setTimeout(() => {
      pause = undefined;
      flush();
    }, ms);
  }

  const senderOf = ({ clientId, name }) => JSON.stringify([clientId, name]);

  return {
    length: () => entries.length,

    /** `body`: the message's JSON. `watch(fail)` may call fail(error) later, and returns what undoes that. Resolves with {id}. */
    add(body, id, watch) {
      const bytes = new TextEncoder().encode(body).length + id.length + HEAD_BYTES;
      if (!/^[ -~]{1,128}$/.test(id)) throw statusError({ status: 400, message: "not an id" });
      if (bytes > limits.maxMessageBytes) throw tooLarge();
      if (entries.length >= messages || waitingBytes + bytes > mostBytes) {
        throw new SignalboxError("full", "the queue is full", { retryable: true });
      }
      return new Promise((resolve, reject) => {
        const entry = { ref: ++lastRef, id, body, bytes, resolve, reject };
        entries.push(entry);
        waitingBytes += bytes;
        expire(entry, ageMs, networkError("not sent in time"));
        entry.forget = watch((error) => fail(entry, error));
        flush();
      });
    },

    /** A connection begins. What another client has sent, or too long ago, must not go again. */
    greet(hello, newLimits) {
      Object.assign(limits, newLimits);
      for (const entry of [...entries]) {
        const isForeign = entry.sender && entry.sender !== senderOf(hello);
        if (isForeign || Date.now() >= entry.untilMs) fail(entry, unknown());
        else if (entry.bytes > limits.maxMessageBytes) fail(entry, tooLarge());
      }
    },

    /** Hands on what may go now. */
    send(link, hello) {
      const window = Math.min(link.window, limits.idCount);
      for (const entry of pause ? [] : [...entries]) {
        if (entry.isOut) continue;
        if (entry.ref - entries[0].ref >= window) return;
        if (!link.writable()) return wait(FULL_MS);
        entry.isOut = true;
        if (!entry.sender) {
          const ms = limits.idSeconds * 700; // the server must still know it when a last copy arrives
          entry.sender = senderOf(hello);
          entry.untilMs = Date.now() + ms;
          expire(entry, ms, unknown());
        }
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
        entry.isOut = false;
        wait(retryMs ?? AGAIN_MS);
      } else if (error) fail(entry, error);
      else {
        remove(entry);
        entry.resolve({ id });
      }
    },

    /** The connection is over: all of it goes again over the next one. */
    lost() {
      for (const entry of entries) entry.isOut = false;
      clearTimeout(pause);
      pause = undefined;
    },

    /** There will be no other connection. What was sent may have been published. */
    fail(error) {
      for (const entry of [...entries]) fail(entry, entry.sender ? unknown(error) : error);
    },
  };
}
