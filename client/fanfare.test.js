// Tests of fanfare.js against a WebSocket and a clock that the test holds in its hand.
// Run: node --test client/fanfare.test.js

import assert from "node:assert/strict";
import { test } from "node:test";
import { Fanfare, FanfareError } from "./fanfare.js";

class Clock {
  time = 1_000_000;
  timers = new Map();
  next = 1;
  now = () => this.time;
  setTimeout = (fn, ms) => (this.timers.set(this.next, { at: this.time + ms, fn }), this.next++);
  clearTimeout = (id) => this.timers.delete(id);

  // Lets ms pass, running timers when they are due, each with the promises it settles.
  async pass(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].fn();
      await settle();
    }
    this.time = end;
    await settle();
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

// A client with everything injected. sockets are the connections it made, the newest last; each
// has sent (commands, parsed), say(message) and drop(code, reason) as the server would do it.
async function start(t, options = {}) {
  const clock = new Clock();
  const sockets = [], states = [], random = { value: 1 };
  class FakeWebSocket {
    bufferedAmount = 0;
    sent = [];
    constructor(url, protocols) { Object.assign(this, { url: new URL(url), protocols }); sockets.push(this); }
    send(text) { this.sent.push(JSON.parse(text)); }
    close(code) { this.closed = code; }
    say(message) { this.onmessage({ data: typeof message === "string" ? message : JSON.stringify(message) }); }
    drop(code = 1006, reason = "") { this.onclose({ code, reason }); }
    welcome(extra) { this.say({ type: "welcome", socket: "s", instance: "a", user: "u", ping: 30, ...extra }); }
    answer(extra) { const { type, ...command } = this.sent.at(-1); this.say({ type: extra.type, id: command.id, room: command.room, ...extra }); }
  }
  const client = new Fanfare("https://gate.test/ws", {
    WebSocket: FakeWebSocket, clock, random: () => random.value,
    onState: (event) => states.push(event), ...options,
  });
  t.after(() => client.close());
  await settle();
  return { client, clock, sockets, states, random, get ws() { return sockets.at(-1); } };
}

const joined = (ws, extra) => ws.answer({ type: "joined", epoch: "7", offset: 10, ...extra });
const message = (offset, data = offset) => ({ type: "message", room: "chat", from: "bob", offset, data });

test("it speaks fanfare.v1, gives the token and tells who serves it", async (t) => {
  const welcomes = [];
  const f = await start(t, { token: "ann b", onWelcome: (w) => welcomes.push(w) });
  assert.deepEqual(f.ws.protocols, ["fanfare.v1"]);
  assert.equal(f.ws.url.href, "wss://gate.test/ws?token=ann+b");
  assert.equal(f.client.state, "connecting");
  f.ws.welcome();
  assert.equal(f.client.state, "open");
  assert.deepEqual(welcomes, [{ socket: "s", instance: "a", user: "u", ping: 30 }]);
  assert.equal(f.client.welcome.instance, "a");
});

test("publish resolves with the ack and rejects with the server's code", async (t) => {
  const f = await start(t);
  f.ws.welcome();
  const ok = f.client.publish("chat", { a: 1 }, { echo: false, key: "k" });
  assert.deepEqual(f.ws.sent.at(-1), { type: "publish", room: "chat", data: { a: 1 }, echo: false, key: "k", id: 1 });
  const refused = f.client.publish("chat", 2);
  f.ws.say({ type: "error", id: 2, code: "forbidden", message: "not in this room" });
  f.ws.say({ type: "ack", id: 1, offset: 41 });
  assert.deepEqual(await ok, { offset: 41 });
  await assert.rejects(refused, { name: "FanfareError", code: "forbidden", message: "not in this room" });
});

test("publish rejects when not connected, when the connection goes, and when too much waits", async (t) => {
  const f = await start(t);
  await assert.rejects(f.client.publish("chat", 1), { code: "disconnected" });
  f.ws.welcome();
  const waiting = f.client.publish("chat", 1);
  f.ws.drop();
  await assert.rejects(waiting, (err) => err instanceof FanfareError && err.code === "disconnected");
  await f.clock.pass(500);
  f.ws.welcome();
  f.ws.bufferedAmount = 2 << 20;
  await assert.rejects(f.client.publish("chat", 1), { code: "busy" });
});

