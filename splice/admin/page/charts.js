// A line over the last five minutes, drawn as SVG.

import { say } from "./words.js";

const SPAN_MS = 5 * 60 * 1000;
const WIDTH = 600;
const HEIGHT = 80;
const NAMESPACE = "http://www.w3.org/2000/svg";

function shape(kind, parent) {
  const element = document.createElementNS(NAMESPACE, kind);
  parent.append(element);
  return element;
}

// The next round number above: 1, 2 or 5 times a power of ten.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((round) => round >= value);
}

export class Chart {
  constructor(id, label, format) {
    const svg = document.getElementById(id);
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    this.svg = svg;
    this.peak = svg.parentElement.querySelector(".peak");
    this.label = label;
    this.format = format;
    this.points = [];
    this.area = shape("path", svg);
    this.area.setAttribute("class", "area");
    this.line = shape("path", svg);
    this.line.setAttribute("class", "line");
  }

  add(value, now) {
    this.points.push({ at: now, value });
    while (this.points[0].at < now - SPAN_MS) this.points.shift();
    const peak = Math.max(...this.points.map((point) => point.value));
    const top = ceiling(peak * 1.05);
    const place = ({ at, value }) =>
      `${(WIDTH - ((now - at) / SPAN_MS) * WIDTH).toFixed(1)} ${(HEIGHT - 2 - (value / top) * (HEIGHT - 4)).toFixed(1)}`;
    const path = this.points.map(place).join("L");
    this.line.setAttribute("d", `M${path}`);
    const left = place({ at: this.points[0].at, value: 0 }).split(" ")[0];
    this.area.setAttribute("d", `M${left} ${HEIGHT}L${path}L${WIDTH} ${HEIGHT}Z`);
    this.peak.textContent = say("peak", { value: this.format(peak) });
    this.svg.setAttribute("aria-label", `${this.label}: ${this.format(value)}`);
  }
}
