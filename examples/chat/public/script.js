// What the page says and shows. The connection is the library's: it comes back by itself, and with
// what was missed.
import { connect } from "/signalbox-client.js";

const REPLACED = 4001; // another connection has our id: both would take it from each other for ever

const form = document.getElementById("bc-form");
const input = form.elements.message;
const messages = document.getElementById("messages");
const state = document.getElementById("state");
const who = document.getElementById("who");
const newest = document.getElementById("newest");

// A chat comes back whatever it was closed with, unless it was replaced.
function retry({ error }) {
  const wasClosed = error.closeCode !== undefined && !error.retryable;
  return wasClosed && error.closeCode !== REPLACED ? 500 + Math.random() * 1000 : undefined;
}

const client = connect(location.origin, { retry });
let room = join();

function join(resume) {
  const signal = client.signal("/msg", { resume });
  signal.on("message", ({ data }) => append(data));
  signal.on("gap", () => note("Something that was said meanwhile is not shown here."));
  signal.on("state", showState);
  signal.on("open", ({ clientId }) => {
    const way = client.transport === "sse" ? "an event stream" : "a WebSocket";
    who.textContent = `You are ${clientId.slice(0, 8)}, at ${location.host} over ${way}.`;
  });
  return signal;
}

// -- the state, and the time until the next attempt

let countdown = 0;

function show(name, text) {
  state.dataset.state = name;
  state.textContent = text;
}

function showState({ state: now, error, retryInMs }) {
  clearInterval(countdown);
  if (now === "open") {
    show("open", "connected");
  } else if (now === "connecting") {
    show("connecting", "connecting");
  } else if (error?.closeCode === REPLACED) {
    show("replaced", "open elsewhere");
  } else {
    const at = Date.now() + (retryInMs ?? NaN);
    const tell = () => {
      const seconds = Math.ceil((at - Date.now()) / 1000);
      const reason = error ? `disconnected: ${error.message}` : "disconnected";
      show("closed", seconds > 0 ? `${reason}; again in ${seconds} s` : reason);
    };
    tell();
    if (retryInMs !== undefined) countdown = setInterval(tell, 1000);
  }
}

// -- the messages: the newest one is in view, unless somebody has scrolled up to read

const isAtEnd = () => messages.scrollHeight - messages.scrollTop - messages.clientHeight < 40;

function showNewest() {
  messages.scrollTop = messages.scrollHeight;
  newest.hidden = true;
}

function add(text, kind) {
  const wasAtEnd = isAtEnd();
  const line = document.createElement(kind);
  line.textContent = text; // never read as HTML
  messages.append(line);
  if (wasAtEnd) showNewest();
  else newest.hidden = false;
}

// A text is shown as it is, anything else as its JSON.
const append = (data) => add(typeof data === "string" ? data : JSON.stringify(data), "p");
const note = (text) => add(text, "aside");

newest.addEventListener("click", showNewest);
messages.addEventListener("scroll", () => {
  if (isAtEnd()) newest.hidden = true;
});
new ResizeObserver(() => newest.hidden && showNewest()).observe(messages);

// -- saying something

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = input.value;
  input.value = "";
  input.focus();
  if (text === "") return;
  if (room.state === "closed") room = join(room.resume); // whoever writes here wants to be here
  showNewest();
  try {
    await room.send(text);
  } catch (error) {
    note(`Not sent: ${text} (${error.message})`);
  }
});
