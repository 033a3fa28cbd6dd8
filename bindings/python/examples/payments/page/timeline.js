// The timeline: a row for each click, a bar for each request.

const ROW = 11;
const BAR = 9;
const GAP = 6;
const LEFT = 26;
const RIGHT = 8;
const AXIS = 20;
const SHORTEST = 6;
const THIN = 4;
const NAMES = {
  waiting: "no answer yet",
  charged: "charged",
  again: "charged again",
  replayed: "replayed: the first answer again",
  progress: "409: another request with this key still runs",
  mismatch: "422: this key was used with another payload",
  timeout: "timed out: the client hung up",
  failed: "failed",
};

/** Draws one lane of a run. */
export class Timeline {
  /** @param {SVGSVGElement} svg */
  constructor(svg) {
    this.svg = svg;
  }

  /**
   * @param {import("./run.js").Run} run
   * @param {"plain" | "once"} lane
   * @param {number} now of the same clock as the requests
   */
  draw(run, lane, now) {
    const width = this.svg.clientWidth;
    const span = Math.max(4000, Math.ceil((run.lastAt(now) - run.startedAt + 300) / 1000) * 1000);
    const scale = (width - LEFT - RIGHT) / span;
    const x = (time) => LEFT + (time - run.startedAt) * scale;
    const parts = [];
    let y = AXIS;
    for (const purchase of run.purchases) {
      const clicks = run.clicksOf(lane, purchase);
      const height = Math.max(clicks.length, 1) * ROW;
      const label = { class: "number", x: LEFT - 8, y: y + height / 2 + 3 };
      parts.push(node("text", label, purchase.number));
      for (const click of clicks) {
        parts.push(...this.row(run, click, y, x, now));
        y += ROW;
      }
      if (clicks.length === 0) y += ROW;
      y += GAP;
    }
    this.svg.setAttribute("height", y);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${y}`);
    this.svg.replaceChildren(...axis(span, scale, y), ...parts);
  }

  row(run, click, y, x, now) {
    const [lines, below, bars] = [[], [], []];
    const middle = y + BAR / 2;
    const last = click.requests.at(-1);
    if (click.requests.length > 1) {
      const [x1, x2] = [x(click.requests[0].sent), x(last.sent)];
      lines.push(node("line", { class: "resends", x1, x2, y1: middle, y2: middle }));
    }
    for (const request of click.requests) {
      const end = request.answered ?? now;
      const kind = run.colourOf(request);
      const bar = node("rect", {
        class: `bar ${kind}`,
        x: x(request.sent),
        y,
        width: Math.max(x(end) - x(request.sent), SHORTEST),
        height: BAR,
        rx: 2.5,
      });
      bar.append(node("title", {}, told(run, request, kind, end)));
      bars.push(bar);
      if (run.chargedUnheard(request)) below.push(unheard(run, request, x, y));
    }
    return [...lines, ...below, ...bars];
  }
}

function told(run, request, kind, end) {
  const sent = Math.round(request.sent - run.startedAt);
  const took = Math.round(end - request.sent);
  const unheard = run.chargedUnheard(request) ? "; the ledger says that it charged" : "";
  return `sent at ${sent} ms, ${took} ms: ${NAMES[kind]}${unheard}`;
}

/** What the worker did after its client had hung up. */
function unheard(run, request, x, y) {
  const charge = run.chargeOf(request);
  const from = x(request.answered);
  const until = x(1000 * charge.charged_at - performance.timeOrigin);
  return node("rect", {
    class: `bar ${charge.again ? "again" : "charged"}`,
    x: from,
    y: y + (BAR - THIN) / 2,
    width: Math.max(until - from, SHORTEST),
    height: THIN,
  });
}

function axis(span, scale, height) {
  const parts = [];
  const step = span <= 8000 ? 1000 : Math.ceil(span / 8000) * 1000;
  for (let time = 0; time <= span; time += step) {
    const at = LEFT + time * scale;
    parts.push(node("line", { class: "grid", x1: at, x2: at, y1: AXIS - 6, y2: height }));
    const anchor = time === span ? "end" : "middle";
    const label = { class: "tick", x: anchor === "end" ? at + RIGHT : at, y: 10 };
    parts.push(node("text", { ...label, "text-anchor": anchor }, `${time / 1000} s`));
  }
  return parts;
}

function node(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
