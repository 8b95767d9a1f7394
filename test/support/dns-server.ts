/**
 * A name server of a test's own, on UDP and loopback: a table of names that the test changes while it runs, and the
 * questions that came, in order. It answers A, AAAA and SOA questions from the table (RFC 1035), NXDOMAIN for names it
 * does not have, and nothing at all for those that the test calls dead.
 */
import { createSocket, type Socket } from "node:dgram";

export interface DnsName {
  readonly v4?: readonly string[];
  readonly v6?: readonly string[];
  /** Makes it a zone: the serial number in its SOA record. */
  readonly serial?: number;
}

export interface DnsQuestion {
  readonly name: string;
  readonly type: "A" | "AAAA" | "SOA" | "other";
}

const TYPES = { 1: "A", 28: "AAAA", 6: "SOA" } as const;
const RESPONSE = 0x8580;
const NXDOMAIN = 3;
const SERVFAIL = 2;

export class DnsServer {
  /** By names in lower case, without the dot at the end. */
  readonly names = new Map<string, DnsName>();
  /** Names for which no answer comes, and such for which SERVFAIL comes. */
  readonly dead = new Set<string>();
  readonly failing = new Set<string>();
  readonly questions: DnsQuestion[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (message, from) => {
      const answer = this.#answer(message);
      if (answer !== null) socket.send(answer, from.port, from.address);
    });
  }

  static async start(): Promise<DnsServer> {
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    return new DnsServer(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** A resolv.conf that names this server, with more lines behind it. */
  resolvConf(...lines: readonly string[]): string {
    return [`nameserver 127.0.0.1:${this.port}`, "options timeout:1 attempts:2", ...lines, ""].join("\n");
  }

  /** How often `name` was asked for, both families of addresses together counting as often as the first. */
  asked(name: string, type: DnsQuestion["type"] = "A"): number {
    return this.questions.filter((question) => question.name === name && question.type === type).length;
  }

  stop(): void {
    this.#socket.close();
  }

  #answer(message: Buffer): Buffer | null {
    const { name, type, end } = readQuestion(message);
    this.questions.push({ name, type });
    if (this.dead.has(name)) return null;
    const known = this.names.get(name);
    const failure = this.failing.has(name) ? SERVFAIL : known === undefined ? NXDOMAIN : 0;
    const records = failure === 0 && known !== undefined ? answersTo(known, type) : [];
    const header = Buffer.alloc(12);
    message.copy(header, 0, 0, 2);
    header.writeUInt16BE(RESPONSE | failure, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, message.subarray(12, end), ...records]);
  }
}

function readQuestion(message: Buffer): DnsQuestion & { readonly end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] as number; length > 0; length = message[at] as number) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = TYPES[message.readUInt16BE(at + 1) as keyof typeof TYPES] ?? "other";
  return { name: labels.join(".").toLowerCase(), type, end: at + 5 };
}

function answersTo({ v4 = [], v6 = [], serial }: DnsName, type: DnsQuestion["type"]): readonly Buffer[] {
  if (type === "A") return v4.map((address) => record(1, Buffer.from(address.split(".").map(Number))));
  if (type === "AAAA") return v6.map((address) => record(28, ipv6Bytes(address)));
  if (type !== "SOA" || serial === undefined) return [];
  // Names of the primary and the mailbox are the root; then serial, refresh, retry, expire, minimum.
  const soa = Buffer.alloc(22);
  soa.writeUInt32BE(serial, 2);
  return [record(6, soa)];
}

/** A record of the name in the question. Its TTL is long: who believed it would not see changes. */
function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(86_400, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = "", tail = ""] = address.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === "" ? [] : tail.split(":");
  const groups = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => "0"), ...back];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}
