// An event stream (SSE) read with fetch, for what comes; a POST for each message that goes.
import { answerError, closeError, networkError } from "./errors.js";
import { makeLink } from "./link.js";

export function openStream(env, url, token, on) {
  const { fetch } = env;
  const abort = new AbortController();

  const link = makeLink(env, on, { hangUp: () => abort.abort() });

  function ask({ headers, ...rest }) {
    if (token) headers.Authorization = `Bearer ${token}`;
    return fetch(url, { ...rest, headers, cache: "no-store", signal: abort.signal });
  }

  async function read() {
    try {
      const answer = await ask({ headers: { Accept: "text/event-stream" } });
      if (!/^text.event-stream/.test(answer.headers.get("Content-Type"))) return link.end(await answerError(answer));
      link.opened();
      const reader = answer.body.getReader();
      const decoder = new TextDecoder();
      for (let text = ""; ; ) {
        const { done, value } = await reader.read();
        if (done) return link.end(closeError({ code: 1006 }));
        link.beat();
        const events = (text + decoder.decode(value, { stream: true })).split(/\r?\n\r?\n/);
        text = events.pop();
        for (const event of events) link.take(event.replace(/^(?!data:).*$|^data: ?/gm, ""));
      }
    } catch (cause) {
      link.end(networkError("no connection", { cause }));
    }
  }

  read();
  return {
    ...link,
    window: 1, // posts do not overtake each other
    writable: () => true,
    /** `hello` says who speaks. The answer becomes the frame that a WebSocket would have had. */
    async send({ ref, id }, body, { clientId, name }) {
      const headers = {
        "X-PODE-SIGNAL-CLIENT-ID": encodeURIComponent(clientId),
        "X-PODE-SIGNAL-NAME": encodeURIComponent(name),
        "Idempotency-Key": JSON.stringify(id),
      };
      try {
        const answer = await ask({ method: "POST", headers, body });
        if (answer.status === 202) return link.give({ type: "ack", ref, ...(await answer.json()) });
        const error = await answerError(answer);
        const { status, message, retryMs } = error;
        error.retryable = status === 404; // the stream is gone, and another one may come
        if (status === 401 || error.retryable) link.end(error);
        else link.give({ type: "error", ref, status, message, retryMs });
      } catch {
        link.give({ type: "error", ref, status: 503 });
      }
    },
  };
}
