/**
 * The TLS rules for LDAP servers as the machine has them: PgBouncer leaves them to libldap, whose configuration counts, so
 * the same files and variables count here (ldap.conf(5)).
 *
 *   /etc/ldap/ldap.conf, /etc/openldap/ldap.conf      the machine's; whichever is there
 *   $HOME/ldaprc, $HOME/.ldaprc, ./ldaprc             the user's
 *   $LDAPCONF, $LDAPRC                                named by the environment (LDAPRC: in $HOME and in this folder too)
 *   $LDAPTLS_CACERT, $LDAPTLS_REQCERT …               single options
 *
 * What comes later wins; $LDAPNOINIT turns all of it off. Certificates of our own (TLS_CERT, TLS_KEY) are never the
 * machine's choice. Options about anything but certificates are ignored. Files are read when this is called, once for each
 * verifier.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import type { LdapTls } from "../net/ldap-connection.ts";

const optionNames = ["TLS_CACERT", "TLS_CACERTDIR", "TLS_CERT", "TLS_KEY", "TLS_REQCERT"] as const;
type OptionName = (typeof optionNames)[number];
const userOnly: readonly OptionName[] = ["TLS_CERT", "TLS_KEY"];

export type LdapConf = ReadonlyMap<OptionName, string>;

const machineFiles = ["/etc/ldap/ldap.conf", "/etc/openldap/ldap.conf"];
/** Where systems keep the authorities that all programs trust. */
const systemAuthorities = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];
const certificate = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** `machine`: the files of the machine; given by tests. Never rejects: a file that cannot be read has no say. */
export async function readLdapConf(
  env: Readonly<Record<string, string | undefined>>,
  machine: readonly string[] = machineFiles,
): Promise<LdapConf> {
  const conf = new Map<OptionName, string>();
  if (env["LDAPNOINIT"] !== undefined) return conf;
  const home = env["HOME"];
  const userFiles = (name: string): string[] =>
    home === undefined ? [name] : [join(home, name), join(home, `.${name}`), name];
  const { LDAPCONF: named, LDAPRC: namedForUser } = env;
  await addFiles(conf, machine, false);
  await addFiles(conf, userFiles("ldaprc"), true);
  if (named !== undefined) await addFiles(conf, [named], false);
  if (namedForUser !== undefined) await addFiles(conf, userFiles(namedForUser), true);
  for (const name of optionNames) {
    const value = env[`LDAP${name}`];
    if (value !== undefined) conf.set(name, value);
  }
  return conf;
}

async function addFiles(conf: Map<OptionName, string>, paths: readonly string[], isUsers: boolean): Promise<void> {
  for (const path of paths) {
    const text = await readFile(path, "utf8").catch(() => "");
    for (const line of text.split("\n")) {
      const found = /^\s*([A-Za-z_]+)\s+(\S.*?)\s*$/.exec(line);
      const name = found?.[1]?.toUpperCase() as OptionName | undefined;
      if (name === undefined || !optionNames.includes(name)) continue;
      if (isUsers || !userOnly.includes(name)) conf.set(name, found?.[2] as string);
    }
  }
}

/**
 * What the options say, with the contents of the files they name. Without an authority the system's are trusted, as
 * libldap does it. Rejects when a file cannot be read, with a message that names it.
 */
export async function loadLdapTls(conf: LdapConf): Promise<LdapTls> {
  const isVerified = !["never", "allow"].includes((conf.get("TLS_REQCERT") ?? "demand").toLowerCase());
  const own = conf.get("TLS_CERT");
  const key = conf.get("TLS_KEY");
  return {
    isVerified,
    ca: isVerified ? await authorities(conf) : [],
    ...(own === undefined ? {} : { cert: await read("TLS_CERT", own) }),
    ...(key === undefined ? {} : { key: await read("TLS_KEY", key) }),
  };
}

async function authorities(conf: LdapConf): Promise<readonly string[] | null> {
  const file = conf.get("TLS_CACERT");
  const folder = conf.get("TLS_CACERTDIR");
  if (file === undefined && folder === undefined) return systemDefault();
  const texts = file === undefined ? [] : [await read("TLS_CACERT", file)];
  if (folder !== undefined) {
    const names = await readdir(folder).catch((error: unknown) => {
      throw new Error(`TLS_CACERTDIR: ${(error as Error).message}`, { cause: error });
    });
    for (const name of names) texts.push(await readFile(join(folder, name), "utf8").catch(() => ""));
  }
  return texts.flatMap((text) => text.match(certificate) ?? []);
}

async function systemDefault(): Promise<readonly string[] | null> {
  for (const path of systemAuthorities) {
    const found = (await readFile(path, "utf8").catch(() => "")).match(certificate);
    if (found !== null) return found;
  }
  return null;
}

async function read(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`${option}: ${(error as Error).message}`, { cause: error });
  }
}
