/**
 * Clients of a whole pooler whose passwords are judged by slapd and by PAM: what they are told, and what the log says.
 * A pooler knows PAM's folder /etc/pam.d only, so the PAM part runs as root, and leaves a service "pgbouncer" of others alone.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { logIn as logInTo } from "../integration/login-dialogue.ts";
import { Bouncer } from "../support/bouncer.ts";
import { Slapd } from "./slapd.ts";

const PAM_SERVICE = "/etc/pam.d/pgbouncer";
const runtime = process.versions["bun"] === undefined ? "node" : "bun";

let cluster: EmbeddedPostgres;
let databases: Record<string, string>;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  databases = { forced: `host=${cluster.host} port=${cluster.port} dbname=postgres user=postgres` };
});
afterAll(() => cluster?.stop());

/** The dialogue, and the error if there was one. */
async function logIn(bouncer: Bouncer, user: string, password: string): Promise<string> {
  const { dialogue, error, client } = await logInTo(bouncer, { user, password, database: "forced" });
  client.destroy();
  return error === null ? dialogue : `${dialogue} ${error["M"]}`;
}

describe("LDAP", () => {
  let slapd: Slapd;
  let bouncer: Bouncer;

  beforeAll(async () => {
    slapd = await Slapd.start();
    bouncer = await Bouncer.start({
      runtime,
      databases,
      env: { LDAPTLS_CACERT: slapd.authority },
      settings: {
        auth_type: "ldap",
        auth_ldap_options: `ldapurl="ldap://localhost:${slapd.port}/dc=example,dc=net?uid?sub" ldaptls=1`,
        server_tls_sslmode: "disable",
      },
    });
  });
  afterAll(async () => {
    await bouncer?.stop();
    await slapd?.stop();
  });

  test("right, wrong, unknown, empty", async () => {
    expect(await logIn(bouncer, "ldapuser1", "secret1")).toBe("R3 R0 … Z");
    expect(await logIn(bouncer, "ldapuser1", "secret2")).toBe("R3 E LDAP authentication failed");
    expect(await logIn(bouncer, "nobody-here", "secret2")).toBe("R3 E LDAP authentication failed");
    expect(await logIn(bouncer, "ldapuser1", "")).toBe("R3 E empty password returned by client");
    expect(
      bouncer.logContains(/LDAP login failed for user uid=ldapuser1,dc=example,dc=net on server localhost: Inv/),
    ).toBe(true);
    expect(bouncer.logContains(/LDAP user "nobody-here" does not exist/)).toBe(true);
    expect(bouncer.log()).not.toMatch(/secret[12]/);
  });
});

describe.skipIf(process.getuid?.() !== 0 || existsSync(PAM_SERVICE))("PAM", () => {
  let folder = "";
  let bouncer: Bouncer;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "pgcarpool-pam-"));
    chmodSync(folder, 0o755);
    const hash = execFileSync("openssl", ["passwd", "-6", "-stdin"], { input: "pam-secret-1" }).toString().trim();
    writeFileSync(join(folder, "passwords"), `joe:${hash}\n`);
    writeFileSync(
      PAM_SERVICE,
      `auth required pam_pwdfile.so nodelay pwdfile=${folder}/passwords\n` +
        "account required pam_succeed_if.so quiet rhost = 127.0.0.1\n",
    );
    bouncer = await Bouncer.start({
      runtime,
      databases,
      settings: { auth_type: "pam", server_tls_sslmode: "disable" },
    });
  });
  afterAll(async () => {
    await bouncer?.stop();
    rmSync(PAM_SERVICE, { force: true });
    rmSync(folder, { recursive: true, force: true });
  });

  test("right, wrong, unknown", async () => {
    expect(await logIn(bouncer, "joe", "pam-secret-1")).toBe("R3 R0 … Z");
    expect(await logIn(bouncer, "joe", "pam-secret-2")).toBe("R3 E PAM authentication failed");
    expect(await logIn(bouncer, "ann", "pam-secret-1")).toBe("R3 E PAM authentication failed");
    expect(bouncer.logContains(/pam_authenticate\(\) failed: Authentication failure/)).toBe(true);
    expect(bouncer.log()).not.toContain("pam-secret");
  });
});
