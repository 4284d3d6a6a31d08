// A Signalbox fleet in one object: Names with their histories, identities, the ids of sent messages, and the frames of
// signalbox.v1. What carries them is beside it: sockets.js and http.js.
export const LIMITS = {
  maxMessageBytes: 4096, pingMs: 15000, historySeconds: 120, idSeconds: 300, idCount: 128,
};

export class FakeServer {
  limits = { ...LIMITS };
  multiplex = "/.signalbox";
  maxChannels = 1000; // of a socket
  sockets = []; // every WebSocket that was ever made, in order
  requests = []; // every fetch: {method, url, headers, body}
  sessions = new Set();
  published = []; // {id, name, data, by, own}: everything that was published, in order
  opens = []; // {path, resume, token, carrier}: every attempt to make a Signal connection
  // What goes wrong; each may be changed by a test at any time.
  isDown = false; // nothing answers at all
  passesSockets = true; // whether a WebSocket passes the proxy
  swallows = false; // upgrades succeed, and then nothing comes
  cutsAfterHello = false; // the connection breaks before the replay
  isSilent = false; // event streams, which cannot be asked, say no sign of life
  holdsAcks = false; // messages are handled, and nobody is told
  refusal = () => null; // (path, token) → {status, message, retryMs} or null
  errorFor = () => null; // (message) → {code, status, message, retryMs} or null
  isLocal = () => false; // (path)
  #histories = new Map(); // name → [{id, data, ...}]
  #lastId = 0;
  #lastClient = 0;
  #identities = new Map(); // token → {clientId, name}
  #answers = new Map(); // clientId + name → Map of own id → frame

  // -- Names

  nextId() {
    return `${Date.now()}-${++this.#lastId}`;
  }

  history(name) {
    if (!this.#histories.has(name)) this.#histories.set(name, []);
    return this.#histories.get(name);
  }

  /** Publishes to everybody of the Name. */
  publish(name, data, more = {}) {
    const message = { id: this.nextId(), name, data, ...more };
    this.history(name).push(message);
    for (const session of this.sessions) if (session.name === name && session.isLive) session.say({ type: "message", ...message });
    return message.id;
  }

  /** Forgets what a Name has had so far, as if it had been too long ago. */
  forget(name) {
    this.#histories.set(name, []);
    this.#lastId += 1;
    this.forgotten = (this.forgotten ?? new Map()).set(name, this.#lastId);
  }

  forgetTokens() {
    this.#identities.clear();
  }

  /** Signs of life on event streams, as often as the limits promise. */
  beat() {
    if (this.isSilent) return;
    for (const { carrier, isLive, say } of this.sessions) if (carrier.kind === "sse" && isLive) say({ type: "pong" });
  }

  // -- Signal connections

  /** `carrier`: {kind, say(frame), end(code, reason)}. Returns a session, or {refused}. */
  open(carrier, { path, resume, token }) {
    this.opens.push({ path, resume, token, carrier: carrier.kind });
    const refused = this.refusal(path, token);
    if (refused) return { refused };
    const name = path.split("?")[0].slice(1);
    const isLocal = this.isLocal(path);
    const [position, given] = resume?.split("~").reverse() ?? [];
    const known = this.#identities.get(given);
    const session = {
      carrier, path, name, isLive: false,
      clientId: known?.name === name ? known.clientId : `client-${++this.#lastClient}`,
      say: (frame) => carrier.say(frame),
    };
    this.sessions.add(session);
    const newToken = `token-${this.#lastClient}-${this.opens.length}`;
    if (!isLocal) this.#identities.set(newToken, session);
    session.greet = () => this.#greet(session, position, isLocal ? undefined : newToken, carrier.helloWith);
    return session;
  }

  #greet(session, position, token, helloWith = {}) {
    const history = this.history(session.name);
    const after = (id) => Number(id.split("-")[1]);
    const isKnown = position !== undefined && after(position) >= (this.forgotten?.get(session.name) ?? 0);
    const missed = position === undefined ? [] : history.filter(({ id }) => after(id) > after(position));
    session.say({
      type: "hello", ...helloWith, clientId: session.clientId, name: session.name, group: null, groups: [],
      id: token ? `${Date.now()}-${this.#lastId}` : null, recovered: position === undefined ? null : isKnown,
      ...(position !== undefined && { replay: true }), resume: token, limits: this.limits,
    });
    if (this.cutsAfterHello) return this.kill();
    for (const message of missed) session.say({ type: "message", ...message });
    if (position !== undefined) session.say({ type: "live" });
    session.isLive = true;
  }

  leave(session) {
    this.sessions.delete(session);
  }

  /** A message of a client. Returns the frame that answers it. */
  take(session, { ref, id, message, path }) {
    const key = `${session.clientId} ${session.name}`;
    if (!this.#answers.has(key)) this.#answers.set(key, new Map());
    const answers = this.#answers.get(key);
    if (id !== undefined && answers.has(id)) return { ...answers.get(id), ref };
    const refused = this.errorFor({ id, message });
    const answer = refused ? { type: "error", ...refused } : { type: "ack", id: this.publish(path ?? session.name, message) };
    if (!refused) this.published.push({ name: path ?? session.name, data: message, own: id, by: session.clientId });
    if (answer.status === 429 || answer.status === 503) return { ...answer, ref };
    answers.set(id, answer);
    if (answers.size > this.limits.idCount) answers.delete(answers.keys().next().value);
    setTimeout(() => answers.delete(id), this.limits.idSeconds * 1000);
    return { ...answer, ref };
  }

  /** The gateway is killed: every connection breaks. */
  kill() {
    for (const session of [...this.sessions]) session.carrier.end(1006, "");
    for (const socket of this.sockets) socket.serverEnd(1006, "");
    this.sessions.clear();
  }

  /** One or all Signal connections are ended with a `closed` frame. */
  close(code, reason, retryMs, which = () => true) {
    for (const session of [...this.sessions].filter(which)) {
      session.say({ type: "closed", code, reason, retryMs });
      this.leave(session);
      session.carrier.end(code, reason);
    }
  }
}
