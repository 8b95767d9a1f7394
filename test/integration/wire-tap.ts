/**
 * Stands between a pooler and PostgreSQL, sees which units are under way on each connection, and can hold answers back, let some of
 * their bytes pass, or cut the connection there. Who rides with whom is seen here without asking the pooler. Written without the
 * engine's readers; TLS is not for it.
 */
import { createServer, connect, type Server, type Socket } from "node:net";

/** The body of a cancel request's only packet begins with it. */
const cancelCode = 80877102;

interface Held {
  readonly bytes: Buffer;
  readonly endsUnit: boolean;
}

/** One connection of the pooler. */
export class TappedServer {
  /** Texts of the units that were sent and whose answers have not all been passed on, in order. */
  readonly underWay: string[] = [];
  /** Texts of all units since the login. */
  readonly sent: string[] = [];
  /** Most units that were under way at once. */
  deepest = 0;
  isOpen = true;
  readonly #pooler: Socket;
  readonly #postgres: Socket;
  #fromPooler: Buffer = Buffer.alloc(0);
  #fromPostgres: Buffer = Buffer.alloc(0);
  #text = "";
  readonly #held: Held[] = [];
  /** So many ends of units may pass, and what comes before them. */
  #units = Number.POSITIVE_INFINITY;

  readonly #tap: WireTap;

