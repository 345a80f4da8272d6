// Fanfare's JavaScript client: an ES module without dependencies or a build step, for browsers and
// for Node from 22 on. It speaks fanfare.v1, reconnects by itself, joins its rooms again from where
// it was, and tells what it could not get back. The types, and what each option and callback means,
// are in fanfare.d.ts.
//
//   const client = new Fanfare("wss://example.org/ws", { token });
//   const room = client.join("chat", { onMessage: (m) => console.log(m.from, m.data) });
//   const { offset } = await room.publish({ text: "hi" });
//
// Style: callbacks, given once. They are called one at a time, never from inside the call that
// makes them possible (new Fanfare, join); what one throws is reported as an uncaught error.
//
// State: exactly one of connecting → open → waiting → connecting …, and closed, where it stays until
// reconnect(). #life goes up whenever a connection is given up, so that nothing of an old one is
// heard. A request is sent or refused at once and never queued: nothing here grows while offline.
//
// It is one file on purpose: one request in a browser, one file to copy.

const SUBPROTOCOL = "fanfare.v1";
const POLICY_VIOLATION = 1008; // RFC 6455 §7.4.1: here, no or no valid credential
const SERVICE_RESTART = 1012; // the instance is leaving
const MAX_TIMEOUT = 2 ** 31 - 1; // ms: a longer setTimeout would fire at once
const MAX_BUFFERED = 1 << 20; // bytes waiting in the WebSocket above which a request is refused

/** @type {Required<import("./fanfare.js").Options>} */
const defaults = {
  token: undefined, getToken: undefined,
  onState: undefined, onWelcome: undefined, onDirect: undefined, onDrain: undefined, onError: undefined,
  minDelay: 500, maxDelay: 20_000, stableAfter: 10_000, connectTimeout: 10_000, pongTimeout: 5_000,
  WebSocket: undefined, random: Math.random,
  clock: {
    now: () => Date.now(),
    setTimeout: (fn, ms) => setTimeout(fn, ms),
    clearTimeout: (id) => clearTimeout(id),
  },
};

/** Why a request failed: the server's code, or `disconnected` or `busy` from the client itself. */
export class FanfareError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "FanfareError";
    this.code = code;
  }
}

/** One connection to a gateway, kept up. See fanfare.d.ts. */
export class Fanfare {
  #url; #options; #clock; #token;
  #ws = null;
  #life = 0;
  #state = "connecting"; #reason = ""; #welcome = null;
  #rooms = new Map(); // name → Room: what is to be joined
  #pending = new Map(); // id → done(err, answer), called once and synchronously
  #nextId = 1;
  #timers = new Map(); // name → timer id; all of them die with the connection
  #attempt = 0; // failed connections in a row
  #refused = false; // the token was refused and no welcome came since
  #openedAt = null; #heardAt = 0; #drainAt = null; // on #clock, ms

