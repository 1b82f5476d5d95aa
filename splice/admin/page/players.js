// Players: one large, and a wall of them, by mpegts.js where the door has it.

import { problemOf } from "./api.js";
import { say } from "./words.js";

const WALL_MOST = 16;

let door = { http: [], https: [], live_path: "/live" };
export const meetDoor = (told) => (door = told);

export const playerLoaded = new Promise((resolve) => {
  const script = document.createElement("script");
  script.src = "/-/mpegts.js";
  script.addEventListener("load", () => resolve(true));
  script.addEventListener("error", () => resolve(false));
  document.head.append(script);
});

// The media door's host and port, as this browser can reach it: where it listens on all addresses, that of this page.
function authority() {
  const secure = location.protocol === "https:";
  const listening = secure ? door.https : door.http;
  if (listening.length === 0) return null;
  const isAll = (address) => /^(0\.0\.0\.0|\[::\]):/.test(address);
  const isLoopback = (address) => /^(127\.|\[::1\]|localhost)/.test(address);
  const here = listening.find(isAll) || listening.find((address) => isLoopback(address) === isLoopback(location.host));
  const chosen = here || listening[0];
  return isAll(chosen) ? location.hostname + chosen.slice(chosen.lastIndexOf(":")) : chosen;
}

export function addressOf(stream, scheme) {
  const host = authority();
  if (host === null) return null;
  const [app, name] = stream.name.split("/");
  const given = { ...(stream.origin === null ? {} : { src: stream.origin }), app, stream: name };
  const query = Object.entries(given).map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
  return `${scheme}${location.protocol === "https:" ? "s" : ""}://${host}${door.live_path}?${query}`;
}

// mpegts.js gives only the status of a refusal, so it is asked for again.
async function reasonOf(address) {
  const given = new AbortController();
  try {
    const response = await fetch(address, { signal: given.signal });
    return response.ok ? say("unreachable") : await problemOf(response);
  } catch {
    return say("unreachable");
  } finally {
    given.abort();
  }
}

class Playing {
  constructor(video, state, delay) {
    Object.assign(this, { video, state, delay, player: null, timer: 0 });
  }

  say(text, isError = false) {
    if (this.state.textContent !== text) this.state.textContent = text;
    this.state.classList.toggle("error", isError);
    if (text !== say("playing")) this.delay.textContent = "";
  }

  start(stream, scheme) {
    this.stop();
    const address = addressOf(stream, scheme);
    if (address === null) return this.say(say("failed", { reason: say("no_tls") }), true);
    if (!window.mpegts) return this.say(say("no_player"), true);
    if (!mpegts.isSupported()) return this.say(say("unsupported"), true);
    this.say(say("connecting"));
    const ours = mpegts.createPlayer(
      { type: "flv", isLive: true, url: address },
      { enableStashBuffer: false, liveSync: true, liveSyncMaxLatency: 2, liveSyncTargetLatency: 0.8 },
    );
    this.player = ours;
    ours.on(mpegts.Events.ERROR, async () => {
      if (this.player !== ours) return;
      this.stop();
      const reason = await reasonOf(addressOf(stream, "http"));
      if (this.player === null) this.say(say("failed", { reason }), true);
    });
    ours.on(mpegts.Events.LOADING_COMPLETE, () => {
      if (this.player !== ours) return;
      clearInterval(this.timer);
      this.say(say("ended"));
    });
    ours.attachMediaElement(this.video);
    ours.load();
    Promise.resolve(ours.play()).catch((error) => {
      if (this.player === ours && error.name === "NotAllowedError") this.say(say("blocked"));
    });
    this.timer = setInterval(() => this.measure(), 500);
  }

  measure() {
    const { buffered, currentTime, paused, videoWidth, videoHeight } = this.video;
    if (buffered.length === 0 || paused) return;
    this.say(say("playing"));
    const behind = Math.max(0, buffered.end(buffered.length - 1) - currentTime).toFixed(1);
    const size = videoWidth ? ` · ${videoWidth}×${videoHeight}` : "";
    this.delay.textContent = say("behind", { seconds: behind }) + size;
  }

  stop() {
    clearInterval(this.timer);
    this.player?.destroy();
    this.player = null;
    this.delay.textContent = "";
  }
}

const byId = (id) => document.getElementById(id);
const screen_ = byId("player");
const transport = byId("transport");
const large = new Playing(byId("video"), byId("player-state"), byId("player-delay"));
let largeStream = null;

export function play(stream) {
  largeStream = stream;
  screen_.hidden = false;
  byId("player-name").textContent = stream.name;
  large.start(stream, transport.value);
  screen_.scrollIntoView({ block: "nearest" });
}

transport.addEventListener("change", () => largeStream && play(largeStream));
byId("player-stop").addEventListener("click", () => {
  large.stop();
  largeStream = null;
  screen_.hidden = true;
});

const wall = byId("wall");
const tiles = new Map();

// A browser opens six connections by HTTP/1.1 to one host, so the wall plays by WebSocket.
export function toWall(stream) {
  if (tiles.has(stream.id) || tiles.size >= WALL_MOST) return;
  const tile = document.createElement("figure");
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  const caption = document.createElement("figcaption");
  const [name, state, delay] = ["b", "span", "span"].map((kind) => document.createElement(kind));
  name.textContent = stream.name;
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "×";
  close.setAttribute("aria-label", `${say("close")} ${stream.name}`);
  close.addEventListener("click", () => offWall(stream.id));
  caption.append(name, " ", state, " ", delay, close);
  tile.append(video, caption);
  byId("wall-tiles").append(tile);
  const playing = new Playing(video, state, delay);
  tiles.set(stream.id, { tile, playing });
  wall.hidden = false;
  playing.start(stream, "ws");
}

function offWall(id) {
  const { tile, playing } = tiles.get(id);
  playing.stop();
  tile.remove();
  tiles.delete(id);
  wall.hidden = tiles.size === 0;
}

byId("wall-close").addEventListener("click", () => [...tiles.keys()].forEach(offWall));
