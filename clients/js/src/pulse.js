// Whether the other side still lives, on a connection where something must come every so often.

const GRACE_MS = 5000;

/** `ask` sends a ping, where there is one; `lost` is called once, when nothing came for too long. */
export function startPulse(everyMs, ask, lost) {
  let seenAt = Date.now();
  let isAsked = false;
  let timer;

  const idleMs = () => Date.now() - seenAt;

  // So much time has passed unseen (a laptop slept, a tab was throttled) that nothing should be sent into it.
  const isStale = () => idleMs() > everyMs + 2 * GRACE_MS;

  function wait(ms) {
    clearTimeout(timer);
    timer = setTimeout(look, ms);
  }

  function look() {
    if (isAsked) lost();
    else if (idleMs() < everyMs) wait(everyMs - idleMs());
    else question();
  }

  // A timer that comes late proves nothing: what has arrived meanwhile gets its turn, and nothing is sent.
  function question() {
    isAsked = true;
    wait(GRACE_MS);
    if (!isStale()) ask?.();
  }

  wait(everyMs);
  return {
    isStale,
    stop: () => clearTimeout(timer),
    /** Something came. */
    beat() {
      seenAt = Date.now();
      isAsked = false;
    },
    /** There is reason to doubt. */
    check: () => (ask ? question() : look()),
  };
}
