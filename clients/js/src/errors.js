// What can go wrong, and whether trying again makes sense.

/** See index.d.ts. `retryMs` is what the server asked for; `isBlocked`: HTTP passes, but this transport does not. */
export class SignalboxError extends Error {
  constructor(code, message, more) {
    super(message);
    Object.assign(this, { name: "SignalboxError", code, retryable: false }, more);
  }
}

/** The connection broke, or never came about. */
export const networkError = (message, more) =>
  new SignalboxError("network", message, { retryable: true, ...more });

// After these a connection comes back; after any other code it was ended on purpose, or would only end again.
const PASSING = /^(10(0[156]|1[1-5])|400[2-4])$/;

/** The end of a connection by a close code. A `closed` frame says itself whether to come back. */
export function closeError({ type, code, reason, retryMs }) {
  const retryable = type === "closed" ? retryMs !== undefined : PASSING.test(code);
  return new SignalboxError(retryable ? "network" : "closed", reason || `closed with ${code}`,
    { closeCode: code, retryable, retryMs });
}

/** An answer of HTTP, or what a frame says one would have been. */
export function statusError({ status, message, retryMs }) {
  const code = { 401: "auth", 413: "too_large" }[status] ?? "refused";
  const retryable = retryMs !== undefined || [408, 409, 429].includes(status) || status > 500;
  return new SignalboxError(code, message || `status ${status}`, { status, retryable, retryMs });
}

/** A fetched answer that is not the one that was hoped for. */
export async function answerError(answer) {
  const seconds = parseFloat(answer.headers.get("Retry-After"));
  const text = await answer.text();
  const retryMs = seconds >= 0 ? seconds * 1000 : undefined;
  return statusError({ status: answer.status, message: text.trim(), retryMs });
}
