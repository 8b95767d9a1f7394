/**
 * Load without pgbench: many connections, simple queries, each answer looked at. For what pgbench is no tool for, thousands
 * of clients at a low rate (it polls all of them for each that has something), and for machines that have none.
 *
 * Each client asks for a number of its own, so that an answer that went to somebody else does not pass.
 */
import type { Socket } from "node:net";
import { type Address, WireClient } from "./wire-client.ts";

export interface GeneratedLoad {
  readonly transactions: number;
  readonly seconds: number;
  /** In the order in which the answers came, from when each was due. */
  readonly latenciesMs: readonly number[];
}

/** Logins under way at a time: below every listen backlog. */
const LOGINS_AT_ONCE = 50;
const TICK_MS = 1;
const DEADLINE_MS = 30_000;
const TYPE_ROW = 0x44;
const TYPE_READY = 0x5a;
const TYPE_ERROR = 0x45;

interface Seated {
  readonly socket: Socket;
  readonly request: Buffer;
  /** The DataRow that answers it. */
  readonly row: Buffer;
  received: Buffer | null;
  rowSeen: boolean;
  dueMs: number;
}

export class LoadGenerator {
  readonly #clients: Seated[];
  readonly #idle: Seated[];
  /** Of the run that is under way. */
  #latencies: number[] = [];
  #onAnswer: (client: Seated) => void = () => {};
  #fail: (error: Error) => void = () => {};
  #failure: Error | null = null;

  private constructor(clients: Seated[]) {
    this.#clients = clients;
    this.#idle = [...clients];
    for (const client of clients) {
      client.socket.on("data", (chunk: Buffer) => this.#receive(client, chunk));
      client.socket.on("close", () => this.#failWith(new Error("a connection was closed")));
      client.socket.on("error", (error) => this.#failWith(error));
    }
  }

  /** Logs in `count` clients. Rejects with all of them closed when one fails. */
  static async open(address: Address, count: number): Promise<LoadGenerator> {
    const clients: Seated[] = [];
    let begun = 0;
    const some = async (): Promise<void> => {
      while (begun < count) {
        const number = ++begun;
        const { socket } = await WireClient.open(address);
        socket.removeAllListeners();
        const request = queryMessage(`select ${number}`);
        clients.push({ socket, request, row: rowOf(String(number)), received: null, rowSeen: false, dueMs: 0 });
      }
    };
    const lanes = await Promise.allSettled(Array.from({ length: Math.min(LOGINS_AT_ONCE, count) }, some));
    const failed = lanes.find((lane) => lane.status === "rejected");
    if (failed !== undefined) {
      for (const { socket } of clients) socket.destroy();
      throw failed.reason;
    }
    return new LoadGenerator(clients);
  }

  /** As fast as it goes: every client asks again as soon as it has its answer, until so many were answered. */
  runClosed(transactions: number): Promise<GeneratedLoad> {
    return this.#run((latencies, finish) => {
      let asked = 0;
      const next = (client: Seated): void => {
        if (asked === transactions) {
          this.#idle.push(client);
        } else {
          asked++;
          this.#ask(client, performance.now());
        }
      };
      this.#onAnswer = (client) => {
        next(client);
        if (latencies.length === transactions) finish();
      };
      for (const client of this.#idle.splice(0)) next(client);
      return () => {};
    });
  }

  /** At a rate, whatever the answers do. Who has been quiet for longest asks next; with nobody quiet the query waits. */
  runOpen(ratePerSecond: number, seconds: number): Promise<GeneratedLoad> {
    const total = Math.round(ratePerSecond * seconds);
    const queue = this.#idle;
    return this.#run((latencies, finish) => {
      const fromMs = performance.now();
      let asked = 0;
      let next = 0;
      const ask = (): void => {
        const due = Math.min(total, Math.floor(((performance.now() - fromMs) * ratePerSecond) / 1000));
        while (asked < due && next < queue.length) {
          this.#ask(queue[next++] as Seated, fromMs + (asked++ * 1000) / ratePerSecond);
        }
        if (next > 4096) {
          queue.splice(0, next);
          next = 0;
        }
      };
      const timer = setInterval(ask, TICK_MS);
      this.#onAnswer = (client) => {
        queue.push(client);
        if (latencies.length < total) return;
        clearInterval(timer);
        queue.splice(0, next);
        finish();
      };
      return () => clearInterval(timer);
    });
  }

  close(): void {
    this.#fail = () => {};
    for (const { socket } of this.#clients) socket.destroy();
  }

  #run(begin: (latencies: number[], finish: () => void) => () => void): Promise<GeneratedLoad> {
    const latencies: number[] = [];
    const fromMs = performance.now();
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      let stop = (): void => {};
      let before = -1;
      const late = setInterval(() => {
        if (latencies.length === before) this.#failWith(new Error(`no answer for ${DEADLINE_MS / 1000} s`));
        before = latencies.length;
      }, DEADLINE_MS);
      this.#fail = (error) => {
        clearInterval(late);
        stop();
        reject(error);
      };
      this.#latencies = latencies;
      stop = begin(latencies, () => {
        clearInterval(late);
        this.#fail = () => {};
        const seconds = (performance.now() - fromMs) / 1000;
        resolve({ transactions: latencies.length, seconds, latenciesMs: latencies });
      });
    });
  }

  #ask(client: Seated, dueMs: number): void {
    client.dueMs = dueMs;
    client.rowSeen = false;
    client.socket.write(client.request);
  }

  #receive(client: Seated, chunk: Buffer): void {
    const data = client.received === null ? chunk : Buffer.concat([client.received, chunk]);
    client.received = null;
    let at = 0;
    while (at + 5 <= data.length) {
      const end = at + 1 + data.readInt32BE(at + 1);
      if (end > data.length) break;
      const type = data[at];
      if (type === TYPE_ERROR)
        return this.#failWith(new Error(data.toString("utf8", at + 5, end).replaceAll("\0", " ")));
      if (type === TYPE_ROW) {
        if (client.rowSeen || client.row.compare(data, at, end) !== 0) {
          return this.#failWith(new Error("a client was given an answer that is not its own"));
        }
        client.rowSeen = true;
      }
      if (type === TYPE_READY) {
        if (!client.rowSeen) return this.#failWith(new Error("a client was given an answer without its row"));
        this.#latencies.push(performance.now() - client.dueMs);
        this.#onAnswer(client);
      }
      at = end;
    }
    if (at < data.length) client.received = Buffer.from(data.subarray(at));
  }

  #failWith(error: Error): void {
    this.#failure ??= error;
    this.#fail(this.#failure);
  }
}

function queryMessage(sql: string): Buffer {
  const body = Buffer.from(`${sql}\0`, "latin1");
  const message = Buffer.alloc(5 + body.length);
  message[0] = 0x51; // Query
  message.writeInt32BE(4 + body.length, 1);
  body.copy(message, 5);
  return message;
}

function rowOf(text: string): Buffer {
  const message = Buffer.alloc(5 + 2 + 4 + text.length);
  message[0] = TYPE_ROW;
  message.writeInt32BE(message.length - 1, 1);
  message.writeInt16BE(1, 5);
  message.writeInt32BE(text.length, 7);
  message.write(text, 11, "latin1");
  return message;
}
