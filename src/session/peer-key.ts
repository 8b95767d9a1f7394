/**
 * Cancel keys: the eight bytes that a client is given at its login and that a cancel request for its query carries.
 *
 *     process id                                    secret
 *     | 01rrrrrr | rrrrrrrr | rrrrrrrr | rrrrrrrr | rrrrrrrr | rrrrrrrr | rrrrrrrr | rrrrrrrr |   alone
 *     | 01rrrrrr | id low   | id high  | rrrrrrrr | rrrrrrrr | rrrrrrrr | rrrrrrrr | rrrrrrTT |   with a peer_id
 *
 * r: random. With a `peer_id` every pooler of the group reads from a key whose client it belongs to. TT: how often the
 * request may still be passed on; the keys that clients have carry a 3. The layout is PgBouncer's, so a group may be mixed.
 *
 * Made-up process ids begin with the bits 01: never negative, and above the largest that an operating system gives, so
 * that none names a stranger. Counterpart: `finish_client_login` and `accept_cancel_request`.
 */

/** The smallest process id that is made up here. */
export const MADE_UP_PID_MIN = 0x40000000;
const MADE_UP_PID_RANDOM = 0x3fffffff;
/** What `peer_id` leaves random in a process id: six bits of the first byte, and the last byte. */
const PEERED_PID_RANDOM = 0x3f0000ff;
const TTL_MASK = 3;
const SECRET_BYTES = 4;

export interface CancelKey {
  /** 31 bits. */
  readonly processId: number;
  /** Unsigned 32 bits. */
  readonly secret: number;
}

/** `random`: 8 bytes that nobody can guess. `peerId`: the own one; 0 = not one of a group. */
export function makeCancelKey(random: Uint8Array, peerId: number): CancelKey {
  const view = new DataView(random.buffer, random.byteOffset, random.length);
  const pidBits = view.getUint32(0);
  const secret = view.getUint32(4);
  if (peerId === 0) return { processId: MADE_UP_PID_MIN + (pidBits & MADE_UP_PID_RANDOM), secret };
  const idBits = ((peerId & 0xff) << 16) | (((peerId >> 8) & 0xff) << 8);
  return { processId: MADE_UP_PID_MIN + ((pidBits & PEERED_PID_RANDOM) | idBits), secret: (secret | TTL_MASK) >>> 0 };
}

/** Whose key it is, if the group has peer ids: 0 to 65535. `processId`: unsigned 32 bits, as a stranger sent them. */
export function peerIdOf(processId: number): number {
  return ((processId >>> 16) & 0xff) | (processId & 0xff00);
}

/** How often a request with this secret may still be passed on: 0 to 3. */
export function passesLeft(secret: Uint8Array): number {
  return (secret[SECRET_BYTES - 1] ?? 0) & TTL_MASK;
}

/** The secret for the next pooler: one pass less. Only where some are left. */
export function passedOn(secret: Uint8Array): Uint8Array {
  const next = secret.slice();
  next[SECRET_BYTES - 1] = (next[SECRET_BYTES - 1] ?? 0) - 1;
  return next;
}

/** The secret as the client was given it, however often it was passed on. */
export function asGiven(secret: Uint8Array): Uint8Array {
  const given = secret.slice();
  given[SECRET_BYTES - 1] = (given[SECRET_BYTES - 1] ?? 0) | TTL_MASK;
  return given;
}
