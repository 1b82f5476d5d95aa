// The dashboard: asks the API every two seconds and shows what it says.

import { confirmed, end, told } from "./api.js";
import { Chart } from "./charts.js";
import { followLog } from "./log.js";
import { meetDoor, play, playerLoaded, toWall } from "./players.js";
import { Rates } from "./rates.js";
import { ForwardsCard, PullsCard } from "./standing.js";
import { PAGE, Pager, Table } from "./tables.js";
import { bitRate, bytes, duration, fillWords, number, say } from "./words.js";

const EVERY_MS = 2000;

fillWords();
const byId = (id) => document.getElementById(id);
const hasPlayer = await playerLoaded;
byId("no-player").hidden = hasPlayer;
byId("wall-all").hidden = !hasPlayer;

const streamsIn = new Rates();
const streamsOut = new Rates();
const viewersOut = new Rates();

// --- tables ---

const dash = "–";
const codecs = ({ video, audio }) => [video?.codec, audio?.codec].filter(Boolean).join(" · ") || dash;
const size = ({ video }) => (video?.width && video.height ? `${video.width}×${video.height}` : dash);
const keyframes = ({ video }) =>
  video?.keyframe_interval_ms ? `${(video.keyframe_interval_ms / 1000).toFixed(1)} s` : dash;
const publisherOf = ({ publisher }) => (publisher ? `${publisher.peer} ${publisher.protocol}`.trim() || dash : dash);

async function kick(kind, item, name) {
  if (!(await confirmed(say(`end_${kind}`, { name })))) return;
  try {
    await end(kind, item.id);
    await refresh();
  } catch (error) {
    complain(error instanceof TypeError ? say("lost") : error.message);
  }
}

const streamsTable = new Table(
  "streams",
  [
    { key: "name", label: say("stream"), text: (stream) => stream.name },
    { key: "route", label: say("route"), text: (stream) => stream.route },
    { key: "origin", label: say("origin"), text: (stream) => stream.origin ?? dash },
    { key: "viewers", label: say("viewers"), text: (stream) => number(stream.viewers), numeric: true },
    { key: "publisher", label: say("publisher"), text: publisherOf },
    { key: "codec", label: say("codec"), text: codecs },
    { key: "size", label: say("size"), text: size },
    { key: "fps", label: say("fps"), text: ({ video }) => video?.frame_rate?.toFixed(1) ?? dash, numeric: true },
    { key: "keyframes", label: say("keyframes"), text: keyframes, numeric: true },
    {
      key: "in",
      label: say("rate_in"),
      text: (stream) => bitRate(stream.bit_rate_kbps ?? streamsIn.of(stream)),
      numeric: true,
    },
    { key: "out", label: say("rate_out"), text: (stream) => bitRate(streamsOut.of(stream)), numeric: true },
    {
      key: "waiting",
      label: say("waiting"),
      text: ({ latency_ms: waits }) => (waits === null ? dash : `${number(waits)} ms`),
      tone: ({ latency_ms: waits }) => (waits > 1000 ? "bad" : ""),
      numeric: true,
    },
  ],
  (stream) => [
    ...(hasPlayer
      ? [
          { label: say("play"), act: () => play(stream) },
          { label: say("to_wall"), act: () => toWall(stream) },
        ]
      : []),
    ...(stream.publisher
      ? [
          {
            label: say("end_publisher_short"),
            kind: "danger",
            act: () => kick("publisher", stream.publisher, `${stream.publisher.peer} · ${stream.name}`),
          },
        ]
      : []),
    { label: say("end"), kind: "danger", act: () => kick("stream", stream, stream.name) },
  ],
);

const viewersTable = new Table(
  "viewers",
  [
    {
      key: "peer",
      label: say("peer"),
      text: ({ peer, address }) => (peer.includes(address) ? peer : `${address} (${peer})`),
    },
    { key: "route", label: say("route"), text: (viewer) => viewer.route },
    { key: "origin", label: say("origin"), text: (viewer) => viewer.origin ?? dash },
    { key: "stream", label: say("stream"), text: (viewer) => viewer.stream },
    { key: "protocol", label: say("protocol"), text: (viewer) => viewer.protocol },
    { key: "time", label: say("time"), text: (viewer) => duration(viewer.seconds), numeric: true },
    { key: "bytes", label: say("bytes"), text: (viewer) => bytes(viewer.bytes), numeric: true },
    { key: "rate", label: say("rate"), text: (viewer) => bitRate(viewersOut.of(viewer)), numeric: true },
  ],
  (viewer) => [
    { label: say("end"), kind: "danger", act: () => kick("viewer", viewer, `${viewer.peer} · ${viewer.stream}`) },
  ],
);

