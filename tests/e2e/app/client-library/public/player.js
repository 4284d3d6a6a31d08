// One user of the library, for a test: what it was told, and what became of what it sent. In Node: player_node.mjs.
export function play(connect, url, path, options) {
  const client = connect(url, { backoffMs: [50, 500], ...options });
  const signal = client.signal(path);
  const record = { heard: [], replayed: [], gaps: [], opens: [], errors: [], answers: {} };
  signal.on("message", ({ id, data, replayed }) => {
    record.heard.push([id, data]);
    record.replayed.push(replayed);
  });
  signal.on("gap", (gap) => record.gaps.push(gap));
  signal.on("open", ({ clientId, recovered }) => record.opens.push([clientId, recovered]));
  signal.on("state", ({ error }) => error && record.errors.push([error.code, error.status ?? null, error.message]));
  return {
    send(text) {
      signal.send(text, { path: "Room" }).then(
        ({ id }) => (record.answers[text] = id),
        ({ code }) => (record.answers[text] = code),
      );
    },
    report: () => ({ ...record, state: signal.state, transport: client.transport, pending: signal.pending }),
    close: () => client.close(),
  };
}
