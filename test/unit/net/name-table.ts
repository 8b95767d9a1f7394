/** Time and a source of names under a test's control, for what is built on them. */
import type { NameSource } from "../../../src/net/dns-source.ts";
import type { Clock } from "../../../src/net/world.ts";

interface Question {
  readonly name: string;
  readonly answer: (value: readonly string[] | number) => void;
  readonly refuse: (error: Error) => void;
}

/** Each question waits until the test answers it. */
export class NameTable implements NameSource {
  readonly asked: string[] = [];
  readonly #open: Question[] = [];

  resolve(host: string): Promise<readonly string[]> {
    return this.#ask(host) as Promise<readonly string[]>;
  }

  zoneSerial(zone: string): Promise<number> {
    return this.#ask(`SOA ${zone}`) as Promise<number>;
  }

  /** The oldest open question of this name. Resolves when whoever asked has seen the answer. */
  async answer(name: string, value: readonly string[] | number): Promise<void> {
    this.#take(name).answer(value);
    await settled();
  }

  async refuse(name: string, code: string): Promise<void> {
    this.#take(name).refuse(Object.assign(new Error(`test ${code} ${name}`), { code }));
    await settled();
  }

  #ask(name: string): Promise<readonly string[] | number> {
    this.asked.push(name);
    return new Promise((answer, refuse) => this.#open.push({ name, answer, refuse }));
  }

  #take(name: string): Question {
    const at = this.#open.findIndex((question) => question.name === name);
    const [question] = this.#open.splice(at, at < 0 ? 0 : 1);
    if (question === undefined) throw new Error(`nobody asks for ${name}`);
    return question;
  }
}

export class HandClock implements Clock {
  nowMs = 5000;
  readonly #tasks: (() => void)[] = [];

  now(): number {
    return this.nowMs;
  }

  wallTime(): number {
    return 0;
  }

  after(): never {
    throw new Error("names need no timers");
  }

  readonly afterTurn = (task: () => void): void => {
    this.#tasks.push(task);
  };

  endTurn(): void {
    for (const task of this.#tasks.splice(0)) task();
  }
}

/** Every promise chain has come to rest. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
