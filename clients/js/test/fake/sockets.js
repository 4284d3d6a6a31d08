// The WebSockets of a FakeServer: one for each signal, or one for many.
const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];

export function fakeWebSocket(server) {
  return class FakeWebSocket {
    readyState = CONNECTING;
    bufferedAmount = 0;
    onopen = null;
    onmessage = null;
    onclose = null;
    onerror = null;
    sent = [];
    isStalled = false; // what the server says waits, as on a network that drops packets
    #late = [];
    #channels = new Map();
    #lastChannel = 0;

    constructor(url, protocols) {
      this.url = new URL(url);
      this.protocols = protocols;
      server.sockets.push(this);
      if (!server.isMute) queueMicrotask(() => this.#accept());
    }

    send(text) {
      if (this.readyState === CONNECTING) throw new Error("InvalidStateError");
      this.sent.push(JSON.parse(text));
      if (this.readyState === OPEN && !this.isStalled) queueMicrotask(() => this.#take(JSON.parse(text)));
    }

    close() {
      if (this.readyState >= CLOSING) return;
      this.readyState = CLOSING;
      this.#left();
      queueMicrotask(() => this.#closed(1000, ""));
    }

    // -- the server's side

    serverEnd(code, reason) {
      if (this.readyState >= CLOSING) return;
      this.#left();
      queueMicrotask(() => this.#closed(code, reason));
    }

    say(frame) {
      queueMicrotask(() => {
        if (this.isStalled) this.#late.push(frame);
        else if (this.readyState === OPEN) this.onmessage?.({ type: "message", data: JSON.stringify(frame) });
      });
    }

    unstall() {
      this.isStalled = false;
      for (const frame of this.#late.splice(0)) this.say(frame);
    }

    #accept() {
      if (this.readyState !== CONNECTING) return;
      const path = this.url.pathname;
      const isShared = path === server.multiplex;
      const { searchParams: query } = this.url;
      const isKnown = isShared || !path.startsWith("/.");
      const request = { path, resume: query.get("signalbox-resume") ?? undefined, token: query.get("access_token") ?? undefined };
      const carrier = { kind: "websocket", say: (frame) => this.say(frame), end: (code, reason) => this.serverEnd(code, reason) };
      if (server.isDown || !server.passesSockets || !isKnown) return this.#refuse();
      const session = isShared ? undefined : !server.swallows && server.open(carrier, request);
      if (session?.refused) return this.#refuse();
      this.readyState = OPEN;
      this.onopen?.({ type: "open" });
      if (server.swallows) return;
      if (isShared) this.say({ type: "welcome", limits: { ...server.limits, maxChannels: server.maxChannels }, features: ["resume", "last", "token", "groups"] });
      else this.#channels.set(undefined, session), session.greet();
      this.isShared = isShared;
    }

    #refuse() {
      this.onerror?.({ type: "error" });
      this.#closed(1006, "");
    }

    #take(frame) {
      if (this.readyState !== OPEN) return;
      if (frame.type === "ping") return this.say({ type: "pong" });
      if (frame.type === "open") return this.#openChannel(frame);
      if (frame.type === "close") return this.#closeChannel(frame);
      const session = this.#channels.get(frame.channel);
      if (!session) return;
      const answer = server.take(session, frame);
      if (!server.holdsAcks) session.say(answer);
    }

    #openChannel({ ref, ...request }) {
      const channel = ++this.#lastChannel;
      const carrier = {
        kind: "channel",
        helloWith: { ref },
        say: (frame) => this.say({ channel, ...frame }),
        end: () => this.#channels.delete(channel),
      };
      if (this.#channels.size >= server.maxChannels) {
        return this.say({ type: "error", ref, code: "refused", status: 429, message: "no more channels on this socket" });
      }
      const session = server.open(carrier, request);
      if (session.refused) return this.say({ type: "error", ref, code: "refused", ...session.refused });
      this.#channels.set(channel, session);
      session.greet();
    }

    #closeChannel({ channel }) {
      const session = this.#channels.get(channel);
      if (!session) return;
      server.leave(session);
      this.#channels.delete(channel);
      this.say({ channel, type: "closed", code: 1000, reason: "" });
    }

    #left() {
      for (const session of this.#channels.values()) server.leave(session);
      this.#channels.clear();
    }

    #closed(code, reason) {
      if (this.readyState === CLOSED) return;
      this.readyState = CLOSED;
      this.onclose?.({ type: "close", code, reason, wasClean: code !== 1006 });
    }
  };
}
