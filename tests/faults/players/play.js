// What a player in JavaScript does (see ../promises.py), in Node and in a browser: clients of clients/js that say and hear.

const OPTIONS = {
  channel: { transports: ["websocket"] },
  ws: { transports: ["websocket"], multiplex: false },
  sse: { transports: ["sse"] },
};
const WINDOW = 20; // said and not answered

/**
 * config: {url, rate, connectMs, clients: [{key, transport, path, names}]}. note(line) writes one down. `more`: options of connect().
 * Returns hush(), which resolves when every message has its answer, and end().
 */
export function play({ connect }, { url, rate, clients, connectMs }, note, more = {}) {
  const common = { connectMs, heartbeatMs: 3000, backoffMs: [50, 400], log, ...more };
  const connections = {}; // of each transport one, for all its signals
  const timers = new Set();
  let waiting = 0;
  let isTalking = true;
  let quiet;

  function log(event, { error }) {
    if (error) note({ c: "log", k: "trouble", what: `${event}: ${error.stack}` });
  }

  function later(ms, run) {
    const timer = setTimeout(() => {
      timers.delete(timer);
      run();
    }, ms);
    timers.add(timer);
  }

  function settled() {
    if (--waiting === 0) quiet?.();
  }

  function start({ key, transport, path, names }) {
    const client = (connections[transport] ??= connect(url, { ...common, ...OPTIONS[transport] }));
    const signal = client.signal(path);
    let count = 0;
    let unanswered = 0;

    signal.on("open", ({ name, recovered }) => note({ c: key, k: "open", name, recovered, id: signal.position }));
    signal.on("gap", () => note({ c: key, k: "gap" }));
    signal.on("message", ({ id, data }) => note({ c: key, k: "message", id, uid: data.uid }));
    signal.on("state", ({ state, error }) => {
      if (state === "closed" && error) note({ c: key, k: "trouble", what: `ended: ${error.code} ${error.message}` });
    });

    async function say() {
      const name = names[count % names.length];
      const uid = `${key}:${count++}`;
      waiting++;
      unanswered++;
      note({ c: key, k: "said", uid, name });
      try {
        const { id } = await signal.send({ uid }, { path: name, id: uid });
        note({ c: key, k: "acked", uid, id });
      } catch (error) {
        note({ c: key, k: "failed", uid, code: error.code ?? String(error) });
      }
      unanswered--;
      settled();
    }

    function talk() {
      if (!isTalking) return;
      if (unanswered < WINDOW) say();
      later(((0.5 + Math.random()) * 1000) / rate, talk);
    }
    talk();
  }

  for (const each of clients) start(each);

  return {
    async hush() {
      isTalking = false;
      if (waiting > 0) await new Promise((resolve) => (quiet = resolve));
    },
    async end() {
      for (const timer of timers) clearTimeout(timer);
      for (const client of Object.values(connections)) await client.close();
    },
  };
}
