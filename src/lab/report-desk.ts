import type { Report } from "../workers/messages.js";

/** Somebody who waits for a report. */
interface Waiter {
  /** Takes the report it was waiting for; false for any other. */
  readonly take: (report: Report) => boolean;
  readonly fail: (error: Error) => void;
}

/** Hands the reports of a machine's threads to whoever waits for them; once the machine broke, everybody fails. */
export class ReportDesk {
  readonly #waiters: Waiter[] = [];
  #broken: Error | undefined;

  /** Waits for the first report that `accept` takes. */
  expect(accept: (report: Report) => boolean): Promise<Report> {
    const report = new Promise<Report>((resolve, reject) => {
      if (this.#broken !== undefined) {
        reject(this.#broken);
        return;
      }
      const take = (report: Report) => {
        if (!accept(report)) return false;
        resolve(report);
        return true;
      };
      this.#waiters.push({ take, fail: reject });
    });
    // Somebody who was about to wait may be gone when the machine breaks: that is no second failure.
    report.catch(() => {});
    return report;
  }

  /** Calls `fail` when the machine breaks. */
  onBreak(fail: (error: Error) => void): void {
    this.#waiters.push({ take: () => false, fail });
  }

  /** Gives a report to the first who waits for it. */
  hear(report: Report): void {
    const index = this.#waiters.findIndex(({ take }) => take(report));
    if (index >= 0) this.#waiters.splice(index, 1);
  }

  /** Ends all waiting with an error, now and from now on; the first error counts. */
  break(error: Error): void {
    this.#broken ??= error;
    for (const { fail } of this.#waiters.splice(0)) fail(this.#broken);
  }
}
