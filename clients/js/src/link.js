// What carries frames: the common part of a WebSocket (socket.js) and an event stream (stream.js). A link has a deadline
// for its first frame, a pulse after it, and exactly one end; after that, and after close(), nothing comes from it.
import { networkError } from "./errors.js";
import { startPulse } from "./pulse.js";

const SLACK_MS = 5000;

/**
 * `on`: frame(object) for each frame, end(error) for an end that close() did not make. `hangUp` lets go of what is below.
 * Optional: `ask` sends a ping, `doubt` finds out why nothing answered, and ends it.
 */
export function makeLink({ heartbeatMs, connectMs }, on, { hangUp, ask, doubt }) {
  let isOpen = false; // the other side has answered
  let isOver = false;
  let isGreeted = false;
  let pulse;
  const deadline = setTimeout(() => {
    if (isOpen || !doubt) end(networkError("silent", { isBlocked: isOpen }));
    else doubt();
  }, connectMs);

  const beat = () => pulse?.beat();

  function give(frame) {
    if (!isOver) on.frame(frame);
  }

  function close() {
    isOver = true;
    clearTimeout(deadline);
    pulse?.stop();
    hangUp();
  }

  function end(error) {
    if (isOver) return;
    close();
    on.end(error);
  }

  function greet(limits) {
    isGreeted = true;
    clearTimeout(deadline);
    const everyMs = heartbeatMs ?? limits?.pingMs + SLACK_MS;
    if (everyMs) pulse = startPulse(everyMs, ask, () => end(networkError("silent")));
  }

  return {
    beat,
    give,
    close,
    end,
    /** A text that came. One that is no frame is ignored: if nothing better comes, the deadline decides. */
    take(text) {
      let frame;
      try {
        frame = JSON.parse(text);
      } catch {}
      if (!frame?.type || isOver) return;
      if (!isGreeted) greet(frame.limits);
      beat();
      on.frame(frame);
    },
    opened: () => (isOpen = true),
    check: () => pulse?.check(),
    isGreeted: () => isGreeted,
    isStale: () => pulse?.isStale(),
  };
}
