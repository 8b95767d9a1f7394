/** Where answers about names come from: the system's resolver, name servers of one's own, or a test's table. */
export interface NameSource {
  /**
   * Addresses of a host name, at least one, in the order they are to be used; a literal address resolves to itself.
   * Rejects with an error whose `code` is the resolver's (ENOTFOUND, EAI_AGAIN, ETIMEOUT …).
   */
  resolve(host: string): Promise<readonly string[]>;
  /** The serial number in the SOA record of a zone, 32 bits without a sign. Rejects like `resolve`. */
  zoneSerial(zone: string): Promise<number>;
}
