// The page of the door: keeps the addresses in step with the form, and plays by mpegts.js where it is there.
"use strict";

const form = document.getElementById("form");
const video = document.getElementById("video");
const screen_ = document.getElementById("screen");
const status_ = document.getElementById("status");
const delay = document.getElementById("delay");
const stopButton = document.getElementById("stop");
const words = document.body.dataset;

let player = null;
let delayTimer = 0;

// What the form says, as an address of this door. A local stream has no src; its path form works as well.
function addressOf(scheme) {
  const field = (name) => form.elements[name].value.trim();
  if (!field("app") || !field("stream")) return null;
  const query = ["src", "port", "app", "stream"]
    .filter((name) => field(name))
    .map((name) => name + "=" + encodeURIComponent(field(name)))
    .join("&");
  return scheme + "://" + location.host + words.livePath + "?" + query;
}

const httpScheme = () => location.protocol.slice(0, -1);
const chosenScheme = () => (form.elements.websocket.checked ? httpScheme().replace("http", "ws") : httpScheme());

// On a narrow screen its lines break before ? and &, not in the middle of a name; what is copied is the same text.
function showAddress(place, address) {
  const parts = address.split(/(?=[?&])/);
  place.replaceChildren(...parts.flatMap((part) => [document.createElement("wbr"), part]).slice(1));
}

function showAddresses() {
  const address = addressOf(httpScheme());
  if (address === null) return;
  showAddress(document.getElementById("address"), addressOf(chosenScheme()));
  for (const place of document.querySelectorAll(".url")) showAddress(place, address);
}

function say(text, isError) {
  status_.textContent = text;
  status_.classList.toggle("error", Boolean(isError));
  delay.textContent = "";
}

function stop() {
  clearInterval(delayTimer);
  if (player !== null) {
    player.destroy();
    player = null;
  }
  screen_.hidden = true;
  stopButton.hidden = true;
}

// The door's refusals are problem details (RFC 9457); mpegts.js gives only the status, so they are asked for again.
async function reasonOf(address) {
  const given = new AbortController();
  try {
    const response = await fetch(address, { signal: given.signal });
    if (response.ok) return words.unreachable;
    if (!(response.headers.get("Content-Type") || "").startsWith("application/problem+json"))
      return response.status + " " + response.statusText;
    const problem = await response.json();
    return problem.detail || problem.title;
  } catch {
    return words.unreachable;
  } finally {
    given.abort();
  }
}

function play() {
  stop();
  const address = addressOf(chosenScheme());
  if (address === null) return say(words.needsStream, true);
  if (!window.mpegts || !mpegts.isSupported()) return say(words.unsupported, true);
  say(words.connecting);
  const ours = mpegts.createPlayer(
    { type: "flv", isLive: true, url: address },
    { enableStashBuffer: false, liveSync: true, liveSyncMaxLatency: 2, liveSyncTargetLatency: 0.8 },
  );
  player = ours;
  ours.on(mpegts.Events.ERROR, async () => {
    if (player !== ours) return;
    stop();
    const reason = await reasonOf(addressOf(httpScheme()) || address);
    if (player === null) say(words.failed + reason, true);
  });
  ours.on(mpegts.Events.LOADING_COMPLETE, () => {
    if (player !== ours) return;
    clearInterval(delayTimer);
    say(words.ended);
  });
  ours.attachMediaElement(video);
  ours.load();
  screen_.hidden = false;
  stopButton.hidden = false;
  Promise.resolve(ours.play()).catch((error) => {
    if (player === ours && error.name === "NotAllowedError") say(words.blocked);
  });
  delayTimer = setInterval(() => {
    if (video.buffered.length === 0 || video.paused) return;
    const behind = video.buffered.end(video.buffered.length - 1) - video.currentTime;
    const size = video.videoWidth ? ` · ${video.videoWidth}×${video.videoHeight}` : "";
    if (status_.textContent !== words.playing) say(words.playing);
    // Beside the status, not in it: what changes twice a second is not to be read aloud.
    delay.textContent = `${size} · ${words.delay} ${behind.toFixed(1)} ${words.seconds}`;
  }, 500);
}

function addCopyButtons() {
  if (!navigator.clipboard) return; // not on plain HTTP from elsewhere than this machine
  for (const box of document.querySelectorAll(".address, .commands dd")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = words.copy;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(box.querySelector("code").textContent);
      button.textContent = words.copied;
      setTimeout(() => (button.textContent = words.copy), 1500);
    });
    box.append(button);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  play();
});
form.addEventListener("input", showAddresses);
stopButton.addEventListener("click", () => {
  stop();
  say("");
});
for (const base of document.querySelectorAll(".base"))
  base.textContent = (base.textContent.startsWith("ws") ? httpScheme().replace("http", "ws") : httpScheme()) + "://" + location.host;
showAddresses();
addCopyButtons();
