// Many Signal connections on one WebSocket: each is a channel of it, and looks like a link of its own.
import { closeError, statusError } from "./errors.js";
import { openSocket } from "./socket.js";

/** `ended(error)` is called when the socket is over, before its channels learn of it; without an error if it was closed here. */
export function openChannels(env, url, ended) {
  // By key: the number that the server gave the channel, or -ref of its request while that is not answered.
  const channels = new Map();
  let most = 0; // channels that one socket may have; 0 before the welcome
  let lastRef = 0;

  const socket = openSocket(env, url, {
    frame(frame) {
      const { type, channel: number, ref } = frame;
      if (!most) return greet(frame);
      if (type === "hello") opened(number, -ref);
      const key = number ?? -ref;
      const channel = channels.get(key);
      if (number && type !== "closed") return channel?.on.frame(frame);

      // The channel is over, or was refused.
      if (channels.delete(key)) channel.on.end(number ? closeError(frame) : statusError(frame));
    },
    end(error) {
      const all = [...channels.values()];
      channels.clear();
      error.isShared = true;
      ended(error);
      for (const { on } of all) on.end(error);
    },
  });

  function greet({ type, limits }) {
    if (type !== "welcome") return socket.end(statusError({ status: 404 }));
    most = limits.maxChannels;
    for (const { request } of channels.values()) socket.send(request);
  }

  function opened(number, key) {
    const channel = channels.get(key);
    if (!channel) return socket.send({ type: "close", channel: number }); // given up while it was on its way
    channels.delete(key);
    channels.set((channel.key = number), channel);
  }

  function leave({ key }) {
    if (channels.delete(key) && most) {
      socket.send({ type: "close", ...(key > 0 ? { channel: key } : { ref: -key }) });
    }
  }

  function close() {
    socket.close();
    ended();
  }

  return {
    close,
    isFull: () => most > 0 && channels.size >= most,
    /** `request`: {path, resume, token}. `on`: as for a link. */
    open(request, on) {
      const ref = ++lastRef;
      const channel = { on, key: -ref, request: { type: "open", ref, ...request } };
      channels.set(-ref, channel);
      if (most) socket.send(channel.request);
      return {
        ...socket,
        close: () => leave(channel),
        send: (head, body) => socket.send({ channel: channel.key, ...head }, body),
      };
    },
  };
}
