// A clock that stands still until it is told to move: setTimeout, clearTimeout and Date.now of this process.
const real = { setTimeout, clearTimeout, now: Date.now, setImmediate };

/** Lets everything run that is due now: promises, streams, what they lead to. */
export async function settle() {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => real.setImmediate(resolve));
}

const BEAT_MS = 10_000;

export class Clock {
  nowMs = 1_800_000_000_000;
  onBeat; // called every ten seconds: what others do meanwhile. It is no timer of this process
  #beatAt = this.nowMs + BEAT_MS;
  #timers = new Map(); // id → {at, run}
  #lastId = 0;

  install() {
    globalThis.setTimeout = (run, ms = 0, ...args) => {
      // As in every platform, more than 31 bits means now.
      const wait = ms > 2 ** 31 - 1 || !(ms > 0) ? 0 : ms;
      this.#timers.set(++this.#lastId, { at: this.nowMs + wait, run: () => run(...args) });
      return this.#lastId;
    };
    globalThis.clearTimeout = (id) => void this.#timers.delete(id);
    Date.now = () => this.nowMs;
  }

  uninstall() {
    Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
    Date.now = real.now;
  }

  get timers() {
    return this.#timers.size;
  }

  /** Moves on by so much, timer by timer. */
  async advance(ms) {
    const end = this.nowMs + ms;
    await settle();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.nowMs = Math.max(this.nowMs, next.at);
      this.#timers.delete(next.id);
      next.run();
      await settle();
    }
    this.nowMs = end;
  }

  /** The machine sleeps: time passes, and timers come late. */
  sleep(ms) {
    this.nowMs += ms;
  }

  #next(end) {
    let found = this.#beatAt <= end ? { at: this.#beatAt, run: () => this.#beat() } : undefined;
    for (const [id, timer] of this.#timers) if (timer.at <= end && !(found?.at <= timer.at)) found = { id, ...timer };
    return found;
  }

  #beat() {
    this.#beatAt = this.nowMs + BEAT_MS;
    this.onBeat?.();
  }
}
