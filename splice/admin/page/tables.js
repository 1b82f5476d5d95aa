// A table of at most a hundred rows, kept in step with a list. Rows stay the same elements for as long as their item is
// there, so that the focus stays where it is; all that an item says becomes text, never markup.

import { number, say } from "./words.js";

export const PAGE = 100;

export class Table {
  // columns: [{ key, label, text: item => string, tone: item => string }]; actions: item => [{ label, name, act }], where
  // the name is the item's, for who hears it; without one it is what the first column says
  constructor(id, columns, actions = null) {
    this.table = document.getElementById(id);
    this.body = this.table.tBodies[0];
    this.columns = columns;
    this.actions = actions;
    this.rows = new Map();
    const head = this.table.tHead.insertRow();
    for (const { label, numeric } of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = label;
      cell.classList.toggle("number", Boolean(numeric));
      head.append(cell);
    }
    if (actions) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.className = "actions";
      cell.setAttribute("aria-label", say("actions"));
      head.append(cell);
    }
  }

  show(items) {
    const focused = document.activeElement;
    const seen = new Set();
    let before = null;
    for (const item of items) {
      seen.add(item.id);
      const row = this.rows.get(item.id) || this.add(item.id);
      row.item = item;
      this.columns.forEach(({ text, tone }, at) => {
        const cell = row.element.cells[at];
        const value = text(item);
        if (cell.textContent !== value) cell.textContent = value;
        cell.classList.toggle("none", value === "–");
        if (tone) cell.dataset.tone = tone(item);
      });
      if (this.actions) this.showActions(row);
      const wanted = before === null ? this.body.firstElementChild : before.nextElementSibling;
      if (wanted !== row.element) this.body.insertBefore(row.element, wanted);
      before = row.element;
    }
    for (const [id, row] of this.rows) {
      if (seen.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    const empty = this.table.nextElementSibling;
    if (empty !== null && empty.classList.contains("empty")) empty.hidden = items.length > 0;
    this.table.hidden = items.length === 0;
    // A row that changes its place takes the focus out of it.
    if (this.body.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
  }

  add(id) {
    const element = document.createElement("tr");
    for (const { key, label, numeric } of this.columns) {
      const cell = element.insertCell();
      cell.dataset.label = label;
      cell.dataset.key = key;
      cell.classList.toggle("number", Boolean(numeric));
    }
    if (this.actions) element.insertCell().className = "actions";
    const row = { element, item: null, shown: "" };
    this.rows.set(id, row);
    return row;
  }

  showActions(row) {
    const actions = this.actions(row.item);
    const shown = actions.map((action) => action.label).join("\n");
    if (shown === row.shown) return;
    row.shown = shown;
    const buttons = actions.map(({ label, kind, name }, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.className = kind || "";
      button.setAttribute("aria-label", `${label}: ${name ?? row.element.cells[0].textContent}`);
      button.addEventListener("click", () => this.actions(row.item)[at]?.act());
      return button;
    });
    row.element.lastElementChild.replaceChildren(...buttons);
  }
}

// Previous and next, where a list has more than one page.
export class Pager {
  constructor(place, onChange) {
    this.offset = 0;
    this.place = place;
    this.text = document.createElement("span");
    this.back = this.button(say("previous"), -PAGE, onChange);
    this.on = this.button(say("next"), PAGE, onChange);
    place.append(this.back, this.text, this.on);
    place.hidden = true;
  }

  button(label, step, onChange) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      this.offset = Math.max(0, this.offset + step);
      onChange();
    });
    return button;
  }

  // Returns whether the page that was shown is still there.
  show(total) {
    if (this.offset >= total && this.offset > 0) {
      this.offset = Math.max(0, (Math.ceil(total / PAGE) - 1) * PAGE);
      return false;
    }
    this.place.hidden = total <= PAGE;
    const last = Math.min(total, this.offset + PAGE);
    this.text.textContent = say("page_of", {
      first: number(this.offset + 1),
      last: number(last),
      total: number(total),
    });
    this.back.disabled = this.offset === 0;
    this.on.disabled = last >= total;
    return true;
  }
}
