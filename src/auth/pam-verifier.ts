/**
 * Passwords judged by the operating system's PAM (`auth_type=pam`), service "pgbouncer".
 *
 * PAM blocks, so it is asked in other processes: one is started with the first login and kept, more come while all are
 * busy, up to `PROCESSES_MAX`; the surplus goes when it has been idle for a while. Each has one question at a time, the
 * others wait here, first come, first served. A process that dies fails the login it was asked for and is replaced at the
 * next; one that does not answer in time is killed. The pause that modules want after a wrong password is made here: the
 * process is free meanwhile.
 *
 * Counterpart: the queue and thread of PgBouncer's `pam.c`, which has one thread for all logins.
 */
import { startPamProcess } from "../net/pam-process.ts";
import type { PamProcess, PamProcessEvents } from "../net/pam-process.ts";
import type { Clock, Timer } from "../net/world.ts";
import type { PasswordVerdict, PasswordVerifier } from "./password-verifier.ts";

export interface PamVerifierOptions {
  /** Folder of the service files instead of /etc/pam.d; libpam 1.4 or newer. */
  readonly confdir?: string;
  /** How long one question may take before its process is killed. Default 60,000. */
  readonly answerTimeoutMs?: number;
  /** Starts a process; given by tests. */
  readonly start?: (events: PamProcessEvents) => PamProcess;
}

const SERVICE = "pgbouncer";
const PROCESSES_MAX = 4;
/** More logins than this waiting for PAM are refused. */
const WAITING_MAX = 10_000;
/** A module that wants failures kept back for longer does not get it. */
const FAIL_DELAY_MAX_MS = 30_000;
const SURPLUS_IDLE_MS = 30_000;
/** How long "it cannot be used" is believed without trying again. */
const HOPELESS_MS = 10_000;
const NO_TIMER: Timer = { cancel: () => {} };

interface Question {
  readonly user: string;
  readonly password: string;
  readonly remoteHost: string;
  readonly answer: (verdict: PasswordVerdict) => void;
}

/** A process and what it does now. */
interface Seat {
  process: PamProcess;
  isReady: boolean;
  question: Question | null;
  timer: Timer;
}

export class PamVerifier implements PasswordVerifier {
  readonly #clock: Clock;
  readonly #confdir: string | null;
  readonly #answerTimeoutMs: number;
  readonly #start: (events: PamProcessEvents) => PamProcess;
  readonly #seats = new Set<Seat>();
  readonly #waiting: Question[] = [];
  #hopeless: { reason: string; untilMs: number } | null = null;
  #isClosed = false;

  constructor(clock: Clock, options: PamVerifierOptions = {}) {
    this.#clock = clock;
    this.#confdir = options.confdir ?? null;
    this.#answerTimeoutMs = options.answerTimeoutMs ?? 60_000;
    this.#start = options.start ?? startPamProcess;
  }

  verify(user: string, password: string, remoteHost: string): Promise<PasswordVerdict> {
    // A C string ends at its first zero: what is behind it would not be looked at.
    if (password === "" || [user, password, remoteHost].some((text) => text.includes("\0"))) return refused(null);
    if (this.#isClosed) return refused("PAM is not asked any more");
    if (this.#hopeless !== null && this.#clock.now() < this.#hopeless.untilMs) return refused(this.#hopeless.reason);
    if (this.#waiting.length >= WAITING_MAX) return refused("too many logins wait for PAM");
    return new Promise((resolve) => {
      this.#waiting.push({ user, password, remoteHost, answer: resolve });
      this.#serve();
    });
  }

  /** Ends the processes; logins that wait fail. */
  close(): void {
    this.#isClosed = true;
    this.#failWaiting("PAM is not asked any more");
    for (const seat of this.#seats) seat.process.kill();
  }

  #serve(): void {
    for (const seat of this.#seats) {
      if (seat.isReady && seat.question === null) this.#ask(seat);
    }
    const starting = [...this.#seats].filter((seat) => !seat.isReady).length;
    if (this.#waiting.length > starting && this.#seats.size < PROCESSES_MAX && !this.#isClosed) this.#add();
  }

  #add(): void {
    const seat: Seat = { process: NO_PROCESS, isReady: false, question: null, timer: NO_TIMER };
    this.#seats.add(seat);
    seat.timer = this.#clock.after(this.#answerTimeoutMs, () => this.#giveUp(seat));
    // What a process says after it was given up or retired is nobody's.
    const whileSeated =
      <T extends unknown[]>(heed: (...values: T) => void) =>
      (...values: T): void => {
        if (this.#seats.has(seat)) heed(...values);
      };
    seat.process = this.#start({
      onReady: whileSeated(() => {
        seat.isReady = true;
        this.#hopeless = null;
        this.#ask(seat);
      }),
      onAnswer: whileSeated(({ ok, log, delayMs }) => {
        const { question } = seat;
        seat.question = null;
        if (delayMs === 0) question?.answer({ ok, log });
        else this.#clock.after(Math.min(delayMs, FAIL_DELAY_MAX_MS), () => question?.answer({ ok, log }));
        this.#ask(seat);
      }),
      onEnd: whileSeated((reason, isHopeless) => this.#ended(seat, reason, isHopeless)),
    });
  }

  #ask(seat: Seat): void {
    seat.timer.cancel();
    const question = this.#waiting.shift();
    if (question === undefined) {
      seat.timer = this.#clock.after(SURPLUS_IDLE_MS, () => {
        if (this.#seats.size > 1) this.#retire(seat);
      });
      return;
    }
    seat.question = question;
    const { user, password, remoteHost } = question;
    seat.process.ask({ service: SERVICE, confdir: this.#confdir, user, password, remoteHost });
    seat.timer = this.#clock.after(this.#answerTimeoutMs, () => this.#giveUp(seat));
  }

  #retire(seat: Seat): void {
    this.#seats.delete(seat);
    seat.process.finish();
  }

  #giveUp(seat: Seat): void {
    seat.process.kill();
    this.#ended(seat, `PAM did not answer within ${this.#answerTimeoutMs / 1000} s`, false);
  }

  #ended(seat: Seat, reason: string, isHopeless: boolean): void {
    seat.timer.cancel();
    this.#seats.delete(seat);
    seat.question?.answer({ ok: false, log: reason });
    if (isHopeless) this.#hopeless = { reason, untilMs: this.#clock.now() + HOPELESS_MS };
    // One that ended before it was asked anything would be replaced without end.
    if (seat.isReady && !isHopeless) this.#serve();
    else if (this.#seats.size === 0) this.#failWaiting(reason);
  }

  #failWaiting(reason: string): void {
    for (const question of this.#waiting.splice(0)) question.answer({ ok: false, log: reason });
  }
}

/** Stands for a process until it is started. */
const NO_PROCESS: PamProcess = { ask: () => {}, kill: () => {}, finish: () => {} };

function refused(log: string | null): Promise<PasswordVerdict> {
  return Promise.resolve({ ok: false, log });
}
