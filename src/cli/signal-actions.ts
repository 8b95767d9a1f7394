/** What each signal does to a pooler. Texts, and what a second signal means, are those of PgBouncer's `main.c`. */
import type { Logger } from "../log/logger.ts";
import { PoolerState, ShutdownMode } from "../pooler/operations.ts";
import type { Pooler } from "../pooler/pooler.ts";
import type { ServiceNotifier } from "./service-notifier.ts";
import type { CaughtSignal } from "./signals.ts";

export interface SignalActionsOptions {
  readonly pooler: Pooler;
  readonly log: Logger;
  readonly notifier: ServiceNotifier;
  /** A FATAL line, and the end. */
  readonly die: (reason: string) => void;
}

const WAITS_FOR = {
  SIGTERM: { mode: ShutdownMode.waitForClients, text: "waiting for all clients disconnect" },
  SIGINT: { mode: ShutdownMode.waitForServers, text: "waiting for all servers connections to be released" },
} as const;

export class SignalActions {
  readonly #options: SignalActionsOptions;

  constructor(options: SignalActionsOptions) {
    this.#options = options;
  }

  take(signal: CaughtSignal): void {
    switch (signal) {
      case "SIGHUP":
        this.#reload();
        return;
      case "SIGINT":
      case "SIGTERM":
        this.#shutDown(signal);
        return;
      case "SIGQUIT":
        this.#options.log.log("got SIGQUIT, fast exit");
        this.#options.pooler.operations.shutdown(ShutdownMode.immediate);
        return;
      case "SIGUSR1":
        this.#pause();
        return;
      case "SIGUSR2":
        this.#resume();
    }
  }

  #reload(): void {
    const { log, notifier, pooler } = this.#options;
    log.log("got SIGHUP, re-reading config");
    notifier.reloading();
    pooler.reload();
    notifier.ready();
  }

  #shutDown(signal: "SIGINT" | "SIGTERM"): void {
    const { log, notifier, pooler, die } = this.#options;
    const { operations } = pooler;
    if (operations.shutdownMode !== null) {
      log.log(`got ${signal} while shutting down, fast exit`);
      operations.shutdown(ShutdownMode.immediate);
      return;
    }
    const { mode, text } = WAITS_FOR[signal];
    log.log(`got ${signal}, shutting down, ${text}`);
    notifier.stopping();
    if (operations.state === PoolerState.suspended) die("suspend was in progress, going down immediately");
    else operations.shutdown(mode);
  }

  #pause(): void {
    const { log, pooler } = this.#options;
    if (pooler.operations.state === PoolerState.active) {
      log.log("got SIGUSR1, pausing all activity");
      pooler.operations.pause(() => {});
    } else {
      log.log("got SIGUSR1, but already paused/suspended");
    }
  }

  #resume(): void {
    const { log, pooler } = this.#options;
    const { operations } = pooler;
    if (operations.shutdownMode !== null) {
      log.log("got SIGUSR2 while shutting down, ignoring");
    } else if (operations.state === PoolerState.active) {
      log.log("got SIGUSR2, but not paused/suspended");
    } else {
      const what = operations.state === PoolerState.suspended ? "SUSPEND" : "PAUSE";
      log.log(`got SIGUSR2, continuing from ${what}`);
      operations.resume();
    }
  }
}
