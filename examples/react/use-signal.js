// A signal for a React component: useSignal("/msg", { onMessage, onGap }).
// One client serves the whole application; a component has its signal while it is mounted.
import { useCallback, useEffect, useRef, useState } from "react";
import { connect } from "signalbox-client";

const client = typeof window === "undefined" ? undefined : connect(window.location.origin);

export function useSignal(path, { onMessage, onGap } = {}) {
  const [state, setState] = useState({ state: "connecting" });
  const [last, setLast] = useState();
  const signal = useRef();
  const handlers = useRef({});
  handlers.current = { onMessage, onGap }; // the latest, without another connection

  useEffect(() => {
    const mine = client.signal(path);
    signal.current = mine;
    mine.on("state", setState);
    mine.on("gap", (gap) => handlers.current.onGap?.(gap));
    mine.on("message", (message) => {
      setLast(message);
      handlers.current.onMessage?.(message);
    });
    return () => void mine.close(); // strict mode mounts twice at once: still one connection
  }, [path]);

  const send = useCallback((data, options) => signal.current.send(data, options), []);
  return { ...state, last, send };
}
