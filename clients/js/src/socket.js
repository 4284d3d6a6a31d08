// A WebSocket that speaks signalbox.v1.
import { answerError, closeError, networkError } from "./errors.js";
import { makeLink } from "./link.js";

const ENOUGH_BUFFERED = 1 << 20;
const WANTS_SOCKET = [412, 426]; // the answers to an ordinary GET where a WebSocket is welcome

export function openSocket(env, url, on) {
  const { WebSocket, fetch, connectMs } = env;
  const asking = new AbortController();
  let ws;
  try {
    ws = new WebSocket(url.replace(/^http/, "ws"), ["signalbox.v1"]);
  } catch (cause) {
    throw networkError("no WebSocket", { cause });
  }

  function drop() {
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
  }

  /** A browser does not say what a WebSocket was refused with. An ordinary GET is told. */
  async function askWhy() {
    drop();
    const timer = setTimeout(() => asking.abort(), connectMs);
    try {
      const answer = await fetch(url, { signal: asking.signal });
      const { status } = answer;
      const isWelcome = status < 400 || WANTS_SOCKET.includes(status);
      link.end(isWelcome ? networkError("no WebSocket", { status, isBlocked: true }) : await answerError(answer));
    } catch (cause) {
      link.end(networkError("no connection", { cause }));
    }
    clearTimeout(timer);
  }

  const link = makeLink(env, on, {
    ask: () => ws.send('{"type":"ping"}'),
    doubt: askWhy,
    hangUp() {
      asking.abort();
      drop();
    },
  });

  ws.onopen = link.opened;
  ws.onmessage = ({ data }) => link.take(data);
  ws.onerror = () => {}; // onclose follows
  ws.onclose = (event) => {
    if (link.isGreeted() || event.code !== 1006) link.end(closeError(event));
    else askWhy();
  };

  return {
    ...link,
    window: Infinity,
    writable: () => !(link.isStale() || ws.bufferedAmount > ENOUGH_BUFFERED),
    /** Sends an object; `body` is the JSON of another one, whose members come behind. */
    send: (head, body) => ws.send(JSON.stringify(head).slice(0, -1) + (body ? "," + body.slice(1) : "}")),
  };
}