test("send resolves with the number of instances, and direct messages arrive", async (t) => {
  const directs = [];
  const f = await start(t, { onDirect: (d) => directs.push(d) });
  f.ws.welcome();
  const sent = f.client.send("bob", "psst");
  f.ws.answer({ type: "ack", instances: 2 });
  assert.deepEqual(await sent, { instances: 2 });
  f.ws.say({ type: "direct", from: "bob", data: null });
  f.ws.say({ type: "direct", from: "bob", data_base64: "AP8=" });
  assert.deepEqual(directs, [{ from: "bob", data: null }, { from: "bob", bytes: Uint8Array.of(0, 255) }]);
});

test("after a reconnect it rejoins from where it was and drops what it has seen", async (t) => {
  const got = [], joins = [];
  const f = await start(t);
  const room = f.client.join("chat", { onMessage: (m) => got.push(m.offset), onJoined: (j) => joins.push(j.recovered) });
  f.ws.welcome();
  assert.deepEqual(f.ws.sent.at(-1), { type: "join", room: "chat", id: 1 });
  joined(f.ws);
  for (const offset of [10, 11, 12, 12, 11]) f.ws.say(message(offset));
  assert.deepEqual(got, [11, 12]);
  f.ws.drop();
  assert.equal(room.state, "joining");
  await f.clock.pass(500);
  f.ws.welcome({ instance: "b" });
  assert.deepEqual(f.ws.sent.at(-1).since, { epoch: "7", offset: 12 });
  joined(f.ws, { offset: 14, recovered: true });
  for (const offset of [12, 13, 14, 15]) f.ws.say(message(offset));
  assert.deepEqual(got, [11, 12, 13, 14, 15]);
  assert.deepEqual(joins, [undefined, true]);
  assert.deepEqual(room.position, { epoch: "7", offset: 15 });
});

test("a server that does not say whether it recovered leaves that unknown", async (t) => {
  const joins = [], gaps = [];
  const f = await start(t);
  const room = f.client.join("chat", { onJoined: (j) => joins.push(j), onGap: (g) => gaps.push(g) });
  f.ws.welcome();
  joined(f.ws);
  f.ws.drop();
  await f.clock.pass(500);
  f.ws.welcome();
  joined(f.ws, { offset: 20 });
  assert.equal(joins[1].recovered, undefined);
  assert.deepEqual(gaps, []);
  assert.deepEqual(room.position, { epoch: "7", offset: 20 });
});

test("what cannot be had is told as a gap, at a rejoin and while joined", async (t) => {
  const gaps = [], got = [];
  const f = await start(t);
  f.client.join("chat", { onGap: (g) => gaps.push(g), onMessage: (m) => got.push(m.offset) });
  f.ws.welcome();
  joined(f.ws);
  f.ws.drop();
  await f.clock.pass(500);
  f.ws.welcome();
  joined(f.ws, { epoch: "8", offset: 3, recovered: false });
  f.ws.say(message(4));
  f.ws.say({ type: "gap", room: "chat", epoch: "9", offset: 2 });
  f.ws.say(message(2)); // the message at the position is not before it
  f.ws.say(message(2));
  f.ws.say(message(3));
  assert.deepEqual(gaps, [{ epoch: "8", offset: 3 }, { epoch: "9", offset: 2 }]);
  assert.deepEqual(got, [4, 2, 3]);
});

test("recent messages asked for with last are not taken for duplicates", async (t) => {
  const got = [];
  const f = await start(t);
  const room = f.client.join("chat", { last: 2, onMessage: (m) => got.push(m.offset) });
  f.ws.welcome();
  assert.equal(f.ws.sent.at(-1).last, 2);
  joined(f.ws);
  for (const offset of [9, 10, 11]) f.ws.say(message(offset));
  assert.deepEqual(got, [9, 10, 11]);
  f.ws.drop();
  await f.clock.pass(500);
  f.ws.welcome();
  assert.equal(f.ws.sent.at(-1).last, undefined);
  assert.deepEqual(f.ws.sent.at(-1).since, room.position);
});

