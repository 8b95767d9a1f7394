/**
 * A connection to an LDAP server, up to where messages may be exchanged: name, TCP, and TLS from the first byte (`ldaps`) or
 * after a StartTLS request (RFC 4511, 4.14).
 *
 * StartTLS is done here and not by the LDAP library: nothing that came before the encryption may be read as an answer after
 * it, and a connection that breaks must not be opened again without encryption. Who the other end is is judged here too.
 */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { isLiteralAddress } from "./literal-address.ts";
import { resolve } from "./resolve.ts";
import { verifyPeerName } from "./tls-peer-name.ts";

export interface LdapTls {
  /** Authorities in PEM; null: the runtime's list. */
  readonly ca: readonly string[] | null;
  /** A certificate of our own and its key in PEM. */
  readonly cert?: string;
  readonly key?: string;
  /** False: any certificate of any name will do. */
  readonly isVerified: boolean;
}

export interface LdapTarget {
  /** Name or literal address. */
  readonly host: string;
  readonly port: number;
  readonly security: "none" | "starttls" | "ldaps";
  /** Null only without `security`. */
  readonly tls: LdapTls | null;
}

/** StartTLS was refused or failed; another server is not tried then. */
export class LdapStartTlsError extends Error {
  override readonly name = "LdapStartTlsError";
}

/** For connecting to one address, and again for securing the connection. */
const NETWORK_TIMEOUT_MS = 3000;
const RESPONSE_BYTES_MAX = 8192;

/** LDAPMessage 1, ExtendedRequest, requestName 1.3.6.1.4.1.1466.20037 */
const START_TLS_REQUEST = Buffer.concat([
  Buffer.from([0x30, 0x1d, 0x02, 0x01, 0x01, 0x77, 0x18, 0x80, 0x16]),
  Buffer.from("1.3.6.1.4.1.1466.20037", "latin1"),
]);

/**
 * Tries the host's addresses in turn, 3 s each. Rejects with the last one's error, or with LdapStartTlsError. The socket
 * is the caller's, and has no listeners.
 */
export async function openLdapConnection(target: LdapTarget): Promise<Socket> {
  const addresses = await within(resolve(target.host), `the name "${target.host}" was not resolved`);
  let failure: unknown = null;
  for (const address of addresses) {
    try {
      return await openAddress(address, target);
    } catch (error) {
      if (error instanceof LdapStartTlsError) throw error;
      failure = error;
    }
  }
  throw failure;
}

async function openAddress(address: string, { host, port, security, tls }: LdapTarget): Promise<Socket> {
  const socket = connect({ host: address, port });
  try {
    await settled(socket, "connect", `no connection to ${address}:${port}`);
    // A login sends little and waits for each answer.
    socket.setNoDelay(true);
    if (security === "none" || tls === null) return socket;
    if (security === "ldaps") return await secure(socket, host, tls);
    try {
      await requestTls(socket);
      return await secure(socket, host, tls);
    } catch (error) {
      throw new LdapStartTlsError((error as Error).message, { cause: error });
    }
  } catch (error) {
    discard(socket);
    throw error;
  }
}

/** Ends `socket` without a word; what it still says is nobody's business. */
function discard(socket: Socket): void {
  socket.removeAllListeners();
  socket.on("error", () => socket.destroy());
  socket.destroy();
}

async function secure(socket: Socket, host: string, tls: LdapTls): Promise<Socket> {
  const secured = connectTls({
    socket,
    ...(tls.ca === null ? {} : { ca: [...tls.ca] }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    ...(isLiteralAddress(host) ? {} : { servername: host }),
    rejectUnauthorized: tls.isVerified,
    // The runtimes disagree about addresses and subjects without alternative names; the rule is ours.
    checkServerIdentity: () => undefined,
  });
  try {
    await settled(secured, "secureConnect", "no TLS handshake");
    const problem = tls.isVerified
      ? verifyPeerName(secured.getPeerX509Certificate()?.raw ?? NO_CERTIFICATE, host)
      : null;
    if (problem !== null) throw new Error(problem);
    return secured;
  } catch (error) {
    discard(secured);
    throw error;
  }
}

const NO_CERTIFICATE = new Uint8Array(0);

/** Asks for TLS and waits for the consent, behind which not one byte may come in clear. */
async function requestTls(socket: Socket): Promise<void> {
  let received = Buffer.alloc(0);
  const answered = new Promise<void>((resolve, reject) => {
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      const answer = readStartTlsResponse(received);
      if (answer === "incomplete" && received.length <= RESPONSE_BYTES_MAX) return;
      if (answer === "accepted") resolve();
      else reject(new Error(answer === "incomplete" ? "the answer to StartTLS is too long" : answer));
    });
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed instead of an answer to StartTLS")));
  });
  try {
    socket.write(START_TLS_REQUEST);
    await within(answered, "no answer to StartTLS");
  } finally {
    socket.removeAllListeners();
    socket.pause();
  }
}

/**
 * Reads an LDAPMessage with an ExtendedResponse:
 *
 *   30 length | 02 01 01 (message 1) | 78 length | 0a 01 code | …
 *
 * "accepted", "incomplete", or why not, in words for the log.
 */
export function readStartTlsResponse(bytes: Uint8Array): "accepted" | "incomplete" | (string & {}) {
  const message = readElement(bytes, 0);
  if (message === null) return "incomplete";
  if (message.tag !== 0x30) return "the answer to StartTLS is no LDAP message";
  if (message.end < bytes.length) return "data came in clear behind the answer to StartTLS";
  if (bytes.length < message.end) return "incomplete";
  const id = readElement(bytes, message.start);
  const response = id === null ? null : readElement(bytes, id.end);
  const code = response === null ? null : readElement(bytes, response.start);
  const isAnswer = id?.tag === 2 && id.end === id.start + 1 && bytes[id.start] === 1 && response?.tag === 0x78;
  if (!isAnswer || code?.tag !== 0x0a || code.end !== code.start + 1)
    return "the answer to StartTLS is another message";
  return bytes[code.start] === 0 ? "accepted" : `the server refused StartTLS with result code ${bytes[code.start]}`;
}

/** Tag and contents' range of the BER element at `at`; null when its head is not there yet. */
function readElement(bytes: Uint8Array, at: number): { tag: number; start: number; end: number } | null {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) return null;
  if (first < 0x80) return { tag, start: at + 2, end: at + 2 + first };
  const count = first & 0x7f;
  let length = 0;
  for (let i = 0; i < count; i += 1) {
    const byte = bytes[at + 2 + i];
    if (byte === undefined) return null;
    length = length * 256 + byte;
  }
  return { tag, start: at + 2 + count, end: at + 2 + count + length };
}

/** Waits for `event`; rejects on an error, a close, or after 3 s. No listener is left. */
async function settled(socket: Socket, event: "connect" | "secureConnect", what: string): Promise<void> {
  try {
    await within(
      new Promise<void>((resolve, reject) => {
        socket.once(event, () => resolve());
        socket.once("error", reject);
        socket.once("close", () => reject(new Error(`${what}: closed by the server`)));
      }),
      what,
    );
  } finally {
    socket.removeAllListeners(event);
    socket.removeAllListeners("error");
    socket.removeAllListeners("close");
  }
}

/** `what` is the message when the time is over. */
async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${NETWORK_TIMEOUT_MS / 1000} s`)), NETWORK_TIMEOUT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
