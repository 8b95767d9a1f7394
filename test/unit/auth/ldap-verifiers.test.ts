/** One verifier for each text of options, until a reload. */
import { expect, test } from "vitest";
import { LdapVerifier } from "../../../src/auth/ldap-verifier.ts";
import { LdapVerifiers } from "../../../src/auth/ldap-verifiers.ts";

test("the same text gives the same verifier, until it is forgotten", () => {
  const verifiers = new LdapVerifiers();
  const first = verifiers.of("ldapserver=h ldapbasedn=dc=x");
  expect(first).toBeInstanceOf(LdapVerifier);
  expect(verifiers.of("ldapserver=h ldapbasedn=dc=x")).toBe(first);
  expect(verifiers.of("ldapserver=h ldapbasedn=dc=y")).not.toBe(first);
  verifiers.forget();
  expect(verifiers.of("ldapserver=h ldapbasedn=dc=x")).not.toBe(first);
});

test("options that cannot be used let nobody in and say why", async () => {
  const verdict = await new LdapVerifiers().of("ldapserver=h ldapfoo=1").verify("joe", "p", "h");
  expect(verdict).toEqual({ ok: false, log: 'invalid LDAP option: "ldapfoo"' });
});
