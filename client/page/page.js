// The demo page: a chat in one room. Everything shown is set as text, never as HTML; what others
// publish is checked and clipped before it is believed, and kept in Maps, so no key is special.
//
// fanfare.v1 has no presence yet, so tabs tell each other themselves, in the room: {kind: "joined"}
// on entering, "here" every 15 s and to whoever enters, "left" on going. Who is not heard of for
// 40 s is gone. Plain-chat clients (/ws/chat/ID) share the room with texts like "Client #5 says: hi".

import { Fanfare } from "./fanfare.js";

const HERE_EVERY = 15_000, GONE_AFTER = 40_000, PLAIN_GONE_AFTER = 600_000; // ms
const MAX_PEERS = 200, MAX_ENTRIES = 400, MAX_NAME = 64, MAX_TEXT = 4000;

const $ = (id) => document.getElementById(id);
const tab = random(8); // tells this tab from others of the same name
const peers = new Map(); // key → {name, instance, heard, goneAfter}
const sent = new Map(); // id of an own text → its element, until the ack

let client = null, room = null, name = "";
let instance = ""; // that served last
let announced = false; // "joined" was published for this stay
let lastHere = 0, retryAt = 0;

// ---- entering and leaving

$("name").value = `${pick(["quiet", "brave", "amber", "swift", "merry", "lunar"])}-${pick(["heron", "otter", "lynx", "finch", "badger", "wren"])}`;
$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  enter($("name").value.trim(), $("room").value.trim());
});
$("leave").addEventListener("click", () => {
  goodbye();
  remember(false);
  show(false);
  $("name").focus();
});

function enter(asName, roomName) {
  if (!asName || !roomName) return;
  name = asName;
  peers.clear();
  sent.clear();
  $("log").replaceChildren();
  $("roomname").textContent = roomName;
  document.title = `${roomName} · Fanfare chat`;
  announced = false;
  instance = "";
  const token = new URLSearchParams(location.search).get("token") ?? name;
  client = new Fanfare(new URL("ws", location.href), { token, onState, onWelcome, onError: (err) => note(`Error: ${err.message}`, true) });
  room = client.join(roomName, {
    onMessage,
    onJoined,
    onGap: () => note("Some messages were missed and cannot be had.", true),
    onError: (err) => note(`Cannot join: ${err.message}`, true),
  });
  remember(true);
  show(true);
  drawRoster();
  $("text").focus();
}

// The address holds name and room, so that a reload comes back into the room.
function remember(on) {
  const url = new URL(location.href);
  for (const [key, value] of [["name", name], ["room", room.name]]) on ? url.searchParams.set(key, value) : url.searchParams.delete(key);
  history.replaceState(null, "", url);
}

function show(inside) {
  $("entry").hidden = inside;
  $("chat").hidden = !inside;
}

function goodbye() {
  if (!client) return;
  tell("left");
  client.close();
  announced = false;
}

addEventListener("pagehide", goodbye);
addEventListener("pageshow", (event) => { if (event.persisted && !$("chat").hidden) client.reconnect(); });
addEventListener("online", () => { if (client?.state === "waiting") client.reconnect(); });
$("reconnect").addEventListener("click", () => client.reconnect());

// ---- the connection

function onState({ state, reason, retryMs }) {
  const had = document.body.dataset.state;
  document.body.dataset.state = state;
  retryAt = state === "waiting" ? Date.now() + retryMs : 0;
  const inside = !$("chat").hidden;
  $("reconnect").hidden = !inside || state === "open" || state === "connecting";
  $("state").textContent =
    state === "open" ? "connected" :
    state === "connecting" ? (instance ? "reconnecting …" : "connecting …") :
    state === "waiting" ? `connection lost${reason ? `: ${clip(reason, 80)}` : ""}` :
    inside ? `closed${reason ? `: ${clip(reason, 80)}` : ""}` : "not connected";
  countdown();
  if (had === "open" && state === "waiting") note(`Connection to instance ${instance} lost. Reconnecting …`);
  if (state === "closed" && inside && announced) note(`Closed: ${reason}`, true);
}

function onWelcome(welcome) {
  const before = instance;
  instance = clip(welcome.instance, MAX_NAME);
  $("instance").textContent = instance;
  $("me").textContent = clip(welcome.user || name, MAX_NAME);
  if (before) note(before === instance ? `Back on instance ${instance}.` : `Now on instance ${instance}, before on ${before}.`);
  const now = Date.now();
  for (const peer of peers.values()) peer.heard = now; // could not be heard meanwhile
}

function onJoined({ recovered }) {
  if (!announced) note(`You joined on instance ${instance}.`);
  if (announced && recovered === undefined) note("What was said meanwhile may be missing here.");
  tell(announced ? "here" : "joined");
  announced = true;
  drawRoster();
}

function countdown() {
  const left = Math.ceil((retryAt - Date.now()) / 1000);
  $("countdown").textContent = retryAt && left > 0 ? `next try in ${left} s` : "";
}

// ---- presence

function tell(kind) {
  if (room?.state !== "joined") return;
  lastHere = Date.now();
  room.publish({ kind, name, tab, instance }, { echo: false }).catch(() => {}); // the next one will do
}

// Browsers slow down the timers of hidden tabs: what arrives keeps the beat too.
function beat() {
  if (Date.now() - lastHere >= HERE_EVERY) tell("here");
}

function sweep() {
  if (document.hidden || client?.state !== "open") return; // what was not heard may be this side's fault
  const now = Date.now();
  for (const [key, peer] of peers) if (now - peer.heard > peer.goneAfter) gone(key, "left (connection lost)");
}

