// signalbox-client: README.md says how it is used, index.d.ts has its types. Read client.js, then signal.js.
export { connect } from "./client.js";
export { SignalboxError } from "./errors.js";
