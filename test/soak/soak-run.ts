/**
 * One soak while it goes on: what all its actors share (stage, counts, faults, the books that are compared at the end),
 * when it is over, and what was found. It knows nothing of what the actors do.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Draws } from "./draws.ts";
import { FaultLog } from "./fault-log.ts";
import { LostConnection } from "./lost-connection.ts";
import type { SoakOptions } from "./soak-options.ts";
import { type SoakStage, versionedObjects } from "./soak-stage.ts";
import { Tally } from "./tally.ts";
import { Versions } from "./versions.ts";

/** After so many failures the rest would only be their consequences: the soak ends, and few more are printed. */
const failuresMax = 10;
const failuresPrintedMax = 25;

export class SoakRun {
  readonly options: SoakOptions;
  readonly stage: SoakStage;
  readonly tally = new Tally();
  readonly faults = new FaultLog();
  readonly versions = new Versions(versionedObjects);
  readonly draws = new Draws();
  readonly failures: string[] = [];
  readonly startedMs = performance.now();
  /** The same as `#over`'s, but asked for before each operation. */
  #isOver = false;
  readonly #over = new AbortController();
  readonly #print: (line: string) => void;

  constructor(options: SoakOptions, stage: SoakStage, print: (line: string) => void) {
    this.options = options;
    this.stage = stage;
    this.#print = print;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get durationMs(): number {
    return this.options.minutes * 60_000;
  }

  /** Actors finish what they have begun. Safe to call twice. */
  end(): void {
    this.#isOver = true;
    this.#over.abort();
  }

  /** A line, with the time since the start. */
  print(text: string): void {
    const seconds = (performance.now() - this.startedMs) / 1000;
    this.#print(`${seconds.toFixed(1).padStart(7)} s  ${text}`);
  }

  /** Something is not as it must be: the soak will fail. */
  fail(what: string): void {
    this.failures.push(what);
    if (this.failures.length <= failuresPrintedMax) this.print(`FAILED: ${what}`);
    if (this.failures.length >= failuresMax) this.end();
  }

  /**
   * An operation or a login of `who` ended with `error`: counts a loss that is in order, and calls everything else a
   * failure. `sinceMs`: since when it had been going on.
   */
  judge(who: string, error: unknown, sinceMs: number, localPort: number): void {
    if (!(error instanceof LostConnection)) {
      this.fail(`${who}: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    const reason = error.isOurs ? "left" : this.faults.excuse(error, sinceMs, localPort);
    if (reason === null) this.fail(`${who}: lost without a fault that explains it: ${error.message}`);
    else this.tally.loss(error.isOurs ? "left" : `${error.sqlstate} by ${reason}`);
  }

  /** Waits, but not beyond the end of the soak. */
  async rest(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#over.signal }).catch(() => undefined);
  }
}
