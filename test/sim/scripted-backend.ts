/**
 * One backend of the scripted PostgreSQL: a connection, its login, and a scripted session that runs on virtual time.
 *
 * Behaves as a real one does towards the network: gathers answers and sends them at a flush or when 8 KiB are full,
 * reads nothing while it works, stands still while its socket takes nothing, dies when its fate says so, at any byte.
 *
 * Not responsible for: what is answered (`scripted-session.ts`), who may log in (`scripted-postgres.ts`).
 */
import { Buffer } from "node:buffer";
import type { ConnectionEvents } from "../../src/net/transport.ts";
import type { Audit, AuditedBackend } from "./audit.ts";
import { describe } from "./expectation.ts";
import type { Random } from "./random.ts";
import { ScriptedSession } from "./scripted-session.ts";
import { SessionSettings } from "./session-settings.ts";
import { FLUSH, READ } from "./session-steps.ts";
import type { Step, StepAnswer, Steps } from "./session-steps.ts";
import type { SimConnection } from "./sim-connection.ts";
import { BodyReader, errorMessage, MalformedError, message, MessageReader } from "./wire.ts";
import type { Message } from "./wire.ts";

/** How a backend will end before its time. */
export interface BackendFate {
  /** After how many bytes of answers behind the login. */
  readonly afterBytes: number;
  readonly how: "fatal" | "crash" | "reset" | "nonsense";
}

/** What becomes of a login. */
export type LoginFate = "welcome" | "slow" | "refused" | "dropped" | "hanging";

export interface BackendHost {
  readonly random: Random;
  readonly audit: Audit;
  plan(delayMs: number, task: () => void): void;
  loginFate(database: string): LoginFate;
  backendFate(database: string): BackendFate | null;
  /** Nothing fails any more. */
  readonly healed: boolean;
  /** A random rest before a message is looked at, in milliseconds; 0 = none. */
  thinkingMs(): number;
  /** How often something that nobody asked for comes between the answers. */
  readonly noiseChance: number;
  readonly beginRefusedChance: number;
  loggedIn(backend: ScriptedBackend): void;
  gone(backend: ScriptedBackend): void;
  cancel(key: Buffer): void;
  say(text: () => string): void;
}

const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
const CANCEL_REQUEST = 80_877_102;
/** PostgreSQL's output buffer. */
const OUTPUT_BYTES = 8192;
/** Above this much unread input a working backend lets the network wait. */
const INPUT_BYTES = 8192;

export class ScriptedBackend implements ConnectionEvents, AuditedBackend {
  readonly id: number;
  readonly key: Buffer;
  readonly end: SimConnection;
  readonly startup = new Map<string, string>();
  database = "";
  user = "";
  owner: number | null = null;
  sessionOwner: number | null = null;
  session: ScriptedSession | null = null;
  closed = false;
  readonly #host: BackendHost;
  readonly #reader = new MessageReader();
  #phase: "startup" | "login" | "session" | "over" = "startup";
  #steps: Steps | null = null;
  #waiting: "read" | "rest" | "drain" | "nothing" = "nothing";
  #restToken = 0;
  #cancelRequested = false;
  #out: Buffer[] = [];
  #outBytes = 0;
  #sentBytes = 0;
  #fate: BackendFate | null = null;
  #peerEnded = false;

  constructor(id: number, key: Buffer, end: SimConnection, host: BackendHost) {
    this.id = id;
    this.key = key;
    this.end = end;
    this.#host = host;
  }

  get port(): number {
    return this.end.remote.port;
  }

  /** Between units, outside a transaction, nothing unread and nothing unsent. */
  get isResting(): boolean {
    return (
      this.#phase === "session" &&
      this.#waiting === "read" &&
      this.session?.status === "I" &&
      this.owner === null &&
      this.#outBytes === 0 &&
      this.#reader.length === 0
    );
  }

  onOpen(): void {}
  onSecure(): void {}

