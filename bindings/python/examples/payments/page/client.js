// A client as they are: it gives up on slow answers, and sends again what it has no answer to.

const PAUSE = 100;
const PATIENCE = 10_000;
const MOST_SENDS = 8;

/** One press on the button, in one lane: a request, and what is sent again after it. */
export class Click {
  /**
   * @param {"plain" | "once"} lane
   * @param {{number: number, id: string, key: string}} purchase
   * @param {{amount: number, patience?: number}} what `patience`: of its first request, in ms
   */
  constructor(lane, purchase, what) {
    this.lane = lane;
    this.purchase = purchase;
    this.amount = what.amount;
    this.patience = what.patience ?? PATIENCE;
    this.requests = [];
  }

  /** Sends it until it has an answer that stays. */
  async settle() {
    let patience = this.patience;
    for (let sends = 0; sends < MOST_SENDS; sends += 1) {
      const request = await this.send(patience);
      const after = request.retryAfter;
      if (after === null) return;
      await pause(after);
      // After one disappointment it waits for the answer.
      patience = PATIENCE;
    }
  }

  async send(patience) {
    const request = {
      id: crypto.randomUUID(),
      sent: performance.now(),
      answered: null,
      // waiting, charged, replayed, progress, mismatch, timeout or failed
      kind: "waiting",
      retryAfter: null,
    };
    this.requests.push(request);
    try {
      const response = await fetch(`/${this.lane}/charges`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "Idempotency-Key": `"${this.purchase.key}"`,
          "X-Request-Id": request.id,
        },
        body: JSON.stringify({
          purchase: this.purchase.id,
          amount: this.amount,
          currency: "EUR",
        }),
        signal: AbortSignal.timeout(patience),
      });
      await response.arrayBuffer();
      request.kind = kindOf(response);
      if (request.kind === "progress") {
        request.retryAfter = 1000 * Number(response.headers.get("Retry-After") ?? 1);
      }
    } catch (error) {
      const isLate = error instanceof DOMException && error.name === "TimeoutError";
      request.kind = isLate ? "timeout" : "failed";
      request.retryAfter = PAUSE;
    }
    request.answered = performance.now();
    return request;
  }
}

/** A purchase: its key is made once, when the shopper comes to the till. */
export function newPurchase(number) {
  return { number, id: crypto.randomUUID(), key: crypto.randomUUID() };
}

/** Returns after so many milliseconds. */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function kindOf(response) {
  if (response.status === 201) {
    return response.headers.get("Idempotent-Replayed") === "true" ? "replayed" : "charged";
  }
  return { 409: "progress", 422: "mismatch" }[response.status] ?? "failed";
}