  constructor(tap: WireTap, pooler: Socket, postgres: Socket, begun: Buffer) {
    this.#tap = tap;
    this.#pooler = pooler;
    this.#postgres = postgres;
    postgres.on("data", (chunk: Buffer) => this.#answered(chunk));
    // What was held is passed on before the end, as a network would.
    postgres.on("close", () => {
      this.isOpen = false;
      this.flow();
      pooler.end();
    });
    pooler.on("close", () => {
      this.isOpen = false;
      postgres.destroy();
    });
    this.underWay.push("(login)");
    this.asked(begun);
  }

  asked(chunk: Buffer): void {
    this.#postgres.write(chunk);
    this.#fromPooler = this.#fromPooler.length === 0 ? chunk : Buffer.concat([this.#fromPooler, chunk]);
    for (;;) {
      const message = firstMessage(this.#fromPooler);
      if (message === null) return;
      this.#fromPooler = this.#fromPooler.subarray(message.length);
      const type = String.fromCharCode(message[0]!);
      if (type === "Q") this.#text = message.toString("utf8", 5, message.length - 1);
      if (type === "P") this.#text = message.toString("utf8", message.indexOf(0, 5) + 1).split("\0")[0]!;
      if (type === "B" && this.#text === "")
        this.#text = `bind ${message.toString("utf8", message.indexOf(0, 5) + 1).split("\0")[0]}`;
      if (type !== "Q" && type !== "S") continue;
      this.underWay.push(this.#text);
      this.sent.push(this.#text);
      this.deepest = Math.max(this.deepest, this.underWay.length);
      this.#text = "";
      const { poison } = this.#tap;
      if (poison !== null && this.sent.at(-1)?.includes(poison) === true) this.reset();
    }
  }

  /** Bytes that PostgreSQL has sent and the pooler has not been given. */
  get heldBytes(): number {
    return this.#held.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** Whole answers among them. */
  get heldUnits(): number {
    return this.#held.filter(({ endsUnit }) => endsUnit).length;
  }

  /** Where in what is held the answers end, in bytes. */
  get heldEnds(): number[] {
    let at = 0;
    const ends: number[] = [];
    for (const { bytes, endsUnit } of this.#held) {
      at += bytes.length;
      if (endsUnit) ends.push(at);
    }
    return ends;
  }

  /** Answers of `units` more units pass, and nothing behind them. */
  hold(units = 0): void {
    this.#units = units;
    this.#pump();
  }

  flow(): void {
    this.hold(Number.POSITIVE_INFINITY);
  }

  /** Lets exactly so many bytes pass, wherever that is. */
  pass(count: number): void {
    let left = count;
    while (left > 0) {
      const first = this.#held.shift();
      if (first === undefined) throw new Error("so much is not held");
      if (first.bytes.length <= left) {
        left -= first.bytes.length;
        this.#passOn(first);
        continue;
      }
      this.#pooler.write(first.bytes.subarray(0, left));
      this.#held.unshift({ ...first, bytes: first.bytes.subarray(left) });
      return;
    }
  }

  /** Ends the connection to both sides, behind what has passed. */
  cut(): void {
    this.isOpen = false;
    this.#held.length = 0;
    this.#pooler.end();
    this.#postgres.destroy();
  }

  /** The pooler finds its connection reset. */
  reset(): void {
    this.isOpen = false;
    this.#held.length = 0;
    this.#pooler.resetAndDestroy();
    this.#postgres.destroy();
  }

  #answered(chunk: Buffer): void {
    this.#fromPostgres = this.#fromPostgres.length === 0 ? chunk : Buffer.concat([this.#fromPostgres, chunk]);
    for (;;) {
      const message = firstMessage(this.#fromPostgres);
      if (message === null) break;
      this.#fromPostgres = this.#fromPostgres.subarray(message.length);
      this.#held.push({ bytes: message, endsUnit: message[0] === "Z".charCodeAt(0) });
    }
    this.#pump();
  }

  #pump(): void {
    while (this.#units > 0) {
      const first = this.#held.shift();
      if (first === undefined) return;
      this.#passOn(first);
      if (first.endsUnit) this.#units -= 1;
    }
  }

  #passOn({ bytes, endsUnit }: Held): void {
    this.#pooler.write(bytes);
    if (endsUnit) this.underWay.shift();
  }
}

export class WireTap {
  /** All connections but those of cancel requests, the oldest first. */
  readonly servers: TappedServer[] = [];
  /** Cancel requests that the pooler has sent. */
  cancels = 0;
  /** Cancel requests are read from the pooler and get no further, until they are delivered. */
  holdsCancels = false;
  readonly #heldCancels: (() => void)[] = [];
  /** A unit whose text contains this ends its connection, whatever else is on it. */
  poison: string | null = null;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#listener = createServer((socket) => this.#accept(socket));
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<WireTap> {
    const tap = new WireTap(target);
    await new Promise<void>((resolve) => tap.#listener.listen(0, "127.0.0.1", resolve));
    return tap;
  }

  get port(): number {
    return (this.#listener.address() as { port: number }).port;
  }

  get open(): TappedServer[] {
    return this.servers.filter(({ isOpen }) => isOpen);
  }

  /** Most units that were under way at once on one connection. */
  get deepest(): number {
    return Math.max(0, ...this.servers.map(({ deepest }) => deepest));
  }

  /** How often the unit `text` was sent. */
  timesSent(text: string): number {
    return this.servers.reduce((sum, { sent }) => sum + sent.filter((one) => one === text).length, 0);
  }

  deliverCancels(): void {
    this.holdsCancels = false;
    for (const deliver of this.#heldCancels.splice(0)) deliver();
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
  }

  #accept(pooler: Socket): void {
    const postgres = connect(this.#target.port, this.#target.host);
    let server: TappedServer | null = null;
    let begun: Buffer = Buffer.alloc(0);
    for (const socket of [pooler, postgres]) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => this.#sockets.delete(socket));
    }
    pooler.on("data", (chunk: Buffer) => {
      if (server !== null) {
        server.asked(chunk);
        return;
      }
      begun = Buffer.concat([begun, chunk]);
      if (begun.length < 8 || begun.length < begun.readInt32BE(0)) return;
      const first = begun.subarray(0, begun.readInt32BE(0));
      if (first.readInt32BE(4) === cancelCode) {
        this.cancels += 1;
        postgres.on("close", () => pooler.destroy());
        pooler.on("close", () => postgres.end());
        if (this.holdsCancels) this.#heldCancels.push(() => postgres.write(first));
        else postgres.write(first);
        return;
      }
      postgres.write(first);
      server = new TappedServer(this, pooler, postgres, begun.subarray(first.length));
      this.servers.push(server);
    });
  }
}

/** The first whole message of `bytes`, null when there is none. */
function firstMessage(bytes: Buffer): Buffer | null {
  if (bytes.length < 5) return null;
  const end = 1 + bytes.readInt32BE(1);
  return bytes.length < end ? null : bytes.subarray(0, end);
}
