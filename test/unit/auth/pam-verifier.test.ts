/** Who is asked when, and what happens to logins when processes die, hang or cannot be had. The processes are scripted. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PamVerifier } from "../../../src/auth/pam-verifier.ts";
import type { PamProcess, PamProcessEvents, PamQuestion } from "../../../src/net/pam-process.ts";
import { createClock } from "../../../src/net/clock.ts";
import type { Clock, Timer } from "../../../src/net/world.ts";

/** A clock that stands still until it is told to go on. */
class HandClock implements Clock {
  #now = 0;
  #tasks: { at: number; task: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#now;
  }

  after(delayMs: number, task: () => void): Timer {
    const entry = { at: this.#now + delayMs, task };
    this.#tasks.push(entry);
    return { cancel: () => (this.#tasks = this.#tasks.filter((other) => other !== entry)) };
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#tasks.filter(({ at }) => at <= this.#now);
    this.#tasks = this.#tasks.filter((entry) => !due.includes(entry));
    for (const { task } of due) task();
  }
}

class ScriptedProcess implements PamProcess {
  readonly events: PamProcessEvents;
  readonly questions: PamQuestion[] = [];
  isKilled = false;
  isFinished = false;

  constructor(events: PamProcessEvents) {
    this.events = events;
  }

  ask(question: PamQuestion): void {
    this.questions.push(question);
  }

  kill(): void {
    this.isKilled = true;
  }

  finish(): void {
    this.isFinished = true;
  }

  answer(ok: boolean, delayMs = 0): void {
    this.events.onAnswer({ ok, log: ok ? null : "pam_authenticate() failed", delayMs });
  }
}

function harness(): { clock: HandClock; processes: ScriptedProcess[]; pam: PamVerifier } {
  const clock = new HandClock();
  const processes: ScriptedProcess[] = [];
  const pam = new PamVerifier(clock, {
    answerTimeoutMs: 5000,
    start: (events) => {
      const process = new ScriptedProcess(events);
      processes.push(process);
      return process;
    },
  });
  return { clock, processes, pam };
}

const settledNow = async (promise: Promise<unknown>): Promise<boolean> =>
  (await Promise.race([promise, Promise.resolve("pending")])) !== "pending";

describe("asking", () => {
  test("nothing is started before the first login; the service is pgbouncer", async () => {
    const { processes, pam } = harness();
    expect(processes).toHaveLength(0);
    const verdict = pam.verify("joe", "secret1", "192.0.2.1");
    expect(processes[0]?.questions).toEqual([]);
    processes[0]?.events.onReady();
    expect(processes[0]?.questions).toEqual([
      { service: "pgbouncer", confdir: null, user: "joe", password: "secret1", remoteHost: "192.0.2.1" },
    ]);
    processes[0]?.answer(true);
    expect(await verdict).toEqual({ ok: true, log: null });
  });

  test("one question at a time in each, four at most, first come, first served", async () => {
    const { processes, pam } = harness();
    const verdicts = Array.from({ length: 7 }, (_, i) => pam.verify(`u${i}`, "p", "h"));
    expect(processes).toHaveLength(4);
    for (const process of processes) process.events.onReady();
    expect(processes.map((process) => process.questions.map(({ user }) => user))).toEqual([
      ["u0"],
      ["u1"],
      ["u2"],
      ["u3"],
    ]);
    processes[2]?.answer(false);
    processes[2]?.answer(true);
    expect(processes[2]?.questions.map(({ user }) => user)).toEqual(["u2", "u4", "u5"]);
    expect((await verdicts[2])?.ok).toBe(false);
    expect((await verdicts[4])?.ok).toBe(true);
  });

  test("an idle process is used before another is started; the surplus goes, one stays", async () => {
    const { clock, processes, pam } = harness();
    void pam.verify("a", "p", "h");
    void pam.verify("b", "p", "h");
    for (const process of processes) process.events.onReady();
    for (const process of processes) process.answer(true);
    void pam.verify("c", "p", "h");
    expect(processes).toHaveLength(2);
    processes[0]?.answer(true);
    clock.advance(60_000);
    expect(processes.filter(({ isFinished }) => isFinished)).toHaveLength(1);
    await Promise.resolve();
  });

  test.each([
    ["joe", ""],
    ["joe", "a\0b"],
    ["j\0e", "p"],
  ])("user %j with password %j is refused unasked", async (user, password) => {
    const { processes, pam } = harness();
    expect((await pam.verify(user, password, "h")).ok).toBe(false);
    expect(processes).toHaveLength(0);
  });

  test("a failure is kept back as long as the modules want, and the process is free meanwhile", async () => {
    const { clock, processes, pam } = harness();
    const slow = pam.verify("a", "p", "h");
    processes[0]?.events.onReady();
    processes[0]?.answer(false, 2000);
    const quick = pam.verify("b", "p", "h");
    expect(processes).toHaveLength(1);
    processes[0]?.answer(true);
    expect((await quick).ok).toBe(true);
    clock.advance(1900);
    expect(await settledNow(slow)).toBe(false);
    clock.advance(100);
    expect(await slow).toEqual({ ok: false, log: "pam_authenticate() failed" });
  });
});

describe("trouble", () => {
  test("a process that dies fails its login only; the others are asked in a new one", async () => {
    const { processes, pam } = harness();
    const verdicts = Array.from({ length: 5 }, (_, i) => pam.verify(`u${i}`, "p", "h"));
    for (const process of processes) process.events.onReady();
    processes[1]?.events.onEnd("the process for PAM ended (signal SIGSEGV)", false);
    expect(await verdicts[1]).toEqual({ ok: false, log: "the process for PAM ended (signal SIGSEGV)" });
    expect(processes).toHaveLength(5);
    processes[4]?.events.onReady();
    expect(processes[4]?.questions.map(({ user }) => user)).toEqual(["u4"]);
  });

  test("a process that does not answer is killed, and its late answer is nobody's", async () => {
    const { clock, processes, pam } = harness();
    const first = pam.verify("a", "p", "h");
    processes[0]?.events.onReady();
    clock.advance(5000);
    expect(await first).toEqual({ ok: false, log: "PAM did not answer within 5 s" });
    expect(processes[0]?.isKilled).toBe(true);
    const second = pam.verify("b", "p", "h");
    processes[0]?.answer(true);
    expect(await settledNow(second)).toBe(false);
    expect(processes[0]?.questions).toHaveLength(1);
    processes[1]?.events.onReady();
    processes[1]?.answer(false);
    expect((await second).ok).toBe(false);
  });

  test("one that does not come up in time is killed too", async () => {
    const { clock, processes, pam } = harness();
    const verdict = pam.verify("a", "p", "h");
    clock.advance(5000);
    expect((await verdict).ok).toBe(false);
    expect(processes[0]?.isKilled).toBe(true);
  });

  test("without libpam every login fails, and is not tried for a while", async () => {
    const { clock, processes, pam } = harness();
    const verdicts = Array.from({ length: 6 }, () => pam.verify("a", "p", "h"));
    for (const process of processes.slice()) process.events.onEnd("PAM cannot be used: no libpam.so.0", true);
    for (const verdict of verdicts) {
      expect(await verdict).toEqual({ ok: false, log: "PAM cannot be used: no libpam.so.0" });
    }
    expect((await pam.verify("a", "p", "h")).log).toBe("PAM cannot be used: no libpam.so.0");
    expect(processes).toHaveLength(4);
    clock.advance(10_000);
    void pam.verify("a", "p", "h");
    expect(processes).toHaveLength(5);
  });

  test("after close nobody waits", async () => {
    const { processes, pam } = harness();
    const verdicts = Array.from({ length: 6 }, () => pam.verify("a", "p", "h"));
    processes[0]?.events.onReady();
    pam.close();
    for (const process of processes) {
      expect(process.isKilled).toBe(true);
      process.events.onEnd("the process for PAM ended (signal SIGKILL)", false);
    }
    for (const verdict of verdicts) expect((await verdict).ok).toBe(false);
    expect((await pam.verify("a", "p", "h")).ok).toBe(false);
    expect(processes).toHaveLength(4);
  });

  test("whatever happens, each login ends exactly once, and with its own answer", async () => {
    const step = fc.record({ what: fc.constantFrom("login", "ready", "answer", "end", "late"), which: fc.nat(9) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, processes, pam } = harness();
        const verdicts: Promise<{ ok: boolean }>[] = [];
        const passwords: string[] = [];
        const ready = new Set<ScriptedProcess>();
        const over = new Set<ScriptedProcess>();
        const answered = new Map<ScriptedProcess, number>();
        const right = (process: ScriptedProcess): boolean => process.questions.at(-1)?.password === "right";
        const answer = (process: ScriptedProcess): void => {
          const count = answered.get(process) ?? 0;
          if (over.has(process) || process.isKilled || count === process.questions.length) return;
          answered.set(process, count + 1);
          process.answer(right(process));
        };
        const makeReady = (process: ScriptedProcess): void => {
          if (ready.has(process) || over.has(process) || process.isKilled) return;
          ready.add(process);
          process.events.onReady();
        };
        for (const { what, which } of steps) {
          const process = processes[which % Math.max(1, processes.length)];
          if (what === "login") {
            const password = which % 2 === 0 ? "right" : "wrong";
            verdicts.push(pam.verify(`u${passwords.push(password)}`, password, "h"));
          } else if (what === "late") clock.advance(3000);
          else if (process === undefined) continue;
          else if (what === "ready") makeReady(process);
          else if (what === "answer") answer(process);
          else if (!over.has(process)) {
            over.add(process);
            process.events.onEnd("ended", false);
          }
        }
        // From here on all goes well.
        for (let i = 0; i < 200; i += 1) {
          for (const process of processes.slice()) {
            makeReady(process);
            answer(process);
          }
        }
        const asked = processes.flatMap((process) => process.questions.map(({ user }) => user));
        expect(new Set(asked).size).toBe(asked.length);
        for (const [i, { ok }] of (await Promise.all(verdicts)).entries()) {
          if (ok) expect(passwords[i]).toBe("right");
        }
      }),
      { numRuns: 300 },
    );
  });
});

test("a program that cannot run is the end of hope, not of the pooler", async () => {
  const pam = new PamVerifier(createClock(), {
    start: (events) => {
      queueMicrotask(() => events.onEnd("the process for PAM could not be started: ENOENT", true));
      return { ask: () => {}, kill: () => {}, finish: () => {} };
    },
  });
  expect((await pam.verify("a", "p", "h")).log).toBe("the process for PAM could not be started: ENOENT");
});