test("messages without a position all arrive, and binary ones as bytes", async (t) => {
  const got = [];
  const f = await start(t);
  f.client.join("chat", { onMessage: (m) => got.push(m.data ?? m.bytes) });
  f.ws.welcome();
  f.ws.answer({ type: "joined" });
  f.ws.say({ type: "message", room: "chat", data: "x" });
  f.ws.say({ type: "message", room: "chat", data: "x" });
  f.ws.say({ type: "message", room: "chat", data_base64: "aGk=" });
  assert.deepEqual(got, ["x", "x", Uint8Array.of(104, 105)]);
});

test("an own message that does not come back still moves the position", async (t) => {
  const f = await start(t);
  const room = f.client.join("chat");
  f.ws.welcome();
  joined(f.ws);
  const ack = room.publish("x", { echo: false });
  f.ws.answer({ type: "ack", offset: 11 });
  await ack;
  assert.equal(room.position.offset, 11);
});

test("the delay doubles up to its limit under full jitter and begins anew after a stable connection", async (t) => {
  const f = await start(t, { maxDelay: 3000 });
  const waits = [];
  for (const value of [1, 1, 1, 1, 0.5]) {
    f.random.value = value;
    f.ws.drop();
    waits.push(f.states.at(-1).retryMs);
    await f.clock.pass(waits.at(-1));
  }
  assert.deepEqual(waits, [500, 1000, 2000, 3000, 1500]);
  f.random.value = 1;
  f.ws.welcome();
  f.ws.drop(); // welcomed, but not for long
  assert.equal(f.states.at(-1).retryMs, 3000);
  await f.clock.pass(3000);
  f.ws.welcome();
  await f.clock.pass(10_000);
  f.ws.drop();
  assert.equal(f.states.at(-1).retryMs, 500);
});

test("after a drain notice it reconnects at the time named, whether or not the server closes first", async (t) => {
  const drains = [];
  const f = await start(t, { onDrain: (d) => drains.push(d) });
  f.ws.welcome();
  f.ws.say({ type: "drain", retry_ms: 4000 });
  await f.clock.pass(1000);
  f.ws.drop(1012, "bye");
  assert.equal(f.states.at(-1).retryMs, 3000);
  await f.clock.pass(2999);
  assert.equal(f.sockets.length, 1);
  await f.clock.pass(1);
  assert.equal(f.sockets.length, 2);

  f.ws.welcome();
  f.ws.say({ type: "drain", retry_ms: 50 });
  await f.clock.pass(50);
  assert.equal(f.sockets.length, 3);
  assert.equal(f.sockets[1].closed, 1000);
  assert.deepEqual(drains, [{ retryMs: 4000 }, { retryMs: 50 }]);
});

test("a refused token without getToken is the end, until reconnect is called", async (t) => {
  const f = await start(t, { token: "bad" });
  f.ws.drop(1008, "invalid token");
  assert.deepEqual(f.states.at(-1), { state: "closed", code: 1008, reason: "invalid token", retryMs: undefined });
  await f.clock.pass(3_600_000);
  assert.equal(f.sockets.length, 1);
  f.client.reconnect();
  await settle();
  assert.equal(f.sockets.length, 2);
});

test("a refused token is replaced once; a second refusal is the end", async (t) => {
  let n = 0;
  const f = await start(t, { getToken: async () => `t${++n}` });
  f.ws.drop(1008, "expired");
  await f.clock.pass(500);
  assert.equal(f.ws.url.searchParams.get("token"), "t2");
  f.ws.drop(1008, "expired");
  assert.equal(f.client.state, "closed");
  assert.equal(f.client.reason, "expired");
  assert.equal(n, 2);
});

test("a token is kept for reconnects and renewed before it expires", async (t) => {
  const jwt = (exp) => `x.${Buffer.from(JSON.stringify({ exp })).toString("base64url")}.y`;
  const tokens = [jwt(1000 + 120), jwt(1000 + 720)]; // the clock begins at 1000 s
  const f = await start(t, { getToken: () => tokens.shift() });
  f.ws.drop();
  await f.clock.pass(500);
  assert.equal(tokens.length, 1);
  f.ws.welcome();
  await f.clock.pass(60_000);
  assert.deepEqual(f.ws.sent, [{ type: "auth", token: jwt(1000 + 720), id: 1 }]);
});

