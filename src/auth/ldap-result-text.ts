/**
 * What result codes of LDAP mean, in the words of the OpenLDAP library, which PgBouncer's log lines have and operators look
 * for (RFC 4511, appendix A; 81 and 87 are the library's own).
 */

const texts: ReadonlyMap<number, string> = new Map([
  [1, "Operations error"],
  [2, "Protocol error"],
  [3, "Time limit exceeded"],
  [4, "Size limit exceeded"],
  [7, "Authentication method not supported"],
  [8, "Strong(er) authentication required"],
  [10, "Referral"],
  [11, "Administrative limit exceeded"],
  [12, "Critical extension is unavailable"],
  [13, "Confidentiality required"],
  [14, "SASL bind in progress"],
  [16, "No such attribute"],
  [17, "Undefined attribute type"],
  [18, "Inappropriate matching"],
  [19, "Constraint violation"],
  [21, "Invalid syntax"],
  [32, "No such object"],
  [33, "Alias problem"],
  [34, "Invalid DN syntax"],
  [36, "Alias dereferencing problem"],
  [48, "Inappropriate authentication"],
  [49, "Invalid credentials"],
  [50, "Insufficient access"],
  [51, "Server is busy"],
  [52, "Server is unavailable"],
  [53, "Server is unwilling to perform"],
  [54, "Loop detected"],
  [80, "Internal (implementation specific) error"],
  [87, "Bad search filter"],
]);

export const NO_CONTACT = "Can't contact LDAP server";

/** Null: there was no answer. */
export function ldapResultText(code: number | null): string {
  if (code === null) return NO_CONTACT;
  return texts.get(code) ?? `Unknown error (${code})`;
}
