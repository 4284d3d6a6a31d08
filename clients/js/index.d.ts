export type State = "idle" | "connecting" | "open" | "waiting" | "closed";
export type Transport = "websocket" | "sse";
/** Undoes what returned it. */
export type Off = () => void;
export interface Stop {
  signal?: AbortSignal;
}

export class SignalboxError extends Error {
  readonly code:
    | "closed" | "auth" | "refused" | "full" | "too_large" | "unknown_outcome" | "aborted" | "network" | (string & {});
  /** What HTTP said, or would have said. */
  readonly status?: number;
  readonly closeCode?: number;
  /** Whether the same may succeed later. */
  readonly retryable: boolean;
  readonly cause?: unknown;
}

export interface Options extends Stop {
  /** Asked for each attempt. `rejected`: the server did not take the last one. `signal` aborts when nobody waits any more. */
  token?(why: { rejected: boolean; signal: AbortSignal }): string | null | undefined | Promise<string | null | undefined>;
  /** In the order in which they are tried. Default: ["websocket", "sse"]. */
  transports?: readonly Transport[];
  /** The server's path for many signals on one WebSocket, or false for a WebSocket each. Default: "/.signalbox". */
  multiplex?: string | false;
  WebSocket?: new (url: string, protocols?: string[]) => WebSocketLike;
  fetch?: typeof fetch;
  /** Milliseconds to wait, false to give up, undefined for what the library would do. `attempt` begins with 1. */
  retry?(what: { error: SignalboxError; attempt: number; serverHintMs?: number }): number | false | undefined;
  /** The wait before attempt n is random between 0 and [0] * 2 ** (n - 1), at most [1]. Default: [1000, 30000]. */
  backoffMs?: readonly [least: number, most: number];
  /** For the greeting of a connection, or a token. Default: 10,000. */
  connectMs?: number;
  /** A connection on which nothing comes for so long is doubted. Default: as the server promises, and five seconds. */
  heartbeatMs?: number;
  /** What waits to be sent, or acknowledged, of each signal. Defaults: 1,000 messages, 4 MiB, ten minutes. */
  queue?: { messages?: number; bytes?: number; ageMs?: number };
  /** Told of errors in handlers. Default: console.error. */
  log?(event: string, detail: { error?: unknown }): void;
}

/** As much of a WebSocket as is used. */
export interface WebSocketLike {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  readonly bufferedAmount?: number;
  send(text: string): void;
  close(): void;
}

export interface StateEvent {
  state: State;
  error?: SignalboxError;
  retryInMs?: number;
}

export interface Hello {
  clientId: string;
  name: string;
  groups: string[];
  /** What the server keeps with the connection. */
  data?: unknown;
  /** null: there was nothing to resume. false: something is missing, and a gap event says so. */
  recovered: boolean | null;
}

export interface Message<T = unknown> {
  /** null on a Local connection. */
  id: string | null;
  name: string;
  data: T | Uint8Array;
  /** It was sent before this connection began. */
  replayed: boolean;
}

export interface Gap {
  /** The last position before it. */
  after?: string;
  /**
   * history: more was missed than the server keeps. restart: the connection began anew, because there is nothing to resume
   * it from. paused: this program did not run for too long (its machine slept, its page was put aside).
   */
  cause: "history" | "restart" | "paused";
}

export interface Events<T = unknown> {
  open: Hello;
  message: Message<T>;
  gap: Gap;
  state: StateEvent;
}

export interface SendOptions extends Stop {
  path?: string;
  group?: string | string[];
  clientId?: string | string[];
  direct?: boolean;
  /** Its own id, by which the server knows it again: 1 to 128 printable ASCII characters. Default: random. */
  id?: string;
}

export interface Signal<T = unknown> extends AsyncIterable<Message<T>> {
  readonly state: State;
  readonly hello?: Hello;
  /** The id of the last message, or a later position of the Name. */
  readonly position?: string;
  /** What another page, or this one after a reload, needs to go on from here as the same client. */
  readonly resume?: string;
  /** How many sends have no answer yet. */
  readonly pending: number;
  on<K extends keyof Events<T>>(type: K, run: (event: Events<T>[K]) => unknown, stop?: Stop): Off;
  /** Resolves when it is open; rejects when it is closed before. */
  ready(stop?: Stop): Promise<Hello>;
  /** Resolves when the message was published, with its id (null if there was nothing to publish here). */
  send(data: unknown, options?: SendOptions): Promise<{ id: string | null }>;
  close(): Promise<void>;
}

export interface Client {
  readonly state: State;
  readonly transport?: Transport;
  signal<T = unknown>(path: string, options?: { resume?: string } & Stop): Signal<T>;
  on(type: "state", run: (event: StateEvent) => unknown, stop?: Stop): Off;
  /** There is reason to dial now, or to doubt what is open: an app came to the foreground. */
  wake(): void;
  close(): Promise<void>;
}

export declare function connect(url: string | URL, options?: Options): Client;
