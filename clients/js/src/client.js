// The signals of one server: what they have in common, and what the page tells them.
import { makeCarrier } from "./carrier.js";
import { makeEmitter, onAbort } from "./emitter.js";
import { SignalboxError } from "./errors.js";
import { makeSignal } from "./signal.js";

const BY_RANK = ["open", "connecting", "waiting"]; // a client is in the first of these that one of its signals is in

/** The options with their defaults. Nothing of the platform is touched before this. */
function environment(url, options) {
  const { WebSocket, fetch } = globalThis;
  return {
    WebSocket,
    fetch,
    transports: ["websocket", "sse"],
    multiplex: "/.signalbox",
    backoffMs: [1000, 30000],
    connectMs: 10000,
    log: (event, { error }) => console.error(error),
    ...options,
    queue: { messages: 1000, bytes: 4 << 20, ageMs: 600000, ...options.queue },
    base: String(new URL(url)).replace(/^ws/, "http"),
  };
}

export function connect(url, options = {}) {
  const env = environment(url, options);
  const report = (error) => env.log("handler", { error });
  const events = makeEmitter(report);
  const signals = new Set(); // as makeSignal returns them
  const each = (verb) => [...signals].forEach((one) => one[verb]());
  const carrier = makeCarrier(env, report, () => each("join"));
  const undo = [];
  let state = "idle";

  function set(event) {
    if (event.state === state || state === "closed") return;
    state = event.state;
    events.emit("state", event);
  }

  /** An event of a signal, which may change what the client is in. */
  function show(event) {
    const states = [...signals].map(({ signal: { state: its } }) => its);
    const rank = BY_RANK.find((one) => states.includes(one)) ?? "idle";
    set(rank === event?.state ? event : { state: rank });
  }

  function signal(path, { resume, signal: stop } = {}) {
    if (state === "closed") throw new SignalboxError("closed", "closed");
    let forget;
    const made = makeSignal(carrier, path, resume, (event) => {
      if (event.state === "closed") {
        forget?.();
        signals.delete(made);
        queueMicrotask(() => signals.size === 0 && carrier.close()); // another one may come in the same go
      }
      show(event);
    });
    signals.add(made);
    show();
    forget = onAbort(stop, made.end);
    return made.signal;
  }

  const wake = () => each("wake");

  async function close() {
    for (const one of undo.splice(0)) one();
    each("end");
    carrier.close();
    set({ state: "closed" });
    events.clear();
  }

  function listen(target, type, run) {
    target?.addEventListener?.(type, run);
    undo.push(() => target?.removeEventListener?.(type, run));
  }

  // What a page is told about itself. A page that the browser keeps for its back button must have no connection, at once.
  listen(globalThis, "pagehide", () => {
    each("pause");
    carrier.close();
  });
  for (const type of ["pageshow", "online", "offline"]) listen(globalThis, type, wake);
  const { document } = globalThis;
  for (const type of ["visibilitychange", "resume"]) {
    listen(document, type, () => document.visibilityState !== "hidden" && wake());
  }
  undo.push(onAbort(env.signal, close));

  return {
    get state() {
      return state;
    },
    get transport() {
      return state === "open" ? carrier.transport() : undefined;
    },
    signal,
    on: events.on,
    wake,
    close,
  };
}