setInterval(() => { countdown(); beat(); sweep(); }, 1000);
document.addEventListener("visibilitychange", () => {
  const now = Date.now();
  if (!document.hidden) for (const peer of peers.values()) peer.heard = now;
  beat();
});

function heard(key, peer) {
  if (!peers.has(key) && peers.size >= MAX_PEERS) return;
  peers.set(key, { goneAfter: GONE_AFTER, ...peer, heard: Date.now() });
  drawRoster();
}

function gone(key, how) {
  const peer = peers.get(key);
  if (!peer || !peers.delete(key)) return;
  note(`${peer.name} ${how}.`);
  drawRoster();
}

function drawRoster() {
  const people = [{ name: `${name} (you)`, instance }, ...[...peers.values()].sort((a, b) => a.name.localeCompare(b.name))];
  $("count").textContent = String(people.length);
  $("roster").replaceChildren(...people.map((p) => element("li", "", element("bdi", "person", p.name), element("span", "on", p.instance && `on ${p.instance}`))));
}

// ---- messages

function onMessage(m) {
  $("position").textContent = m.offset === undefined ? "–" : `#${m.offset}`;
  beat();
  if (m.bytes) return entry({ who: clip(m.from, MAX_NAME) || "someone", body: hex(m.bytes), kind: "bytes" });
  if (typeof m.data === "string") return plain(m.data, m.from);
  if (m.data === null || typeof m.data !== "object" || typeof m.data.kind !== "string") return other(m);
  const { kind, text, tab: from } = m.data;
  if (from === tab) return kind === "text" ? own(m) : undefined;
  const who = clip(m.from || m.data.name, MAX_NAME) || "someone";
  const key = typeof from === "string" ? `tab ${clip(from, 32)}` : `name ${who}`;
  const on = clip(m.data.instance, MAX_NAME);
  switch (kind) {
    case "joined":
      if (!peers.has(key)) note(`${who} joined.`);
      setTimeout(() => tell("here"), Math.random() * 1000); // so that the newcomer knows who is here
      // falls through
    case "here":
      heard(key, { name: who, instance: on });
      break;
    case "left":
      gone(key, "left");
      break;
    case "text":
      heard(key, { name: who, instance: on });
      entry({ who, body: clip(text, MAX_TEXT), on });
      break;
    default:
      other(m);
  }
}

function plain(text, from) {
  const [, id, does, said] = /^Client #(.{1,64}?) (says: |joined the chat$|left the chat$)([^]*)$/u.exec(text) ?? [];
  if (!id) return entry({ who: clip(from, MAX_NAME) || "plain text", body: clip(text, MAX_TEXT) });
  const who = `Client #${clip(id, MAX_NAME)}`, key = `plain ${id}`;
  if (does.startsWith("left")) return peers.has(key) ? gone(key, "left") : note(`${who} left.`);
  heard(key, { name: who, instance: "", goneAfter: PLAIN_GONE_AFTER });
  if (does.startsWith("joined")) note(`${who} joined.`);
  else entry({ who, body: clip(said, MAX_TEXT) });
}

function other(m) {
  entry({ who: clip(m.from, MAX_NAME) || "someone", body: clip(JSON.stringify(m.data), MAX_TEXT), kind: "bytes" });
}

function own(m) {
  const shown = entry({ who: "You", body: clip(m.data.text, MAX_TEXT), kind: "own" });
  if (sent.has(m.data.id)) sent.set(m.data.id, shown);
}

$("write").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text.trim()) return;
  $("text").value = "";
  const id = random(8), began = performance.now();
  sent.set(id, null);
  try {
    await room.publish({ kind: "text", text, name, tab, instance, id }, { key: `${tab}-${id}` });
    const took = `${(performance.now() - began).toFixed(1)} ms`;
    $("ack").textContent = took;
    const time = sent.get(id)?.querySelector("time");
    if (time) time.title = `acknowledged after ${took}`;
  } catch (err) {
    note(`Not confirmed: ${err.message}. Your text is back in the field.`, true);
    if (!$("text").value) $("text").value = text;
  } finally {
    sent.delete(id);
  }
});

// ---- drawing

function entry({ who, body, on = "", kind = "" }) {
  const now = new Date();
  const time = element("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }));
  time.dateTime = now.toISOString();
  const head = element("p", "who", element("b", "", element("bdi", "", who)), on ? ` on ${on} · ` : " · ", time);
  return append(element("li", `message ${kind}`, head, element("p", "body", body)));
}

function note(text, bad = false) {
  append(element("li", bad ? "event bad" : "event", text));
}

function append(item) {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  log.append(item);
  while (log.childElementCount > MAX_ENTRIES) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
  return item;
}

function element(tag, className, ...children) {
  const e = document.createElement(tag);
  e.className = className;
  e.append(...children); // strings become text nodes
  return e;
}

// Anything from outside as text of bounded length, without what would reorder or hide it.
function clip(value, max) {
  if (typeof value !== "string") return "";
  const clean = value.replace(/[\u0000-\u0008\u000b-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g, "");
  return clean.length > max ? `${clean.slice(0, max)}…` : clean;
}

function hex(bytes) {
  return `${bytes.length} bytes: ${digits(bytes.subarray(0, 24), " ")}${bytes.length > 24 ? " …" : ""}`;
}

function digits(bytes, between = "") {
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join(between);
}

function random(n) {
  return digits(crypto.getRandomValues(new Uint8Array(n)));
}

function pick(list) {
  return list[crypto.getRandomValues(new Uint8Array(1))[0] % list.length];
}

// ---- a link with a name enters at once

const asked = new URLSearchParams(location.search);
if (asked.get("room")) $("room").value = clip(asked.get("room"), 64);
if (asked.get("name")) {
  $("name").value = clip(asked.get("name"), 32);
  enter($("name").value, $("room").value);
}
