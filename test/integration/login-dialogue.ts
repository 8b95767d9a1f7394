/**
 * The password side of a login, message by message: for tests that compare whole dialogues, or answer wrongly on purpose.
 *
 * Written with `node:crypto` and without the engine's own SCRAM and MD5, so that a misunderstanding in those does not hide
 * itself. No SASLprep: passwords here are ASCII, or already in normal form.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { int32, message, startupMessage, WireClient, type WireAddress, errorFields } from "../support/wire-client.ts";

export interface LoginResult {
  /** What was asked and answered: `R10 R11 R12 R0 … Z`, `R3 E`; the messages of a welcome count as one `…`. */
  readonly dialogue: string;
  /** The fields of the error, null after a successful login. */
  readonly error: Record<string, string> | null;
  /** Logged in, or at its end. */
  readonly client: WireClient;
}

export interface Login {
  readonly user: string;
  readonly database: string;
  readonly password: string;
  readonly parameters?: Readonly<Record<string, string>>;
}

/** Logs in with whatever method is asked for. */
export async function logIn(address: WireAddress, login: Login): Promise<LoginResult> {
  const client = await WireClient.open(address);
  client.send(startupMessage({ user: login.user, database: login.database, ...login.parameters }));
  return answerLogin(client, login);
}

/** The same on a connection whose startup packet is out. */
export async function answerLogin(client: WireClient, login: Login): Promise<LoginResult> {
  const steps: string[] = [];
  let scram: ScramAnswers | null = null;
  for (;;) {
    const next = await client.next();
    if (next === null) return { dialogue: [...steps, "end"].join(" "), error: null, client };
    const { type, body } = next;
    if (type === "E") return { dialogue: [...steps, "E"].join(" "), error: errorFields(body), client };
    if (type === "Z") return { dialogue: [...steps, "Z"].join(" "), error: null, client };
    if (type !== "R") {
      if (type === "v") steps.push("v");
      else if (steps.at(-1) !== "…") steps.push("…");
      continue;
    }
    const code = body.readInt32BE(0);
    steps.push(`R${code}`);
    if (code === 3) client.send(message("p", login.password));
    else if (code === 5) client.send(message("p", md5Answer(login.user, login.password, body.subarray(4, 8))));
    else if (code === 10) {
      scram = new ScramAnswers(login.password);
      const first = Buffer.from(scram.first());
      client.send(message("p", "SCRAM-SHA-256", int32(first.length), first));
    } else if (code === 11) client.send(message("p", Buffer.from(scram!.final(body.toString("latin1", 4)))));
    else if (code === 12) scram!.check(body.toString("latin1", 4));
  }
}

export function md5Secret(user: string, password: string): string {
  return `md5${md5(Buffer.from(password + user, "utf8"))}`;
}

function md5Answer(user: string, password: string, salt: Buffer): string {
  return `md5${md5(Buffer.concat([Buffer.from(md5Secret(user, password).slice(3), "latin1"), salt]))}`;
}

function md5(bytes: Buffer): string {
  return createHash("md5").update(bytes).digest("hex");
}

/** What PostgreSQL stores of a password. */
export function scramSecret(password: string, iterations = 4096, salt: Buffer = randomBytes(16)): string {
  const { clientKey, serverKey } = keysOf(password, salt, iterations);
  const storedKey = createHash("sha256").update(clientKey).digest("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${serverKey.toString("base64")}`;
}

/** One SCRAM-SHA-256 exchange from the client's side (RFC 5802). */
export class ScramAnswers {
  readonly #password: string;
  readonly #nonce = randomBytes(18).toString("base64");
  #signature = "";
  /** What the server's first message said, for tests that compare salts. */
  salt = "";
  iterations = 0;

  constructor(password: string) {
    this.#password = password;
  }

  first(): string {
    return `n,,n=,r=${this.#nonce}`;
  }

  final(serverFirst: string): string {
    const parts = new Map(serverFirst.split(",").map((part) => [part.slice(0, 1), part.slice(2)]));
    this.salt = parts.get("s") ?? "";
    this.iterations = Number(parts.get("i"));
    const nonce = parts.get("r") ?? "";
    if (!nonce.startsWith(this.#nonce)) throw new Error("the server answered with another nonce");
    const { clientKey, serverKey } = keysOf(this.#password, Buffer.from(this.salt, "base64"), this.iterations);
    const withoutProof = `c=biws,r=${nonce}`;
    const signed = `n=,r=${this.#nonce},${serverFirst},${withoutProof}`;
    const storedKey = createHash("sha256").update(clientKey).digest();
    const proof = Buffer.from(clientKey);
    for (const [index, byte] of hmac(storedKey, signed).entries()) proof[index]! ^= byte;
    this.#signature = hmac(serverKey, signed).toString("base64");
    return `${withoutProof},p=${proof.toString("base64")}`;
  }

  /** Throws unless the server has proved that it knows the password. */
  check(serverFinal: string): void {
    if (serverFinal !== `v=${this.#signature}`) throw new Error(`wrong server signature: ${serverFinal}`);
  }
}

function keysOf(password: string, salt: Buffer, iterations: number): { clientKey: Buffer; serverKey: Buffer } {
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  return { clientKey: hmac(salted, "Client Key"), serverKey: hmac(salted, "Server Key") };
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text, "latin1").digest();
}
