/**
 * A real LDAP server (OpenLDAP's slapd) for a test: own folder, free ports of the loopback, certificates made here.
 *
 * It is as permissive as servers in the field are: binds without a password succeed (and prove nothing).
 */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../../src/demo/free-port.ts";
import { waitFor } from "../support/wait-for.ts";

const PROGRAM = "/usr/sbin/slapd";
const ROOT_DN = "cn=Manager,dc=example,dc=net";
const ROOT_PASSWORD = "secret";
export const LONG_UNIT = "йцукенгшщзхъфывапролджэячсмитьбю-".repeat(3) + "йцукенгшщзхъфыва";

const entries = `dn: dc=example,dc=net
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=reader,dc=example,dc=net
objectClass: person
cn: reader
sn: Reader
userPassword: reader secret

dn: uid=ldapuser1,dc=example,dc=net
objectClass: inetOrgPerson
uid: ldapuser1
cn: First
sn: User
mail: ldapuser1@example.net
userPassword: secret1

dn: o=${LONG_UNIT},dc=example,dc=net
objectClass: organization
o: ${LONG_UNIT}

dn: uid=ldapuser2,o=${LONG_UNIT},dc=example,dc=net
objectClass: inetOrgPerson
uid: ldapuser2
cn: Second
sn: User
userPassword: пароль2

dn: cn=Smith\\, John,dc=example,dc=net
objectClass: inetOrgPerson
uid: smith
cn: Smith, John
sn: Smith
userPassword: secret3
`;

export class Slapd {
  readonly folder: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly #child: ChildProcess;

  private constructor(folder: string, port: number, tlsPort: number, child: ChildProcess) {
    this.folder = folder;
    this.port = port;
    this.tlsPort = tlsPort;
    this.#child = child;
  }

  /** The authority that signed its certificate, which is for "localhost" and not for 127.0.0.1. */
  get authority(): string {
    return join(this.folder, "ca.crt");
  }

  /** An authority that did not. */
  get stranger(): string {
    return join(this.folder, "stranger.crt");
  }

  static async start(): Promise<Slapd> {
    const folder = mkdtempSync(join(tmpdir(), "pgcarpool-slapd-"));
    // The pooler that reads the authority may be another user.
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, "data"));
    makeCertificates(folder);
    writeFileSync(join(folder, "slapd.conf"), configuration(folder));
    const port = await findFreePort();
    const tlsPort = await findFreePort();
    const urls = `ldap://127.0.0.1:${port} ldaps://127.0.0.1:${tlsPort}`;
    // With -d it stays in the foreground.
    const child = spawn(PROGRAM, ["-d", "0", "-f", join(folder, "slapd.conf"), "-h", urls], { stdio: "ignore" });
    const slapd = new Slapd(folder, port, tlsPort, child);
    const add = ["-x", "-D", ROOT_DN, "-w", ROOT_PASSWORD, "-H", `ldap://127.0.0.1:${port}`];
    await waitFor("slapd", () => {
      execFileSync("ldapwhoami", add, { stdio: "pipe", env: { ...process.env, LDAPNOINIT: "1" } });
      return true;
    });
    execFileSync("ldapadd", add, { input: entries, stdio: "pipe", env: { ...process.env, LDAPNOINIT: "1" } });
    return slapd;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function configuration(folder: string): string {
  return `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile ${folder}/pid
allow bind_anon_dn bind_anon_cred
access to attrs=userPassword
  by anonymous auth
access to *
  by * read
database ldif
directory ${folder}/data
TLSCACertificateFile ${folder}/ca.crt
TLSCertificateFile ${folder}/server.crt
TLSCertificateKeyFile ${folder}/server.key
suffix "dc=example,dc=net"
rootdn "${ROOT_DN}"
rootpw ${ROOT_PASSWORD}
`;
}

function makeCertificates(folder: string): void {
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  };
  const newKey = ["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  for (const name of ["ca", "stranger"]) {
    openssl(...newKey, "-x509", "-days", "2", "-keyout", `${name}.key`, "-out", `${name}.crt`, "-subj", "/CN=CA");
  }
  openssl(...newKey, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost");
  writeFileSync(join(folder, "extensions"), "subjectAltName=DNS:localhost\n");
  const sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
  openssl(...sign, "-days", "2", "-extfile", "extensions", "-out", "server.crt");
}
