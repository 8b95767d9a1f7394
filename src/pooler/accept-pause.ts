/**
 * Accepting stops for five seconds when descriptors run out, as PgBouncer's does when accept(2) fails, and waiting
 * clients stay in the kernel's queue instead of being dropped.
 *
 * It stops while a few descriptors are left, and not at the last: at the limit Bun would call accept over and over, and
 * Node closes what it accepts; and servers, name resolution and the log need descriptors too. The kernel gives the lowest
 * free number, so the number of a new descriptor tells whether all below it are in use. Clients' numbers tell at once;
 * what servers and files take is looked at four times a second.
 *
 * It stops for SUSPEND too, until RESUME. No runtime lets a listener rest. So it is closed while another descriptor keeps its socket, with its queue, and a new
 * listener is opened on that one later.
 */
import { closeSync, openSync, renameSync } from "node:fs";
import type { Engine } from "../session/engine.ts";
import type { Timer } from "../net/world.ts";
import type { Door } from "./listeners.ts";

/** What the process can do with descriptors. */
export interface Descriptors {
  /** How many it may have open: numbers are below. */
  readonly limit: number;
  /** Another descriptor for what `fd` stands for; -1 when there is none to be had. */
  duplicate(fd: number): number;
}

const PAUSE_MS = 5000;
const LOOK_MS = 250;
/** Descriptors kept for everything else, and at most an eighth of all. */
const RESERVE_MAX = 16;

export class AcceptPause {
  readonly #engine: Engine;
  readonly #descriptors: Descriptors;
  readonly #reopen: (door: Door, fd: number) => Promise<void>;
  /** A descriptor with this number or a higher one is one of the last. */
  readonly #lastFrom: number;
  #doors: readonly Door[] = [];
  /** The doors that rest, and the descriptor that keeps each one's socket. */
  readonly #resting = new Map<Door, number>();
  #timer: Timer | null = null;
  #stopped = false;
  /** All rest until they are released. */
  #held = false;

  /** `reopen` opens a listener on a descriptor, which becomes the door's; rejects when it cannot. */
  constructor(engine: Engine, descriptors: Descriptors, reopen: (door: Door, fd: number) => Promise<void>) {
    this.#engine = engine;
    this.#descriptors = descriptors;
    this.#reopen = reopen;
    this.#lastFrom = descriptors.limit - Math.min(RESERVE_MAX, Math.ceil(descriptors.limit / 8));
  }

  /** `doors`: those that rest together. */
  start(doors: readonly Door[]): void {
    this.#doors = [...doors];
    this.#lookAgain(LOOK_MS);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** A client has come in with this descriptor. */
  accepted(fd: number): void {
    if (fd >= this.#lastFrom && this.#resting.size === 0) this.#rest();
  }

  /**
   * Both runtimes remove the file of a Unix socket when they close a listener that has made it, and clients would find
   * none. So the door, opened this moment, gets a listener on a descriptor, which knows of no file. Rejects when there is
   * no descriptor left, or the folder does not allow it.
   */
  async keepFile(door: Door): Promise<void> {
    const { listener, path } = door;
    const kept = this.#descriptors.duplicate(listener.fd);
    if (kept < 0) throw new Error("no file descriptor left");
    const aside = `${path}~`;
    renameSync(path, aside);
    listener.close();
    renameSync(aside, path);
    await this.#reopen(door, kept);
  }

  /** All doors rest, whatever descriptors there are, before `release`. */
  hold(): void {
    this.#held = true;
    this.#restAll();
  }

  release(): void {
    this.#held = false;
    this.#look();
  }

  /** What keeps the socket of a door that rests, null for one that does not. */
  descriptorOf(door: Door): number | null {
    return this.#resting.get(door) ?? null;
  }

  /** The door is being closed for good. */
  forget(door: Door): void {
    this.#doors = this.#doors.filter((other) => other !== door);
    const kept = this.#resting.get(door);
    if (kept === undefined) return;
    this.#resting.delete(door);
    closeSync(kept);
  }

  #lookAgain(afterMs: number): void {
    this.#timer?.cancel();
    if (!this.#stopped) this.#timer = this.#engine.world.clock.after(afterMs, () => this.#look());
  }

  #look(): void {
    if (this.#held) return;
    const scarce = lowestFreeDescriptor() >= this.#lastFrom;
    if (scarce) this.#rest();
    else void this.#goOn();
    if (!scarce) this.#lookAgain(LOOK_MS);
  }

  #rest(): void {
    this.#engine.log.error("accept() failed: Too many open files");
    this.#restAll();
    this.#lookAgain(PAUSE_MS);
  }

  #restAll(): void {
    for (const door of this.#doors) {
      if (this.#resting.has(door)) continue;
      const kept = this.#descriptors.duplicate(door.listener.fd);
      if (kept < 0) continue;
      door.listener.close();
      this.#resting.set(door, kept);
    }
  }

  async #goOn(): Promise<void> {
    for (const [door, kept] of this.#resting) {
      if (this.#held) break;
      this.#resting.delete(door);
      try {
        await this.#reopen(door, kept);
      } catch (error) {
        this.#engine.log.error(`cannot listen again: ${(error as Error).message}`);
      }
    }
    // SUSPEND has come while a door was being opened.
    if (this.#held) this.#restAll();
  }
}

/** Infinity when there is none. */
function lowestFreeDescriptor(): number {
  try {
    const fd = openSync("/dev/null", "r");
    closeSync(fd);
    return fd;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
