// The door's events as they come. EventSource would want the name of every event beforehand, so the stream of
// server-sent events (HTML Living Standard, 9.2) is read by hand.

import { call } from "./api.js";

const KEPT = 300;
const AGAIN_MS = 3000;

const list = document.getElementById("log");

function show(event) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const { event: name, level, timestamp, ...fields } = event;
  const line = document.createElement("li");
  line.dataset.level = level || "info";
  const time = document.createElement("time");
  time.textContent = new Date(timestamp || Date.now()).toLocaleTimeString(navigator.language, { hour12: false });
  const what = document.createElement("b");
  what.textContent = name;
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== null && value !== "")
    .map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  line.append(time, " ", what, " ", rest.join("  "));
  list.append(line);
  while (list.childElementCount > KEPT) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

async function listen() {
  const response = await call("/api/v1/events");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (waiting + value).split("\n");
    waiting = lines.pop();
    for (const line of lines) if (line.startsWith("data: ")) show(JSON.parse(line.slice(6)));
  }
}

export async function followLog() {
  for (;;) {
    try {
      await listen();
    } catch {
      // The status of the page says that the door does not answer.
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