test("a token that cannot be had is tried for again", async (t) => {
  let n = 0;
  const f = await start(t, { getToken: async () => { if (n++ === 0) throw new Error("no network"); return "t"; } });
  assert.equal(f.client.state, "waiting");
  assert.equal(f.client.reason, "no network");
  await f.clock.pass(500);
  assert.equal(f.ws.url.searchParams.get("token"), "t");
});

test("a silent connection is asked, and left when it does not answer", async (t) => {
  const f = await start(t);
  f.ws.welcome();
  await f.clock.pass(74_000);
  assert.equal(f.ws.sent.length, 0);
  await f.clock.pass(1_000);
  assert.deepEqual(f.ws.sent, [{ type: "ping" }]);
  await f.clock.pass(1_000);
  f.ws.say({ type: "pong" });
  await f.clock.pass(74_000);
  assert.equal(f.client.state, "open");
  await f.clock.pass(6_000);
  assert.equal(f.states.at(-1).reason, "the server does not answer");
  assert.equal(f.client.state, "waiting");
});

test("a connection without a welcome is given up", async (t) => {
  const f = await start(t);
  await f.clock.pass(10_000);
  assert.equal(f.client.state, "waiting");
  assert.equal(f.client.reason, "no welcome in time");
});

test("what an abandoned connection still says is not heard", async (t) => {
  const got = [];
  const f = await start(t);
  f.client.join("chat", { onMessage: (m) => got.push(m.offset) });
  f.ws.welcome();
  joined(f.ws);
  const old = f.ws;
  f.client.reconnect();
  await settle();
  old.say(message(11));
  old.drop();
  assert.equal(f.client.state, "connecting");
  assert.deepEqual(got, []);
});

test("a join is tried again when the server could not, and not when it may not", async (t) => {
  const errors = [];
  const f = await start(t);
  const room = f.client.join("chat", { onError: (e) => errors.push(e.code) });
  f.ws.welcome();
  f.ws.answer({ type: "error", code: "unavailable", message: "" });
  await f.clock.pass(500);
  assert.equal(f.ws.sent.length, 2);
  f.ws.answer({ type: "error", code: "forbidden", message: "" });
  await f.clock.pass(60_000);
  assert.equal(f.ws.sent.length, 2);
  assert.equal(room.state, "failed");
  assert.deepEqual(errors, ["unavailable", "forbidden"]);
});

test("a room that was left is not rejoined, and can be joined anew", async (t) => {
  const got = [];
  const f = await start(t);
  const room = f.client.join("__proto__", { onMessage: () => got.push("old") });
  assert.throws(() => f.client.join("__proto__"), /already in room/);
  f.ws.welcome();
  joined(f.ws);
  const left = room.leave();
  f.ws.say({ ...message(11), room: "__proto__" });
  f.ws.answer({ type: "left" });
  await left;
  f.ws.drop();
  await f.clock.pass(500);
  f.ws.welcome();
  assert.deepEqual(f.ws.sent, []);
  f.client.join("__proto__");
  assert.equal(f.ws.sent.at(-1).type, "join");
  assert.deepEqual(got, []);
});

test("nonsense from the server is ignored, and an error without an id is told", async (t) => {
  const errors = [];
  const f = await start(t, { onError: (e) => errors.push(e.code) });
  f.ws.welcome();
  for (const text of ["", "{", "null", "3", "[]", '{"type":"__proto__"}', '{"type":"message","room":"nowhere"}', '{"type":"ack","id":99}']) f.ws.say(text);
  f.ws.say({ type: "error", code: "bad_request", message: "no JSON" });
  assert.equal(f.client.state, "open");
  assert.deepEqual(errors, ["bad_request"]);
});

test("close ends it: no timer is left and nothing connects again", async (t) => {
  const f = await start(t);
  f.client.join("chat");
  f.ws.welcome();
  f.client.close();
  assert.equal(f.client.state, "closed");
  assert.equal(f.clock.timers.size, 0);
  assert.equal(f.ws.closed, 1000);
  assert.throws(() => new Fanfare("ftp://gate.test"), TypeError);
});
