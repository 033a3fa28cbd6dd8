// The page: its buttons, and both lanes.

import { LANES, PRICE, Run } from "./run.js";
import { Timeline } from "./timeline.js";

const READ_EVERY = 250;
const HINT = "Click “Pay” twice, fast.";

/** One lane: numbers, timeline and ledger. */
class LaneView {
  constructor(name) {
    this.name = name;
    this.root = document.getElementById(name);
    this.root.append(document.getElementById("lane").content.cloneNode(true));
    this.timeline = new Timeline(this.root.querySelector(".timeline"));
    this.shown = "";
  }

  show(run, workers, now) {
    const counts = run.counts(this.name);
    for (const cell of this.root.querySelectorAll("[data-count]")) {
      setText(cell, counts[cell.dataset.count]);
    }
    const taken = this.root.querySelector(".taken");
    setText(taken, euros(counts.taken));
    setText(this.root.querySelector(".owed"), owed(counts));
    taken.classList.toggle("wrong", counts.taken > counts.owed);
    taken.classList.toggle("right", counts.taken > 0 && counts.taken === counts.owed);
    this.timeline.draw(run, this.name, now);
    this.showLedger(run, workers);
  }

  showLedger(run, workers) {
    const charges = run.chargesOf(this.name);
    const now = charges.map((charge) => charge.id).join();
    if (now === this.shown && charges.length > 0) return;
    this.shown = now;
    const rows = run.purchases
      .map((purchase) => charges.filter((charge) => charge.purchase === purchase))
      .filter((of) => of.length > 0)
      .map((of) => ledgerRow(of, workers));
    const body = this.root.querySelector(".ledger tbody");
    body.replaceChildren(...(rows.length > 0 ? rows : [emptyRow()]));
  }
}

function ledgerRow(charges, workers) {
  const row = document.createElement("tr");
  const cells = [1, 2, 3].map(() => document.createElement("td"));
  cells[0].textContent = charges[0].purchase.number;
  for (const charge of charges) {
    const chip = document.createElement("span");
    chip.className = charge.again ? "chip again" : "chip charged";
    chip.textContent = `${euros(charge.amount)} · w${workers.get(charge.worker)}`;
    chip.title = `worker ${workers.get(charge.worker)}, process ${charge.worker}`;
    cells[1].append(chip, " ");
  }
  cells[2].textContent = euros(charges.reduce((sum, charge) => sum + charge.amount, 0));
  cells[2].classList.toggle("wrong", charges.length > 1);
  row.append(...cells);
  return row;
}

function emptyRow() {
  const row = document.createElement("tr");
  row.className = "empty";
  const cell = document.createElement("td");
  cell.colSpan = 3;
  cell.textContent = "Nothing was charged yet.";
  row.append(cell);
  return row;
}

/** All of it. */
class Page {
  constructor() {
    this.lanes = LANES.map((name) => new LaneView(name));
    this.workers = new Map();
    this.readUpTo = 0;
    this.reading = null;
    this.isDrawing = false;
    this.isBusy = false;
    this.buttons = Object.fromEntries(
      ["pay", "burst", "new"].map((id) => [id, document.getElementById(id)]),
    );
    this.buttons.pay.addEventListener("click", () => this.pay());
    this.buttons.burst.addEventListener("click", () => this.burst());
    this.buttons.new.addEventListener("click", () => this.begin());
    new ResizeObserver(() => this.draw()).observe(document.querySelector(".lanes"));
    this.begin();
  }

  /** A new run, with one purchase that waits to be paid. */
  begin() {
    this.run = new Run();
    this.isBurst = false;
    this.run.purchase();
    this.say(HINT);
    this.draw();
  }

  /** One click on the button. */
  async pay() {
    if (this.isBurst) this.begin();
    const run = this.run;
    const over = run.click(run.purchases[0], { amount: PRICE });
    this.say("Sent to both lanes…");
    await this.watch(run, over);
  }

  /** Eight double clicks. */
  async burst() {
    this.run = new Run();
    this.isBurst = true;
    this.setBusy(true);
    const over = this.run.burst();
    this.say("8 shoppers, each with a nervous finger or a bad connection…");
    try {
      await this.watch(this.run, over);
    } finally {
      this.setBusy(false);
    }
  }

  /** Draws a run, and reads the ledger, until what it waits for is over. */
  async watch(run, over) {
    this.animate();
    await over;
    if (run.active > 0) return;
    await this.read();
    if (run !== this.run) return;
    this.draw();
    this.say(...summary(run));
  }

  animate() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    let readAt = performance.now();
    const frame = (now) => {
      if (now - readAt > READ_EVERY) {
        readAt = now;
        void this.read();
      }
      this.draw();
      this.isDrawing = this.run.active > 0 || this.isBusy;
      if (this.isDrawing) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /** Reads what is new in the ledger. One at a time, so that nothing is read twice. */
  async read() {
    while (this.reading) await this.reading;
    this.reading = this.readOnce();
    await this.reading;
  }

  async readOnce() {
    try {
      const response = await fetch(`/ledger?after=${this.readUpTo}`);
      if (!response.ok) return;
      const { charges } = await response.json();
      for (const charge of charges) {
        this.readUpTo = charge.id;
        if (!this.workers.has(charge.worker)) {
          this.workers.set(charge.worker, this.workers.size + 1);
        }
      }
      this.run.read(charges);
    } catch {
      this.say("The shop does not answer.");
    } finally {
      this.reading = null;
    }
  }

  draw() {
    const now = performance.now();
    for (const lane of this.lanes) lane.show(this.run, this.workers, now);
  }

  setBusy(isBusy) {
    this.isBusy = isBusy;
    for (const button of Object.values(this.buttons)) button.disabled = isBusy;
  }

  say(...parts) {
    const state = document.getElementById("state");
    state.replaceChildren(...parts);
    state.dataset.settled = String(this.run.active === 0 && this.run.clicks.length > 0);
  }
}

function summary(run) {
  const [plain, once] = LANES.map((lane) => run.counts(lane));
  const purchases = plain.owed / PRICE;
  if (plain.failed + once.failed > 0) return ["Some requests failed. Reload the page."];
  return [
    `${plural(purchases, "purchase")}: `,
    strong(plural(plain.charges, "charge"), plain.taken > plain.owed),
    " without, ",
    strong(once.charges, once.taken > once.owed),
    " with oncegate.",
  ];
}

function strong(text, isWrong) {
  const made = document.createElement("b");
  made.className = isWrong ? "wrong" : "right";
  made.textContent = text;
  return made;
}

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function owed({ taken, owed }) {
  if (owed === 0) return "taken";
  const over = taken - owed;
  return over > 0 ? `taken, ${euros(over)} too much` : `taken of ${euros(owed)} owed`;
}

function euros(cents) {
  return `${(cents / 100).toFixed(2)} €`;
}

function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

new Page();
