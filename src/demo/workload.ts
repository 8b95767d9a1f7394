/**
 * The clients of the demo together: starts them, ends them, and counts what they saw. The figures are those of an
 * application: latency is the time from sending to the complete answer, waiting for a server included.
 */
import { ScramKeyCache } from "../auth/scram-key-cache.ts";
import { createCrypto } from "../net/crypto.ts";
import { LatencyHistogram } from "./latency-histogram.ts";
import { WireConnection, type WireLogin, type WireRoom } from "./wire-connection.ts";
import { WorkloadClient, type WorkloadLedger } from "./workload-client.ts";

/** Counts since the start. */
export interface WorkloadCounts {
  readonly queries: number;
  readonly wrongAnswers: number;
  readonly errors: number;
  readonly lostConnections: number;
  /** The newest of the three kinds above, "" for none. */
  readonly lastTrouble: string;
}

const loginsAtOnce = 16;
const endDeadlineMs = 3_000;
/** Traffic comes and goes like the tide: the mean pause moves between these two. */
const quietThinkMs = 100;
const busyThinkMs = 25;
const tideMs = 24_000;
const readBufferBytes = 64 * 1024;

export class Workload implements WorkloadLedger {
  /** Since the last time its reader cleared it. */
  readonly latency = new LatencyHistogram();
  readonly #login: WireLogin;
  readonly #thinkMs: number | null;
  readonly #room: WireRoom;
  readonly #clients: WorkloadClient[] = [];
  #startedAtMs = 0;
  #connected = 0;
  #queries = 0;
  #wrongAnswers = 0;
  #errors = 0;
  #lostConnections = 0;
  #lastTrouble = "";

  /** `thinkMs`: null for a traffic that comes and goes. */
  constructor(login: WireLogin, clients: number, thinkMs: number | null) {
    const crypto = createCrypto();
    this.#room = { crypto, keyCache: new ScramKeyCache(crypto), readBuffer: new Uint8Array(readBufferBytes) };
    this.#login = login;
    this.#thinkMs = thinkMs;
    for (let index = 0; index < clients; index += 1) this.#clients.push(new WorkloadClient(this));
  }

  /** Resolves when all clients are logged in and at work; rejects with the first login that fails. */
  async start(): Promise<void> {
    this.#startedAtMs = performance.now();
    const queue = [...this.#clients];
    const startSome = async (): Promise<void> => {
      for (let client = queue.pop(); client !== undefined; client = queue.pop()) await client.start();
    };
    await Promise.all(Array.from({ length: loginsAtOnce }, startSome));
  }

  /** Lets all clients finish their transactions and leave; drops those that take longer than three seconds. */
  async end(): Promise<void> {
    const late = setTimeout(() => {
      for (const client of this.#clients) client.destroy();
    }, endDeadlineMs);
    await Promise.all(this.#clients.map((client) => client.end()));
    clearTimeout(late);
  }

  get connectedClients(): number {
    return this.#connected;
  }

  counts(): WorkloadCounts {
    return {
      queries: this.#queries,
      wrongAnswers: this.#wrongAnswers,
      errors: this.#errors,
      lostConnections: this.#lostConnections,
      lastTrouble: this.#lastTrouble,
    };
  }

  connect(): Promise<WireConnection> {
    return WireConnection.open(this.#login, this.#room);
  }

  meanThinkMs(): number {
    if (this.#thinkMs !== null) return this.#thinkMs;
    const turn = ((performance.now() - this.#startedAtMs) % tideMs) / tideMs;
    // 0 at the start of a turn, 1 in its middle.
    const height = (1 - Math.cos(turn * 2 * Math.PI)) / 2;
    return quietThinkMs * (busyThinkMs / quietThinkMs) ** height;
  }

  connected(): void {
    this.#connected += 1;
  }

  lost(reason: string): void {
    this.#connected -= 1;
    this.#lostConnections += 1;
    this.#lastTrouble = reason;
  }

  answered(durationMs: number): void {
    this.#queries += 1;
    this.latency.record(durationMs);
  }

  wrongAnswer(what: string): void {
    this.#wrongAnswers += 1;
    this.#lastTrouble = what;
  }

  failed(message: string): void {
    this.#errors += 1;
    this.#lastTrouble = message;
  }
}