const originsTable = new Table("origins", [
  { key: "name", label: say("name"), text: (origin) => origin.name },
  { key: "urls", label: "URL", text: (origin) => origin.urls.join(" ") },
  { key: "mode", label: say("mode"), text: (origin) => origin.mode },
  { key: "state", label: say("state"), text: (origin) => say(origin.state), tone: (origin) => origin.state },
  { key: "viewers", label: say("viewers"), text: (origin) => number(origin.viewers), numeric: true },
  { key: "error", label: say("error"), text: (origin) => (origin.state === "down" ? origin.last_error : null) ?? dash },
]);

const forwardsCard = new ForwardsCard(kick);
const pullsCard = new PullsCard(kick);

const pagerOf = (id) => new Pager(byId(id).parentElement.querySelector(".pager"), () => refresh());
const streamsPager = pagerOf("streams");
const viewersPager = pagerOf("viewers");
const streamsFilter = byId("streams-filter");
const viewersFilter = byId("viewers-filter");

// --- the looks ---

const viewersChart = new Chart("viewers-chart", say("viewers"), number);
const outChart = new Chart("out-chart", say("bytes_out"), bitRate);
let streams = [];
let streamsTotal = 0;

// What went wrong with a button stays to be read, whatever the next look says.
const READ_MS = 8000;
let readUntil = 0;
function complain(text) {
  readUntil = 0;
  showState(text, true);
  readUntil = performance.now() + READ_MS;
}

function showState(text, isBad) {
  if (performance.now() < readUntil) return;
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("error", isBad);
}

function wantedStreams() {
  const text = streamsFilter.value.trim().toLowerCase();
  if (!text) return streams;
  return streams.filter((stream) =>
    [stream.name, stream.route, stream.origin, publisherOf(stream), codecs(stream)].join(" ").toLowerCase().includes(text),
  );
}

function showStreams() {
  const wanted = wantedStreams();
  byId("streams-count").textContent = number(streamsTotal);
  streamsPager.show(wanted.length);
  streamsTable.show(wanted.slice(streamsPager.offset, streamsPager.offset + PAGE));
}

async function showViewers() {
  const text = encodeURIComponent(viewersFilter.value.trim());
  const asked = `${viewersPager.offset} ${text}`;
  const found = await told(`/api/v1/viewers?limit=${PAGE}&offset=${viewersPager.offset}&text=${text}`);
  if (asked !== `${viewersPager.offset} ${encodeURIComponent(viewersFilter.value.trim())}`) return; // an older question
  viewersOut.look(found.viewers, (viewer) => viewer.bytes, performance.now());
  byId("viewers-count").textContent = number(found.total);
  if (viewersPager.show(found.total)) viewersTable.show(found.viewers);
  else await showViewers();
}

function showTotals() {
  const everyone = streams.reduce((sum, stream) => sum + stream.viewers, 0);
  viewersChart.add(everyone, performance.now());
  byId("viewers-now").textContent = number(everyone);
  outChart.add(streamsOut.total, performance.now());
  byId("out-now").textContent = bitRate(streamsOut.total);
}

async function look() {
  const [foundStreams, foundOrigins, foundForwards, foundPulls] = await Promise.all([
    told("/api/v1/streams"),
    told("/api/v1/origins"),
    told("/api/v1/forwards"),
    told("/api/v1/pulls"),
    showViewers(),
  ]);
  streams = foundStreams.streams;
  streamsTotal = foundStreams.total;
  const now = performance.now();
  streamsIn.look(streams, (stream) => stream.bytes_in, now);
  streamsOut.look(streams, (stream) => stream.bytes_out, now);
  showStreams();
  forwardsCard.show(foundForwards.forwards, now);
  pullsCard.show(foundPulls.pulls, foundOrigins.origins, now);
  originsTable.show(foundOrigins.origins);
  byId("origins-card").hidden = foundOrigins.total === 0;
  showTotals();
}

// Of two looks at once the second is the first.
let looking = null;
function refresh() {
  looking ??= look().finally(() => (looking = null));
  return looking;
}

async function meet() {
  const door = await told("/api/v1/door");
  meetDoor(door);
  byId("version").textContent = door.version;
}

async function lookForEver() {
  let isMet = false;
  for (;;) {
    try {
      if (!isMet) await meet();
      isMet = true;
      await refresh();
      showState(say("live"), false);
    } catch (error) {
      isMet = false; // another door may come in its place
      showState(error instanceof TypeError ? say("lost") : error.message, true);
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

streamsFilter.addEventListener("input", () => {
  streamsPager.offset = 0;
  showStreams();
});
viewersFilter.addEventListener("input", () => {
  viewersPager.offset = 0;
  showViewers().catch(() => {}); // the next look says what is wrong
});
byId("wall-all").addEventListener("click", () => wantedStreams().forEach(toWall));

lookForEver();
followLog();
