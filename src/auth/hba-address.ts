/**
 * Addresses as bytes, and ranges of them as the ADDRESS and MASK columns of an HBA file write them. The spelling is that
 * of inet_pton(3): no names, no zones, no leading zeros in IPv4, a dotted tail in IPv6 allowed.
 */

/** An IPv4 address is 4 bytes, an IPv6 address 16. */
export type AddressBytes = Uint8Array;

/** Null when `text` is no address. */
export function parseAddress(text: string): AddressBytes | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/**
 * A client's address, as sockets report it: a zone (`fe80::1%eth0`) does not count, and an IPv4 address that came in
 * through an IPv6 socket (`::ffff:10.0.0.1`) is an IPv4 address, so that no rule about it can be passed by.
 */
export function parseClientAddress(text: string): AddressBytes | null {
  const zone = text.indexOf("%");
  const address = parseAddress(zone < 0 ? text : text.slice(0, zone));
  if (address === null || address.length !== 16) return address;
  const isMapped = address.subarray(0, 10).every((byte) => byte === 0) && address[10] === 255 && address[11] === 255;
  return isMapped ? address.subarray(12) : address;
}

function parseIpv4(text: string): AddressBytes | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null;
    bytes[index] = Number(part);
  }
  return bytes;
}

function parseIpv6(text: string): AddressBytes | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 1 ? [] : parseGroups(halves[1] ?? "", true);
  if (head === null || tail === null) return null;
  // "::" stands for one group of zeros at least.
  const length = head.length + tail.length;
  if (halves.length === 1 ? length !== 16 : length > 14) return null;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** The bytes of groups with colons between them; none of "". `isTail`: the last group may be an IPv4 address. */
function parseGroups(text: string, isTail: boolean): readonly number[] | null {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 255);
    } else {
      const ipv4 = isTail && index === groups.length - 1 ? parseIpv4(group) : null;
      if (ipv4 === null) return null;
      bytes.push(...ipv4);
    }
  }
  return bytes;
}

/** A mask of `bits` ones, as long as `address`; null when `bits` is no number that fits. */
export function prefixMask(address: AddressBytes, bits: string): AddressBytes | null {
  // PgBouncer's strtoul() reads no digits at all as 0, and "10.0.0.1/" as everybody: refused here.
  if (!/^\d+$/.test(bits) || Number(bits) > address.length * 8) return null;
  const count = Number(bits);
  return Uint8Array.from(address, (_, index) => 255 & (0xff00 >> Math.min(8, Math.max(0, count - index * 8))));
}

/** Base and mask are of one length. Bits of the mask may stand anywhere. */
export class AddressRange {
  readonly #base: AddressBytes;
  readonly #mask: AddressBytes;

  constructor(base: AddressBytes, mask: AddressBytes) {
    this.#base = base;
    this.#mask = mask;
  }

  /**
   * As in PgBouncer a base with bits outside its mask is compared as it stands, so such a range holds nobody: see
   * `hasStrayBits`.
   */
  contains(address: AddressBytes): boolean {
    if (address.length !== this.#base.length) return false;
    return address.every((byte, index) => (byte & (this.#mask[index] ?? 0)) === this.#base[index]);
  }

  /** Bits are set outside the mask. */
  get hasStrayBits(): boolean {
    return this.#base.some((byte, index) => (byte & ~(this.#mask[index] ?? 0)) !== 0);
  }

  toString(): string {
    return `${formatAddress(this.#base)} / ${formatAddress(this.#mask)}`;
  }
}

/** In the spelling of inet_ntop(3). */
export function formatAddress(address: AddressBytes): string {
  if (address.length === 4) return address.join(".");
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((address[index * 2] ?? 0) << 8) | (address[index * 2 + 1] ?? 0),
  );
  const zeros = longestZeros(groups);
  const hasIpv4 = zeros.start === 0 && (zeros.length === 6 || (zeros.length === 5 && groups[5] === 0xffff));
  const words = groups.map((group) => group.toString(16));
  if (hasIpv4) words.splice(6, 2, address.subarray(12).join("."));
  if (zeros.length < 2) return words.join(":");
  return `${words.slice(0, zeros.start).join(":")}::${words.slice(zeros.start + zeros.length).join(":")}`;
}

/** The longest run of zeros, the first of equal ones. */
function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start };
  }
  return best;
}
