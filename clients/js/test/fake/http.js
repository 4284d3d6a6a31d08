// The HTTP of a FakeServer: event streams, posts, and what a GET is told where a WebSocket is wanted.
export function fakeFetch(server) {
  return async function fetch(url, { method = "GET", headers = {}, body, signal } = {}) {
    const { pathname, searchParams: query } = new URL(url);
    server.requests.push({ method, url, headers, body });
    if (signal?.aborted) throw signal.reason;
    if (server.isDown) throw new TypeError("fetch failed");
    if (server.isMute) return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const token = headers.Authorization?.replace("Bearer ", "");
    if (method === "POST") return post(server, pathname, headers, body, token);
    if (headers.Accept !== "text/event-stream") return plainGet(server, pathname, token ?? query.get("access_token"));
    return stream(server, { path: pathname, resume: query.get("signalbox-resume") ?? undefined, token }, signal);
  };
}

function answer(status, text = "", headers = {}) {
  return new Response(status === 204 ? null : text, { status, headers });
}

function refuse({ status, message = "refused", retryMs }) {
  return answer(status, message + "\n", retryMs === undefined ? {} : { "Retry-After": String(retryMs / 1000) });
}

function plainGet(server, path, token) {
  if (path === server.multiplex) return answer(426, "this is for WebSockets\n");
  if (path.startsWith("/.")) return answer(404, "no such route\n");
  const refused = server.refusal(path, token ?? undefined);
  return refused ? refuse(refused) : answer(412, "a WebSocket is wanted\n");
}

function stream(server, request, signal) {
  let controller;
  const body = new ReadableStream({ start: (made) => void (controller = made) });
  const write = (text) => controller?.enqueue(new TextEncoder().encode(text));
  const carrier = {
    kind: "sse",
    say(frame) {
      const id = frame.id === undefined ? "" : `id: ${frame.id}\n`;
      write(`${frame.type === "message" ? "" : `event: ${frame.type}\n`}${id}data: ${JSON.stringify(frame)}\n\n`);
    },
    end() {
      server.leave(session);
      controller?.close();
      controller = undefined;
    },
  };
  const session = server.open(carrier, request);
  if (session.refused) return refuse(session.refused);
  signal.addEventListener("abort", () => {
    server.leave(session);
    controller?.error(signal.reason);
    controller = undefined;
  });
  if (!server.swallows) session.greet();
  return new Response(body, { status: 200, headers: { "Content-Type": "text/event-stream" } });
}

async function post(server, path, headers, body, token) {
  const clientId = decodeURIComponent(headers["X-PODE-SIGNAL-CLIENT-ID"]);
  const name = decodeURIComponent(headers["X-PODE-SIGNAL-NAME"]);
  const refused = server.refusal(path, token);
  if (refused) return refuse(refused);
  const session = [...server.sessions].find((one) => one.clientId === clientId && one.name === name);
  if (!session) return answer(404, "no such connection\n");
  const frame = server.take(session, { ...JSON.parse(body), id: JSON.parse(headers["Idempotency-Key"]) });
  if (server.holdsAcks) throw new TypeError("the connection broke");
  if (frame.type === "error") return refuse(frame);
  return answer(202, JSON.stringify({ id: frame.id }), { "Content-Type": "application/json" });
}
