// Handlers of named events. It needs no Event and no EventTarget, which not every platform has.

/** Runs `run` when `signal` aborts, or now if it has; returns what undoes that. */
export function onAbort(signal, run) {
  if (signal?.aborted) run();
  else signal?.addEventListener("abort", run);
  return () => signal?.removeEventListener("abort", run);
}

/** `report` is given what a handler throws, or what its promise rejects with. */
export function makeEmitter(report) {
  const handlers = new Set(); // of {type, run, off}
  return {
    on(type, run, { signal } = {}) {
      let forget;
      const off = () => {
        handlers.delete(handler);
        forget?.();
      };
      const handler = { type, run, off };
      handlers.add(handler);
      forget = onAbort(signal, off);
      return off;
    },
    emit(type, event) {
      for (const handler of [...handlers]) {
        if (handler.type !== type || !handlers.has(handler)) continue; // an earlier one may have removed it
        try {
          handler.run(event)?.catch?.(report);
        } catch (error) {
          report(error);
        }
      }
    },
    clear() {
      for (const { off } of handlers) off();
    },
  };
}
