// A clock, a server, and clients of it, for one test.
import { connect } from "../../src/index.js";
import { Clock, settle } from "./clock.js";
import { fakeFetch } from "./http.js";
import { FakeServer } from "./server.js";
import { fakeWebSocket } from "./sockets.js";

export const WAYS = {
  channel: {},
  websocket: { multiplex: false, transports: ["websocket"] },
  sse: { transports: ["sse"] },
};

export async function inWorld(run) {
  const clock = new Clock();
  const server = new FakeServer();
  const clients = [];
  clock.onBeat = () => server.beat();
  clock.install();
  const world = {
    clock,
    server,
    settle,
    /** A client of this world; `options` as for connect(). */
    connect(options = {}) {
      const client = connect("http://box.test/", { WebSocket: fakeWebSocket(server), fetch: fakeFetch(server), ...options });
      clients.push(client);
      return client;
    },
    /** A signal that is open, and everything that it was told since. */
    async open(path = "/Msg", options = {}) {
      const client = world.connect(options);
      const signal = client.signal(path);
      const heard = listen(signal);
      await settle();
      return { client, signal, heard };
    },
  };
  try {
    await run(world);
    for (const client of clients) client.close();
    await settle();
  } finally {
    clock.uninstall();
  }
}

/** Everything that a signal is told, as a list of [type, event]; and the data of its messages. */
export function listen(signal) {
  const events = [];
  for (const type of ["open", "message", "gap", "state"]) signal.on(type, (event) => events.push([type, event]));
  return {
    events,
    of: (type) => events.filter((each) => each[0] === type).map((each) => each[1]),
    get data() {
      return this.of("message").map(({ data }) => data);
    },
    get states() {
      return this.of("state").map(({ state }) => state);
    },
  };
}