  onData(bytes: Uint8Array): void {
    if (this.closed || this.#phase === "over") return;
    this.#reader.push(bytes);
    if (this.#phase === "startup") this.#readStartup();
    else if (this.#waiting === "read") this.#advance(undefined, true);
    if (this.#waiting !== "read" && this.#reader.length > INPUT_BYTES) this.end.pause();
  }

  onDrain(): void {
    if (this.#waiting !== "drain") return;
    this.#waiting = "nothing";
    this.#advance(undefined, false);
  }

  onEnd(): void {
    this.#peerEnded = true;
    if (this.#phase !== "session" || this.#waiting === "read") this.#close();
  }

  onClose(): void {
    this.closed = true;
    this.#phase = "over";
    this.#waiting = "nothing";
    this.#host.gone(this);
  }

  /** A cancel request with this backend's key has arrived. Hits what runs now, or nothing. */
  cancel(): void {
    if (this.session?.isRunning !== true) return;
    this.#cancelRequested = true;
    if (this.#waiting !== "rest") return;
    this.#restToken++;
    this.#waiting = "nothing";
    this.#cancelRequested = false;
    this.#advance(true, false);
  }

  /** Ends the backend as its fate, or the run's plan, wants it. */
  die(how: BackendFate["how"]): void {
    if (this.closed || this.#phase === "over") return;
    this.#host.audit.fault(this.database, `backend ${this.id}: ${how}`);
    this.#phase = "over";
    this.#waiting = "nothing";
    const random = this.#host.random;
    switch (how) {
      case "fatal":
        this.end.write(errorMessage("E", "FATAL", "57P01", "terminating connection due to administrator command"));
        this.end.end();
        this.#host.plan(50, () => this.end.destroy());
        break;
      case "crash":
        this.end.destroy();
        break;
      case "reset":
        this.end.reset("ECONNRESET");
        break;
      case "nonsense":
        this.end.write(
          random.chance(0.5) ? Buffer.from("?\0\0\0\x02garbage") : Buffer.from("\x01\x7f\xff\xff\xff garbage"),
        );
        // It hangs afterwards: whoever reads nonsense has to close by itself.
        break;
    }
  }

  #readStartup(): void {
    for (;;) {
      const packet = this.#reader.next(false);
      if (packet === null) return;
      const reader = new BodyReader(packet.body);
      const code = reader.int32();
      if (code === SSL_REQUEST || code === GSS_REQUEST) {
        this.end.write(Buffer.from("N"));
        continue;
      }
      if (code === CANCEL_REQUEST) {
        this.#phase = "over";
        this.#host.plan(this.#host.random.fraction() * 2, () => {
          this.#host.cancel(packet.body.subarray(4));
          this.end.destroy();
        });
        return;
      }
      while (reader.remaining > 1) this.startup.set(reader.text(), reader.text());
      this.database = this.startup.get("database") ?? this.startup.get("user") ?? "";
      this.user = this.startup.get("user") ?? "";
      this.#phase = "login";
      this.#login();
      return;
    }
  }

  #login(): void {
    const host = this.#host;
    const fate = host.loginFate(this.database);
    if (fate === "hanging") {
      host.audit.fault(this.database, "login hangs");
      return;
    }
    host.plan(host.random.fraction() * (fate === "slow" ? 400 : 3), () => {
      if (this.closed) return;
      if (fate === "refused") {
        host.audit.fault(this.database, "login refused");
        this.end.write(errorMessage("E", "FATAL", "53300", "sorry, too many clients already"));
        this.#close();
      } else if (fate === "dropped") {
        host.audit.fault(this.database, "login dropped");
        this.end.destroy();
      } else this.#welcome();
    });
  }

  #welcome(): void {
    const settings = new SessionSettings(this.startup);
    const session = new ScriptedSession(settings, {
      ran: (identity, statement) => this.#host.audit.ran(this, identity, statement),
      rested: () => this.#host.audit.rested(this),
    });
    this.session = session;
    this.#gather(message("R", 0));
    for (const [name, value] of settings.all()) this.#gather(message("S", name, value));
    this.#gather(message("K", this.key));
    this.#gather(message("Z", Buffer.from("I")));
    this.#phase = "session";
    this.#host.loggedIn(this);
    this.#steps = session.run();
    this.#flush();
    this.#fate = this.#host.backendFate(this.database);
    this.#advance(undefined, false);
  }

  /** Drives the session until it has to wait. `reading`: a message may be there for the READ it waits in. */
  #advance(answer: StepAnswer, reading: boolean): void {
    const steps = this.#steps;
    if (steps === null || this.#phase !== "session") return;
    const host = this.#host;
    let step: Step | null = reading ? READ : this.#next(steps, answer);
    for (;;) {
      if (step === null || this.closed || this.#phase !== "session") return;
      this.#waiting = "nothing";
      if (step === READ) {
        if (this.session?.isRunning !== true) this.#cancelRequested = false;
        const request = this.#read();
        if (request === null) return;
        host.say(() => `backend ${this.id} reads ${describe(request, false)}`);
        const thinkingMs = host.thinkingMs();
        if (thinkingMs > 0) {
          this.#waiting = "nothing";
          host.plan(thinkingMs, () => this.#advance(request, false));
          return;
        }
        step = this.#next(steps, request);
      } else if (step === FLUSH) {
        if (this.#flush()) return;
        step = this.#next(steps, undefined);
      } else if (typeof step === "number") {
        if (this.#cancelRequested || step === 0) {
          const hit = this.#cancelRequested || this.#refusesBegin();
          this.#cancelRequested = false;
          step = this.#next(steps, hit);
          continue;
        }
        this.#rest(step);
        return;
      } else {
        this.#gather(step);
        if (this.#outBytes >= OUTPUT_BYTES && this.#flush()) return;
        step = this.#next(steps, undefined);
      }
    }
  }

  /** A client's BEGIN; one of the pooler goes through. */
  #refusesBegin(): boolean {
    const { healed, random, beginRefusedChance } = this.#host;
    if (beginRefusedChance === 0 || healed || this.session?.runsBegin !== true) return false;
    return this.session.running !== null && random.chance(beginRefusedChance);
  }

  /** The next step, or null when the session is over. */
  #next(steps: Steps, answer: StepAnswer): Step | null {
    const result = steps.next(answer);
    if (result.done !== true) return result.value;
    this.#close();
    return null;
  }

  /** The next message, or null: then it waits for one. */
  #read(): Message | null {
    let request: Message | null = null;
    try {
      request = this.#reader.next(true);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.end.write(errorMessage("E", "FATAL", "08P01", "invalid message length"));
      this.#close();
      return null;
    }
    if (request !== null) return request;
    if (this.#peerEnded) {
      this.#close();
      return null;
    }
    this.#waiting = "read";
    if (this.end.isPaused) this.end.resume();
    return null;
  }

  #rest(ms: number): void {
    // Rows of a slow statement leave in pieces.
    if (this.#host.random.chance(0.5)) this.#flush();
    if (this.#phase !== "session") return;
    this.#waiting = "rest";
    const token = ++this.#restToken;
    this.#host.plan(ms, () => {
      if (token !== this.#restToken || this.#waiting !== "rest") return;
      this.#waiting = "nothing";
      this.#advance(false, false);
    });
  }

  #gather(bytes: Buffer): void {
    const { random, noiseChance } = this.#host;
    if (noiseChance > 0 && this.#phase === "session" && random.chance(noiseChance)) {
      const noise = random.chance(0.5)
        ? errorMessage("N", "WARNING", "01000", "unasked: something happened elsewhere")
        : message("S", "in_hot_standby", random.chance(0.5) ? "on" : "off");
      this.#out.push(noise);
      this.#outBytes += noise.length;
    }
    this.#out.push(bytes);
    this.#outBytes += bytes.length;
  }

  /** Sends what was gathered. True when the socket did not take it all: the backend waits. */
  #flush(): boolean {
    if (this.#outBytes === 0) return false;
    let bytes = this.#out.length === 1 ? (this.#out[0] as Buffer) : Buffer.concat(this.#out, this.#outBytes);
    this.#out = [];
    this.#outBytes = 0;
    const fate = this.#fate;
    if (fate !== null && !this.#host.healed && this.#sentBytes + bytes.length > fate.afterBytes) {
      // A crash cuts anywhere; words, even senseless ones, come between messages, or they would pass for a row's content.
      const cuts = fate.how === "crash" || fate.how === "reset";
      bytes = bytes.subarray(0, cuts ? fate.afterBytes - this.#sentBytes : 0);
      this.end.write(bytes);
      this.die(fate.how);
      return true;
    }
    if (this.#phase === "session") this.#sentBytes += bytes.length;
    if (this.end.write(bytes) === 0) return false;
    this.#waiting = "drain";
    return true;
  }

  #close(): void {
    this.#phase = "over";
    this.#waiting = "nothing";
    this.end.end();
    this.#host.plan(20, () => this.end.destroy());
  }
}
