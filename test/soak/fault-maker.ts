/**
 * Injects faults from outside: console commands that may cost nobody anything, and accidents that may cost what
 * fault-log.ts says. One at a time, a few seconds apart; PostgreSQL restarts every minute or two.
 */
import { signalProcess } from "../../src/demo/processes.ts";
import type { Random } from "../sim/random.ts";
import { waitFor } from "../support/wait-for.ts";
import { query } from "../support/wire-client.ts";
import { SoakConnection } from "./soak-connection.ts";
import type { SoakClient } from "./soak-client.ts";
import type { SoakRun } from "./soak-run.ts";
import { poolSizes, soakDatabase, soakUser } from "./soak-stage.ts";

const restMsMin = 500;
const restMsMax = 3500;
const restartEveryMsMin = 60_000;
const restartEveryMsMax = 120_000;
/** In a run shorter than a minute the restart comes after this part of it. */
const restartAfterPart = 0.45;
/** Whatever a fault does to a client is told within so long, on a machine that has other work too. */
const effectsMs = 4000;
const consoleDeadlineMs = 30_000;
const recoveryDeadlineMs = 20_000;
const pauseMsMax = 500;
const freezeMsMax = 700;
const terminatedMax = 3;

export class FaultMaker {
  readonly #run: SoakRun;
  readonly #random: Random;
  readonly #clients: readonly SoakClient[];

  constructor(run: SoakRun, random: Random, clients: readonly SoakClient[]) {
    this.#run = run;
    this.#random = random;
    this.#clients = clients;
  }

  /** Makes faults until the soak is over. */
  async live(): Promise<void> {
    const random = this.#random;
    const weights = { terminate: 4, freeze: 2, killClient: 3, reload: 2, reconnect: 2, pause: 2 };
    let restartAtMs = Math.min(this.#nextRestartMs(), this.#run.startedMs + this.#run.durationMs * restartAfterPart);
    for (;;) {
      await this.#run.rest(random.between(restMsMin, restMsMax));
      if (this.#run.isOver) return;
      const isRestartDue = performance.now() >= restartAtMs;
      const kind = isRestartDue ? "restart" : random.weighted(weights);
      if (isRestartDue) restartAtMs = this.#nextRestartMs();
      this.#run.tally.fault(kind);
      try {
        await this.#make(kind);
      } catch (error) {
        this.#run.fail(`${kind}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }

  async #make(
    kind: "terminate" | "freeze" | "killClient" | "reload" | "reconnect" | "pause" | "restart",
  ): Promise<void> {
    switch (kind) {
      case "terminate":
        return this.#terminate();
      case "freeze":
        return this.#freeze();
      case "killClient":
        return this.#killClient();
      case "reload":
        return this.#reload();
      case "reconnect":
        return this.#console("RECONNECT");
      case "pause":
        return this.#pause();
      case "restart":
        return this.#restart();
    }
  }

  #nextRestartMs(): number {
    return performance.now() + this.#random.between(restartEveryMsMin, restartEveryMsMax);
  }

  /** Backends of the pool, as PostgreSQL knows them. */
  async #backends(): Promise<number[]> {
    const { rows } = await this.#run.stage.cluster.query(
      "select pid from pg_stat_activity where usename = $1 and client_addr is not null order by pid",
      [soakUser],
    );
    return (rows as { pid: number }[]).map(({ pid }) => pid);
  }

  async #terminate(): Promise<void> {
    const count = this.#random.between(1, terminatedMax);
    const backends = await this.#backends();
    const victims = Array.from({ length: Math.min(count, backends.length) }, () => this.#random.pick(backends));
    const fault = this.#run.faults.begin("terminate", new Set(victims).size);
    await this.#run.stage.cluster.query("select pg_terminate_backend(pid) from unnest($1::int[]) pid", [victims]);
    this.#run.faults.end(fault, effectsMs);
  }

  /** One backend stands still for a while: whoever waits for it is late, and nobody else may be. */
  async #freeze(): Promise<void> {
    const backends = await this.#backends();
    if (backends.length === 0) return;
    const victim = this.#random.pick(backends);
    if (!signalProcess(victim, "SIGSTOP")) return;
    try {
      await this.#run.rest(this.#random.between(1, freezeMsMax));
    } finally {
      signalProcess(victim, "SIGCONT");
    }
  }

  async #killClient(): Promise<void> {
    const rows = await this.#run.stage.bouncer.admin("SHOW CLIENTS");
    const port = this.#random.pick(this.#clients).localPort;
    const row = rows.find((row) => row["port"] === port);
    if (port === null || row === undefined) return;
    const fault = this.#run.faults.begin("KILL_CLIENT", 1, port);
    // It may have left by itself since.
    await this.#run.stage.bouncer.admin(`KILL_CLIENT ${row["id"]}`).catch(() => undefined);
    this.#run.faults.end(fault, effectsMs);
  }

  async #reload(): Promise<void> {
    const { bouncer, settings } = this.#run.stage;
    const size = this.#random.pick(poolSizes);
    bouncer.rewrite({ settings: { ...settings, default_pool_size: size, log_stats: this.#random.below(2) } });
    await this.#console("RELOAD");
  }

  async #pause(): Promise<void> {
    try {
      await this.#console("PAUSE");
      await this.#run.rest(this.#random.between(1, pauseMsMax));
    } finally {
      await this.#console("RESUME");
    }
  }

  /** Everybody may lose a connection, until PostgreSQL answers through the pooler again. */
  async #restart(): Promise<void> {
    const fault = this.#run.faults.begin("restart", Number.POSITIVE_INFINITY);
    await this.#run.stage.cluster.restart("fast");
    await waitFor("an answer after a restart of PostgreSQL", () => this.#isServed(), recoveryDeadlineMs);
    this.#run.faults.end(fault, effectsMs);
  }

  async #isServed(): Promise<boolean> {
    const login = { user: soakUser, database: soakDatabase };
    const connection = await SoakConnection.login(this.#run.stage.bouncer, login);
    try {
      const { rows } = await connection.ask(query("select 1"));
      return rows.length === 1;
    } finally {
      connection.leave("terminate");
    }
  }

  async #console(command: string): Promise<void> {
    let late: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      const error = new Error(`${command} was not answered within ${consoleDeadlineMs / 1000} s`);
      late = setTimeout(() => reject(error), consoleDeadlineMs);
    });
    try {
      await Promise.race([this.#run.stage.bouncer.admin(command), tooLate]);
    } finally {
      clearTimeout(late);
    }
  }
}
