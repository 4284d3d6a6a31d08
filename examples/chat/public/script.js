"use strict";

const form = document.getElementById("bc-form");
const input = form.elements.message;
const messages = document.getElementById("messages");
const state = document.getElementById("state");

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const REPLACED = 4001; // another connection has our id

let socket = null;
let failures = 0;
let retry = 0; // the timer of the next attempt
const unsent = []; // said while there was no connection

function show(name, text) {
  state.dataset.state = name;
  state.textContent = text;
}

// The page shows a message's text exactly as it came; it is never read as HTML.
function append(text) {
  const isAtEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 40;
  const line = document.createElement("p");
  line.textContent = text;
  messages.append(line);
  if (isAtEnd) {
    messages.scrollTop = messages.scrollHeight;
  }
}

function say(message) {
  if (socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ message }));
    return;
  }
  unsent.push(message);
  if (state.dataset.state === "replaced") {
    connect(); // whoever writes here wants to be here
  }
}

// Up to twice as long after each failure, at random: many windows do not all come back at once.
function reconnectLater() {
  const bound = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
  failures += 1;
  retry = setTimeout(connect, bound / 2 + Math.random() * (bound / 2));
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  show("connecting", "connecting");
  socket = new WebSocket(`${scheme}//${location.host}/msg`);

  socket.onopen = () => {
    failures = 0;
    show("open", "connected");
    unsent.splice(0).forEach(say);
  };
  socket.onmessage = (evt) => append(evt.data);
  socket.onclose = (evt) => {
    if (evt.code === REPLACED) {
      show("replaced", "open elsewhere");
      return; // both would take the id from each other for ever
    }
    show("closed", evt.reason ? `disconnected: ${evt.reason}` : "disconnected");
    reconnectLater();
  };
}

form.addEventListener("submit", (evt) => {
  evt.preventDefault();
  if (input.value !== "") {
    say(input.value);
    input.value = "";
  }
  input.focus();
});

// A page that the browser keeps for its back button has no connection meanwhile.
addEventListener("pagehide", () => {
  clearTimeout(retry);
  socket.onclose = null;
  socket.close();
  show("closed", "disconnected");
});
addEventListener("pageshow", (evt) => {
  if (evt.persisted) {
    connect();
  }
});

connect();
