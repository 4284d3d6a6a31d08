// Which transport carries the signals of a client, and when a lost one is tried again. Three ways: a channel of one
// shared WebSocket, a WebSocket for each signal where the server does not multiplex, an event stream for each signal
// where WebSockets do not pass.
import { openChannels } from "./channels.js";
import { onAbort } from "./emitter.js";
import { SignalboxError } from "./errors.js";
import { openSocket } from "./socket.js";
import { openStream } from "./stream.js";

const PATIENCE = 2; // so often, one after the other, a transport may fail although HTTP passes
const BACK_MS = 300000; // after so long on another way, the first is tried again
const LONGEST_MS = 2 ** 31 - 1; // of a timer

const CHANNEL = "channel";
const SOCKET = "websocket";
const STREAM = "sse";

function waysOf({ transports, multiplex, WebSocket, fetch }) {
  const sockets = multiplex ? [CHANNEL, SOCKET] : [SOCKET];
  const ways = transports.flatMap((transport) => {
    if (transport === STREAM) return fetch ? STREAM : [];
    return WebSocket ? sockets : [];
  });
  if (ways[0]) return ways;
  throw new SignalboxError("network", "neither WebSocket nor fetch: give one");
}

function withQuery(url, name, value) {
  return value === undefined ? url : `${url}${url.includes("?") ? "&" : "?"}${name}=${encodeURIComponent(value)}`;
}

/** `report` is given errors of the user's functions; `joins` is called when a shared socket is dialled. */
export function makeCarrier(env, report, joins) {
  const { base, multiplex, connectMs, retry, backoffMs } = env;
  const ways = waysOf(env);
  let way = 0;
  let leftAt; // when the first way was left
  let failures = 0;
  let round = 0; // of attempts: those that were begun before the last failure tell nothing new
  const sockets = new Set(); // with channels
  let isRejected = false; // the server did not take the last token
  let fetching;
  let fetchStop;

  function share() {
    for (const channels of sockets) if (!channels.isFull()) return channels;
    const begun = round;
    const channels = openChannels(env, String(new URL(multiplex, base)), (error) => {
      sockets.delete(channels);
      if (error) judge(error, begun);
    });
    sockets.add(channels);
    joins();
    return channels;
  }

  /** Decides by how a link ended which way to try next. */
  function judge(error, begun) {
    const { status, isBlocked } = error;
    const tried = ways[way];
    if (begun !== round) return error;
    if (tried === CHANNEL && (status < 400 || status === 404)) leave(error, way + 1);
    else if (!isBlocked) failures = 0;
    else {
      round++;
      const other = ways.findIndex((each) => (each === STREAM) !== (tried === STREAM));
      if (++failures >= PATIENCE && other >= 0) leave(error, other);
    }
    return error;
  }

  function leave(error, next) {
    way = next;
    round++;
    failures = 0;
    leftAt = Date.now();
    error.waitMs = 0;
  }

  async function fetchToken() {
    const stop = (fetchStop = new AbortController());
    const { signal } = stop;
    const stopped = new Promise((_, reject) => onAbort(signal, reject));
    const timer = setTimeout(() => stop.abort(), connectMs);
    try {
      const asked = (async () => env.token({ rejected: isRejected, signal }))();
      const token = await Promise.race([asked, stopped]);
      isRejected = false;
      return token ?? undefined;
    } catch (cause) {
      throw new SignalboxError("auth", "no token", { cause, retryable: true });
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    env,
    report,

    transport: () => (ways[way] === STREAM ? STREAM : SOCKET),

    /** A link for one signal. `request`: {path, resume, token}; `on`: as for a link. */
    open({ path, resume, token }, on) {
      if (way > 0 && Date.now() - leftAt > BACK_MS) {
        way = 0;
        failures = PATIENCE - 1;
      }
      const tried = ways[way];
      const url = String(new URL(path, base)).replace(/#.*/, "");
      if (tried === CHANNEL) return share().open({ path: url.replace(/^\w+:\/\/[^/]*/, ""), resume, token }, on);

      const begun = round;
      const judged = { frame: on.frame, end: (error) => on.end(judge(error, begun)) };
      const resuming = withQuery(url, "signalbox-resume", resume);
      if (tried === SOCKET) return openSocket(env, withQuery(resuming, "access_token", token), judged);
      return openStream(env, withQuery(resuming, "signalbox", "v1"), token, judged);
    },

    /** How long to wait after this error before the next attempt; false: there is none. */
    wait(error, attempt) {
      if (error.waitMs !== undefined) return error.waitMs; // it was decided, for all signals of a socket
      if (error.status === 401 && env.token) isRejected = error.retryable = true;
      let ms;
      try {
        ms = retry?.({ error, attempt, serverHintMs: error.retryMs });
      } catch (thrown) {
        report(thrown);
      }
      const [least, most] = backoffMs;
      const spreadMs = Math.random() * Math.min(most, least * 2 ** (attempt - 1));
      ms ??= error.retryable && (error.retryMs ?? 0) + spreadMs;
      return (error.waitMs = ms === false ? ms : Math.min(ms, LONGEST_MS));
    },

    /** The token for an attempt. There is one call for it at a time, whoever asks. */
    token() {
      if (env.token) fetching ??= fetchToken().finally(() => (fetching = undefined));
      return fetching;
    },

    close() {
      for (const channels of sockets) channels.close();
      fetchStop?.abort();
    },
  };
}
