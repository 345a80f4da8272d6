// Types of fanfare.js, and what its options and callbacks mean.

/** Place of a message in its room's history. */
export interface Position {
  /** Names one life of the history; opaque. */
  epoch: string;
  /** Counts the messages of an epoch: 1, 2, 3 … */
  offset: number;
}

/** `connecting` → `open` → `waiting` (for the next try) → `connecting` …; `closed` is the end until `reconnect()`. */
export type State = "connecting" | "open" | "waiting" | "closed";

export interface StateEvent {
  state: State;
  /** Why, in `waiting` and `closed`: the server's words, or the client's own. */
  reason: string;
  /** The close code, in `waiting` and `closed`; 0: no connection, or a dead one. */
  code?: number;
  /** In `waiting`: milliseconds until the next try. */
  retryMs?: number;
}

/** The server's greeting. */
export interface Welcome {
  /** The server's name for this socket. */
  socket: string;
  /** The instance that serves it. */
  instance: string;
  /** Who the server takes this client for; empty when not known. */
  user: string;
  /** Seconds between the server's pings. */
  ping: number;
}

/** What was published: `data`, or `bytes` when it was binary. */
export interface Content<T = unknown> {
  data?: T;
  bytes?: Uint8Array;
}

export interface Message<T = unknown> extends Content<T> {
  room: string;
  /** The user who published it, where known. The server vouches for it. */
  from?: string;
  /** Absent in a room without history. */
  offset?: number;
}

export interface Direct<T = unknown> extends Content<T> {
  from?: string;
}

export interface Joined {
  epoch?: string;
  offset?: number;
  /**
   * After a rejoin: true: every missed message follows. False: they cannot be had, and `onGap` is
   * called. Undefined: a first join, or the server does not say, and something may be missing.
   */
  recovered?: boolean;
}

export interface RoomCallbacks<T = unknown> {
  /** In the order of offsets, each message once. */
  onMessage?(message: Message<T>): void;
  /** After each join, also those after a reconnect. */
  onJoined?(joined: Joined): void;
  /** Messages up to and including this position may have been missed: reload your state. */
  onGap?(gap: Partial<Position>): void;
  /**
   * The server refused the join. It is tried again by itself when the code is `unavailable`,
   * `rate_limited` or `internal`, and in any case with the next connection.
   */
  onError?(error: FanfareError): void;
  /** So many recent messages at the first join. */
  last?: number;
  /** Where to resume from at the first join, kept from an earlier `room.position`. */
  since?: Position;
}

export interface PublishOptions {
  /** false: not back to this client. */
  echo?: boolean;
  /** Makes it safe to publish again after a `disconnected`: what has the same key is there once. */
  key?: string;
}

export interface Ack {
  /** Where the message is in the room's history; absent in a room without. */
  offset?: number;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(id: unknown): void;
}

export interface Options {
  /** Credential, sent as the `token` parameter of the URL. */
  token?: string;
  /**
   * Gets a token: when there is none yet, when the server refused the last one (close code 1008),
   * and before one that says when it expires does so. Without it a refusal is the end.
   */
  getToken?(): string | Promise<string>;
  onState?(event: StateEvent): void;
  onWelcome?(welcome: Welcome): void;
  /** A message to this user. */
  onDirect?(direct: Direct): void;
  /** The instance is leaving; the client reconnects after `retryMs` by itself. */
  onDrain?(drain: { retryMs: number }): void;
  /** What belongs to no request: an error without an id, a token that could not be renewed. */
  onError?(error: Error): void;
  /** ms; the first retry comes within this time after a loss. Default 500. */
  minDelay?: number;
  /** ms; no retry waits longer. Default 20000. */
  maxDelay?: number;
  /** ms a connection must have lasted for the delays to begin anew. Default 10000. */
  stableAfter?: number;
  /** ms until the server's welcome. Default 10000. */
  connectTimeout?: number;
  /** ms until the answer to a ping. Default 5000. */
  pongTimeout?: number;
  /** Default: the global one. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocket;
  /** For tests. */
  clock?: Clock;
  /** For tests. */
  random?(): number;
}

/**
 * `code` is the server's (`bad_request`, `forbidden`, `unavailable`, `rate_limited`, `too_large`,
 * `not_member`, `internal`), or `disconnected` (not connected, or the connection went before the
 * answer: it may or may not have happened), or `busy` (1 MiB waits to be sent already).
 */
export class FanfareError extends Error {
  constructor(code: string, message: string);
  readonly code: string;
}

/** A connection to a gateway that is kept up. It begins to connect when it is made. */
export class Fanfare {
  /** `url` is ws:, wss:, http: or https:, in a browser also relative to the page. */
  constructor(url: string | URL, options?: Options);
  readonly state: State;
  readonly reason: string;
  /** Of the connection there is now, else null. */
  readonly welcome: Readonly<Welcome> | null;
  /** Joins a room, now or when connected, and again after each reconnect. Throws if already in it. */
  join<T = unknown>(room: string, callbacks?: RoomCallbacks<T>): Room<T>;
  /** Resolves when the server has answered, or at once when not connected. */
  leave(room: string): Promise<void>;
  /** Publishes to a room, joined or not. Rejects with a FanfareError; never queued while not connected. */
  publish(room: string, data: unknown, options?: PublishOptions): Promise<Ack>;
  /** Sends to every socket of a user. Resolves with the number of instances that had that user. */
  send(user: string, data: unknown): Promise<{ instances: number }>;
  /** Connects anew at once, also from `closed`. Rooms stay. */
  reconnect(): void;
  close(): void;
}

export class Room<T = unknown> {
  private constructor();
  readonly name: string;
  readonly state: "joining" | "joined" | "failed" | "left";
  /** Where to resume from; undefined while not known. */
  readonly position: Position | undefined;
  publish(data: unknown, options?: PublishOptions): Promise<Ack>;
  leave(): Promise<void>;
}