  constructor(url, options = {}) {
    this.#options = { ...defaults, WebSocket: globalThis.WebSocket, ...options };
    if (typeof this.#options.WebSocket !== "function") throw new TypeError("no WebSocket here: give options.WebSocket");
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace(/^http/, "ws");
    if (!/^wss?:$/.test(this.#url.protocol)) throw new TypeError(`not a WebSocket URL: ${url}`);
    this.#clock = this.#options.clock;
    this.#token = this.#options.token;
    const life = this.#life;
    queueMicrotask(() => life === this.#life && this.#connect());
  }

  get state() { return this.#state; }
  get reason() { return this.#reason; }
  get welcome() { return this.#welcome; }

  join(name, callbacks = {}) {
    if (this.#rooms.has(name)) throw new Error(`already in room ${JSON.stringify(name)}`);
    const room = new Room(this, name, callbacks);
    this.#rooms.set(name, room);
    if (this.#state === "open") this.#join(room);
    return room;
  }

  async leave(name) {
    const room = this.#rooms.get(name);
    if (!room) return;
    this.#rooms.delete(name);
    this.#disarm(`join ${name}`);
    room._left();
    // Whatever the answer: this side has left, and a lost connection has left every room.
    if (this.#state === "open") await this.#ask({ type: "leave", room: name }).catch(() => {});
  }

  publish(name, data, { echo, key } = {}) {
    return new Promise((resolve, reject) => {
      this.#request({ type: "publish", room: name, data, echo, key }, (err, ack) => {
        if (err) return reject(err);
        if (echo === false) this.#rooms.get(name)?._passed(ack.offset);
        resolve({ offset: ack.offset });
      });
    });
  }

  async send(user, data) {
    const ack = await this.#ask({ type: "send", user, data });
    return { instances: ack.instances };
  }

  reconnect() {
    this.#attempt = 0;
    this.#refused = false;
    this.#release(1000, "reconnecting");
    this.#connect();
  }

  close() {
    this.#release(1000, "closed by the application");
    this.#setState("closed", { code: 1000, reason: "closed by the application" });
  }

  // ---- the connection

  async #connect() {
    const life = ++this.#life;
    this.#arm("watch", this.#options.connectTimeout, () => this.#lost(0, "no welcome in time"));
    this.#setState("connecting");
    try {
      const { getToken } = this.#options;
      if (getToken && (this.#token === undefined || expiresIn(this.#token, this.#clock.now()) < 10_000)) {
        const token = await getToken();
        if (life !== this.#life) return;
        this.#token = token;
      }
      if (life !== this.#life) return;
      const url = new URL(this.#url);
      if (this.#token !== undefined) url.searchParams.set("token", this.#token);
      const ws = new this.#options.WebSocket(url.href, [SUBPROTOCOL]);
      this.#ws = ws;
      ws.onmessage = (event) => life === this.#life && this.#receive(event.data);
      ws.onclose = (event) => life === this.#life && this.#lost(event.code, event.reason);
      ws.onerror = () => {}; // close follows, and says more
    } catch (err) {
      if (life === this.#life) this.#lost(0, err?.message ?? String(err));
    }
  }

  // Gives the connection up: nothing of it is heard any more, and who waits for an answer is told.
  #release(code, reason) {
    this.#life++;
    for (const name of [...this.#timers.keys()]) this.#disarm(name);
    const ws = this.#ws;
    this.#ws = this.#welcome = this.#openedAt = this.#drainAt = null;
    try { ws?.close(code); } catch { /* closed already */ }
    for (const room of this.#rooms.values()) room._detached();
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const done of waiting) done(new FanfareError("disconnected", reason));
  }

  #lost(code, reason) {
    const now = this.#clock.now();
    const drainAt = this.#drainAt;
    if (this.#openedAt !== null && now - this.#openedAt >= this.#options.stableAfter) this.#attempt = 0;
    this.#release(1000, "the connection went before the answer");
    if (code === POLICY_VIOLATION) {
      if (!this.#options.getToken || this.#refused) return this.#setState("closed", { code, reason });
      this.#refused = true;
      this.#token = undefined;
    }
    const retryMs = drainAt !== null ? Math.max(0, drainAt - now) : this.#backoff(this.#attempt++);
    this.#arm("retry", retryMs, () => this.#connect());
    this.#setState("waiting", { code, reason, retryMs });
  }

  // Full jitter: evenly between nothing and a limit that doubles, so that clients that were lost
  // together do not come back together.
  #backoff(attempt) {
    const { minDelay, maxDelay, random } = this.#options;
    return Math.floor(random() * Math.min(maxDelay, minDelay * 2 ** Math.min(attempt, 30)));
  }

  #opened(welcome) {
    const { socket, instance, user, ping } = welcome;
    this.#welcome = Object.freeze({ socket, instance, user, ping });
    this.#openedAt = this.#clock.now();
    this.#refused = false;
    this.#watch();
    this.#planAuth();
    const life = this.#life;
    this.#setState("open");
    if (life === this.#life) call(this.#options.onWelcome, this.#welcome);
    for (const room of this.#rooms.values()) if (life === this.#life) this.#join(room);
  }

  // A browser does not show the server's WebSocket pings: after 2.5 of its intervals without a
  // message this side asks, and a connection that does not answer is dead.
  #watch() {
    const limit = 2500 * (this.#welcome.ping > 0 ? this.#welcome.ping : 30);
    const asked = this.#clock.now();
    const quiet = asked - this.#heardAt;
    if (quiet < limit) return this.#arm("watch", limit - quiet, () => this.#watch());
    this.#ws.send('{"type":"ping"}');
    this.#arm("watch", this.#options.pongTimeout, () =>
      this.#heardAt >= asked ? this.#watch() : this.#lost(0, "the server does not answer"));
  }

  // Sends a fresh token before the old one expires, if the old one says when. Should it fail, the
  // server ends the socket (1008) and the next connection asks for a token again.
  #planAuth() {
    const left = expiresIn(this.#token, this.#clock.now());
    if (!this.#options.getToken || left === Infinity) return;
    this.#arm("auth", Math.max(5000, left - Math.min(60_000, left / 2)), async () => {
      const life = this.#life;
      const token = await this.#options.getToken();
      if (life !== this.#life) return;
      this.#token = token;
      await this.#ask({ type: "auth", token });
      if (life === this.#life) this.#planAuth();
    });
  }

  // ---- commands and what comes back

  #receive(text) {
    let m;
    try { m = JSON.parse(text); } catch { return; }
    if (m === null || typeof m !== "object") return;
    this.#heardAt = this.#clock.now();
    switch (m.type) {
      case "welcome": return this.#opened(m);
      case "message": return this.#rooms.get(m.room)?._message(m);
      case "gap": return this.#rooms.get(m.room)?._gap(m);
      case "direct": return call(this.#options.onDirect, { from: m.from, ...content(m) });
      case "joined": case "left": case "ack": return this.#answer(m.id, null, m);
      case "error": return this.#answer(m.id, new FanfareError(m.code, m.message));
      case "drain": {
        const retryMs = m.retry_ms >= 0 ? m.retry_ms : this.#backoff(0);
        this.#drainAt = this.#clock.now() + retryMs;
        this.#arm("drain", retryMs, () => this.#lost(SERVICE_RESTART, "the instance is leaving"));
        return call(this.#options.onDrain, { retryMs });
      }
    }
  }

  #answer(id, err, answer) {
    const done = this.#pending.get(id);
    this.#pending.delete(id);
    if (done) done(err, answer);
    else if (err) call(this.#options.onError, err);
  }

  #request(command, done) {
    if (this.#state !== "open") return done(new FanfareError("disconnected", "not connected"));
    if (this.#ws.bufferedAmount > MAX_BUFFERED) return done(new FanfareError("busy", "too much is waiting to be sent"));
    const id = this.#nextId++;
    const text = JSON.stringify({ ...command, id });
    this.#pending.set(id, done);
    this.#ws.send(text);
  }

  #ask(command) {
    return new Promise((resolve, reject) =>
      this.#request(command, (err, answer) => (err ? reject(err) : resolve(answer))));
  }

  #join(room) {
    const command = room._joinCommand();
    this.#request(command, (err, joined) => {
      if (!err) return room._joined(joined, command.since);
      if (err.code === "disconnected" || room.state === "left") return; // joined again with the next connection
      if (["unavailable", "rate_limited", "internal", "busy"].includes(err.code)) {
        this.#arm(`join ${room.name}`, this.#backoff(room._attempt++), () => this.#join(room));
      }
      room._failed(err);
    });
  }

  // ---- helpers

  #setState(state, { code, reason = "", retryMs } = {}) {
    this.#state = state;
    this.#reason = reason;
    call(this.#options.onState, { state, code, reason, retryMs });
  }

  #arm(name, ms, fn) {
    this.#disarm(name);
    this.#timers.set(name, this.#clock.setTimeout(async () => {
      this.#timers.delete(name);
      try { await fn(); } catch (err) { call(this.#options.onError, err); }
    }, Math.min(ms, MAX_TIMEOUT)));
  }

  #disarm(name) {
    this.#clock.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

/** A room that the client is in or wants to be in. Methods with _ are Fanfare's own. */
export class Room {
  #client; #on; #epoch; #offset;

  constructor(client, name, callbacks) {
    this.#client = client;
    this.#on = callbacks;
    this.name = name;
    this.state = "joining";
    this._attempt = 0;
    ({ epoch: this.#epoch, offset: this.#offset } = callbacks.since ?? {});
  }

  /** Where this room is: messages up to here were seen. Undefined while not known. */
  get position() {
    return this.#epoch === undefined || this.#offset === undefined ? undefined : { epoch: this.#epoch, offset: this.#offset };
  }

  publish(data, options) { return this.#client.publish(this.name, data, options); }
  leave() { return this.state === "left" ? Promise.resolve() : this.#client.leave(this.name); }

  _joinCommand() {
    const since = this.position;
    return { type: "join", room: this.name, since, last: since ? undefined : this.#on.last };
  }

  _joined({ epoch, offset, recovered }, since) {
    if (this.state === "left") return;
    this.state = "joined";
    this._attempt = 0;
    // Recovered: what was missed follows, so the position stays. Else it is the answer's, less
    // the recent messages that were asked for and follow.
    if (!(since && recovered === true)) {
      this.#epoch = epoch;
      this.#offset = offset === undefined ? undefined : Math.max(0, offset - (since ? 0 : this.#on.last ?? 0));
    }
    call(this.#on.onJoined, { epoch, offset, recovered: since ? recovered : undefined });
    if (since && recovered === false) call(this.#on.onGap, { epoch, offset });
  }

  _message(m) {
    if (this.state !== "joined") return;
    if (m.offset !== undefined) {
      if (m.offset <= this.#offset) return; // seen already
      this.#offset = m.offset;
    }
    call(this.#on.onMessage, { room: this.name, from: m.from, offset: m.offset, ...content(m) });
  }

  _gap({ epoch, offset }) {
    if (this.state !== "joined") return;
    // Missed is what is before this position: the message at it may yet come.
    if (offset !== undefined) this.#offset = Math.max(epoch === this.#epoch ? this.#offset ?? 0 : 0, offset - 1);
    this.#epoch = epoch;
    call(this.#on.onGap, { epoch, offset });
  }

  // An own message that does not come back: the position passes over it when it is the next.
  _passed(offset) { if (offset === this.#offset + 1) this.#offset = offset; }
  _detached() { this.state = "joining"; }
  _left() { this.state = "left"; }
  _failed(err) { this.state = "failed"; call(this.#on.onError, err); }
}

// data as it is, or, of a binary message, its bytes.
function content(m) {
  if (typeof m.data_base64 !== "string") return { data: m.data };
  return { bytes: Uint8Array.from(atob(m.data_base64), (c) => c.charCodeAt(0)) };
}

// Milliseconds until a JWT expires; Infinity when the token does not tell.
function expiresIn(token, now) {
  try {
    const claims = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    return typeof claims.exp === "number" ? claims.exp * 1000 - now : Infinity;
  } catch {
    return Infinity;
  }
}

// A callback's own error must not stop the client, nor be swallowed.
function call(fn, argument) {
  try { fn?.(argument); } catch (err) { queueMicrotask(() => { throw err; }); }
}
