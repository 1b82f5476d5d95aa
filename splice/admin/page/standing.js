// What goes on by itself: streams that are sent on to other servers, and pulls without viewers. What the configuration
// says it alone ends, so only what was added by the API has a button.

import { Rates } from "./rates.js";
import { PAGE, Pager, Table } from "./tables.js";
import { bitRate, bytes, duration, number, say } from "./words.js";

const dash = "–";
const byId = (id) => document.getElementById(id);

// A table with its pages and bit rates, in a card that is there while something is in it.
class Card {
  // columns: of the rates, as Table wants them.
  constructor(id, columns, actions) {
    this.card = byId(`${id}-card`);
    this.count = byId(`${id}-count`);
    this.rates = new Rates();
    this.table = new Table(id, columns(this.rates), actions);
    this.pager = new Pager(this.card.querySelector(".pager"), () => this.showPage());
    this.rows = [];
  }

  // rows: where bytes is null, nothing is on its way.
  show(rows, now) {
    const moving = rows.filter((row) => row.bytes !== null);
    this.rows = rows;
    this.rates.look(moving, (row) => row.bytes, now);
    this.count.textContent = number(moving.length);
    this.card.hidden = rows.length === 0;
    this.showPage();
  }

  showPage() {
    this.pager.show(this.rows.length);
    this.table.show(this.rows.slice(this.pager.offset, this.pager.offset + PAGE));
  }
}

const TONES = { running: "up", waiting: "down" };
const state = {
  key: "state",
  label: say("state"),
  text: (row) => say(`is_${row.state}`),
  tone: (row) => TONES[row.state] ?? "",
};
const rate = (rates) => ({ key: "rate", label: say("rate"), text: (row) => bitRate(rates.of(row)), numeric: true });

// --- forwards ---

// A stream that is lost connects and waits in turn, and stays in its place meanwhile.
const TROUBLE_FIRST = { waiting: 0, connecting: 0, running: 1, idle: 2 };

// A row for each stream on its way; a forward without any has one row of its own.
function rowsOf(forward) {
  const { id, streams, to, state, last_error } = forward;
  if (forward.sending.length > 0)
    return forward.sending.map((sending) => ({ ...sending, id: `${id} ${sending.stream}`, forward }));
  const nothing = { state_seconds: null, bytes: null, reconnects: null, skipped: null };
  return [{ id, stream: streams, to, state, last_error, forward, ...nothing }];
}

export class ForwardsCard extends Card {
  // end: asks, and ends it: (kind, item, name) => promise.
  constructor(end) {
    const columns = (rates) => [
      { key: "name", label: say("stream"), text: (row) => row.stream },
      { key: "to", label: say("target"), text: (row) => row.to },
      state,
      {
        key: "lasts",
        label: say("lasts"),
        text: ({ state_seconds: lasts }) => (lasts === null ? dash : duration(lasts)),
        numeric: true,
      },
      rate(rates),
      { key: "reconnects", label: say("reconnects"), text: (row) => number(row.reconnects), numeric: true },
      { key: "skipped", label: say("skipped"), text: (row) => number(row.skipped), numeric: true },
      { key: "error", label: say("error"), text: (row) => row.last_error ?? dash },
    ];
    super("forwards", columns, ({ forward }) => {
      const name = `${forward.streams} → ${forward.to}`;
      const button = { label: say("end"), kind: "danger", name, act: () => end("forward", forward, name) };
      return forward.source === "api" ? [button] : [];
    });
  }

  show(forwards, now) {
    const rows = forwards.flatMap(rowsOf);
    super.show(rows.sort((one, other) => TROUBLE_FIRST[one.state] - TROUBLE_FIRST[other.state]), now);
  }
}

// --- kept pulls ---

export class PullsCard extends Card {
  constructor(letGo) {
    const columns = (rates) => [
      { key: "name", label: say("stream"), text: (pull) => pull.stream },
      { key: "origin", label: say("origin"), text: (pull) => pull.origin },
      state,
      rate(rates),
      { key: "bytes", label: say("bytes"), text: (pull) => bytes(pull.bytes), numeric: true },
      { key: "error", label: say("error"), text: (pull) => pull.last_error ?? dash },
    ];
    super("pulls", columns, (pull) => {
      const name = `${pull.origin} · ${pull.stream}`;
      const button = { label: say("let_go"), kind: "danger", name, act: () => letGo("pull", pull, name) };
      return pull.source === "api" ? [button] : [];
    });
  }

  // origins: those that are down say why a pull of theirs waits.
  show(pulls, origins, now) {
    const errors = new Map(origins.filter(({ state }) => state === "down").map((each) => [each.name, each.last_error]));
    const errorOf = ({ state, origin }) => (state === "waiting" ? errors.get(origin) : null);
    super.show(pulls.map((pull) => ({ ...pull, last_error: errorOf(pull) })), now);
  }
}
