// A run: some purchases, the clicks on their button, and what the ledger says of them.

import { Click, newPurchase, pause } from "./client.js";

export const LANES = ["plain", "once"];
export const PRICE = 4900;

/**
 * The burst: when the second click comes after the first one, how long the first request's client
 * is patient, and what the second click pays. The card network takes longer than 150 ms.
 */
const BURST = [
  { gap: 90 },
  { gap: 130, patience: 150 },
  { gap: 60 },
  // Between its clicks, another browser tab has changed the cart.
  { gap: 110, secondAmount: 5900 },
  { gap: 80, patience: 150 },
  { gap: 150 },
  { gap: 70 },
  { gap: 120, patience: 150 },
];
const BETWEEN = 300;

export class Run {
  constructor() {
    this.startedAt = performance.now();
    this.purchases = [];
    this.clicks = [];
    this.charges = [];
    this.active = 0;
    this.endedAt = this.startedAt;
  }

  /** A purchase more, with a key of its own. */
  purchase() {
    const purchase = newPurchase(this.purchases.length + 1);
    this.purchases.push(purchase);
    return purchase;
  }

  /** One click, in both lanes. */
  async click(purchase, what) {
    if (this.clicks.length === 0) this.startedAt = performance.now();
    this.active += 1;
    const clicks = LANES.map((lane) => new Click(lane, purchase, what));
    this.clicks.push(...clicks);
    await Promise.all(clicks.map((click) => click.settle()));
    this.active -= 1;
    this.endedAt = performance.now();
  }

  /** Eight double clicks. */
  async burst() {
    const settled = [];
    for (const { gap, patience, secondAmount } of BURST) {
      const purchase = this.purchase();
      settled.push(this.click(purchase, { amount: PRICE, patience }));
      await pause(gap);
      settled.push(this.click(purchase, { amount: secondAmount ?? PRICE }));
      await pause(BETWEEN - gap);
    }
    await Promise.all(settled);
  }

  /** Takes from the ledger what is this run's. */
  read(charges) {
    for (const charge of charges) {
      const purchase = this.purchases.find((one) => one.id === charge.purchase);
      if (purchase) this.charges.push({ ...charge, purchase, again: this.hasCharge(charge) });
    }
  }

  hasCharge({ lane, purchase }) {
    return this.charges.some((one) => one.lane === lane && one.purchase.id === purchase);
  }

  clicksOf(lane, purchase) {
    return this.clicks.filter((click) => click.lane === lane && click.purchase === purchase);
  }

  chargesOf(lane) {
    return this.charges.filter((charge) => charge.lane === lane);
  }

  /** Until when there is something to see. */
  lastAt(now) {
    return this.active > 0 ? now : this.endedAt;
  }

  /** The kind of a request; a charge that was not the purchase's first is another one. */
  colourOf(request) {
    if (request.kind !== "charged") return request.kind;
    return this.chargeOf(request)?.again ? "again" : "charged";
  }

  /** Whether a request has charged, whose client never heard of it. */
  chargedUnheard(request) {
    return request.kind === "timeout" && this.chargeOf(request) !== undefined;
  }

  chargeOf(request) {
    return this.charges.find((charge) => charge.request === request.id);
  }

  /** The numbers of a lane. */
  counts(lane) {
    const clicks = this.clicks.filter((click) => click.lane === lane);
    const requests = clicks.flatMap((click) => click.requests);
    const charges = this.chargesOf(lane);
    const counts = { clicks: clicks.length, requests: requests.length, charges: charges.length };
    for (const kind of ["replayed", "progress", "mismatch", "timeout", "failed"]) {
      counts[kind] = requests.filter((request) => request.kind === kind).length;
    }
    counts.taken = charges.reduce((sum, charge) => sum + charge.amount, 0);
    counts.owed = PRICE * new Set(clicks.map((click) => click.purchase)).size;
    return counts;
  }
}
