/** PAM with real modules: pam_pwdfile for passwords, pam_succeed_if for where a client comes from. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { PamVerifier } from "../../src/auth/pam-verifier.ts";
import { createClock } from "../../src/net/clock.ts";
import { decodeText } from "../../src/protocol/byte-text.ts";
import { waitFor } from "../support/wait-for.ts";

const latin1 = Buffer.from("gr\u00fcn", "latin1");
const verifiers: PamVerifier[] = [];
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pgcarpool-pam-"));
  const hash = (password: string | Buffer): string =>
    execFileSync("openssl", ["passwd", "-6", "-stdin"], { input: password }).toString("latin1").trim();
  const users = { joe: hash("pam-secret-1"), ann: hash("пароль"), otto: hash(latin1), late: hash("pam-secret-1") };
  writeFileSync(
    join(folder, "passwords"),
    Object.entries(users)
      .map((pair) => `${pair.join(":")}\n`)
      .join(""),
  );
  writeService(`auth required pam_pwdfile.so pwdfile=${folder}/passwords
account requisite pam_succeed_if.so quiet user != late
account required pam_succeed_if.so quiet rhost = 192.0.2.7
`);
});
afterEach(() => {
  for (const verifier of verifiers.splice(0)) verifier.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function writeService(text: string): void {
  writeFileSync(join(folder, "pgbouncer"), text);
}

function newVerifier(answerTimeoutMs = 20_000): PamVerifier {
  const verifier = new PamVerifier(createClock(), { confdir: folder, answerTimeoutMs });
  verifiers.push(verifier);
  return verifier;
}

/** Process ids of programs for PAM that `parent` started. */
function children(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, "latin1");
        return (
          status.includes(`PPid:\t${parent}\n`) && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("pam-child")
        );
      } catch {
        // It has ended meanwhile.
        return false;
      }
    });
}

const ok = { ok: true, log: null };

describe("verdicts", () => {
  test("right, wrong, unknown, expired, from elsewhere", async () => {
    const pam = newVerifier();
    expect(await pam.verify("joe", "pam-secret-1", "192.0.2.7")).toEqual(ok);
    expect(await pam.verify("ann", "пароль", "192.0.2.7")).toEqual(ok);
    const [wrong, unknown, expired, elsewhere] = await Promise.all([
      pam.verify("joe", "pam-secret-2", "192.0.2.7"),
      pam.verify("nobody-here", "pam-secret-1", "192.0.2.7"),
      pam.verify("late", "pam-secret-1", "192.0.2.7"),
      pam.verify("joe", "pam-secret-1", "192.0.2.8"),
    ]);
    expect(wrong).toEqual({ ok: false, log: "pam_authenticate() failed: Authentication failure" });
    expect(unknown).toEqual({
      ok: false,
      log: "pam_authenticate() failed: User not known to the underlying authentication module",
    });
    expect(expired?.log).toMatch(/^pam_acct_mgmt\(\) failed: /);
    expect(elsewhere?.log).toMatch(/^pam_acct_mgmt\(\) failed: /);
  });

  test("passwords are bytes, whatever their encoding", async () => {
    const pam = newVerifier();
    expect(await pam.verify("otto", decodeText(latin1, 0, latin1.length), "192.0.2.7")).toEqual(ok);
    expect((await pam.verify("otto", "grün", "192.0.2.7")).ok).toBe(false);
  });

  test("what is wrong is kept back, and nobody waits behind it", async () => {
    const pam = newVerifier();
    const startedMs = performance.now();
    const wrong = Array.from({ length: 60 }, () => pam.verify("joe", "no", "192.0.2.7"));
    const right = await Promise.all(Array.from({ length: 20 }, () => pam.verify("joe", "pam-secret-1", "192.0.2.7")));
    expect(right.every((verdict) => verdict.ok)).toBe(true);
    // The module's brake is a second at least: four processes that slept would need a quarter of a minute before these.
    expect(performance.now() - startedMs).toBeLessThan(14_000);
    expect((await Promise.all(wrong)).some((verdict) => verdict.ok)).toBe(false);
    const oneStartedMs = performance.now();
    await pam.verify("joe", "no", "192.0.2.7");
    expect(performance.now() - oneStartedMs).toBeGreaterThan(900);
  });

  test("a service without a file lets nobody in", async () => {
    const nowhere = new PamVerifier(createClock(), { confdir: join(folder, "missing") });
    verifiers.push(nowhere);
    expect((await nowhere.verify("joe", "pam-secret-1", "192.0.2.7")).ok).toBe(false);
  });
});

describe("processes", () => {
  test("the password is in no argument and no environment; one process is kept", async () => {
    const pam = newVerifier();
    await pam.verify("joe", "pam-secret-1", "192.0.2.7");
    await pam.verify("joe", "pam-secret-1", "192.0.2.7");
    const [child, ...others] = children(process.pid);
    expect(others).toEqual([]);
    for (const file of ["cmdline", "environ"]) {
      expect(readFileSync(`/proc/${child}/${file}`, "latin1")).not.toContain("pam-secret-1");
    }
  });

  test("one that is killed is replaced; signals for the pooler's group do not end one", async () => {
    const pam = newVerifier();
    await pam.verify("joe", "pam-secret-1", "192.0.2.7");
    const [first] = children(process.pid) as [number];
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const) process.kill(first, signal);
    expect(await pam.verify("joe", "pam-secret-1", "192.0.2.7")).toEqual(ok);
    expect(children(process.pid)).toEqual([first]);
    process.kill(first, "SIGKILL");
    await waitFor("its end", () => children(process.pid).length === 0);
    const replaced = await waitFor("a login", async () => {
      const verdict = await pam.verify("joe", "pam-secret-1", "192.0.2.7");
      return verdict.ok ? verdict : null;
    });
    expect(replaced).toEqual(ok);
    expect(children(process.pid)).not.toContain(first);
  });

  test("one that hangs is killed, and the next login is served", async () => {
    const hanging = mkdtempSync(join(tmpdir(), "pgcarpool-pam-"));
    writeFileSync(
      join(hanging, "pgbouncer"),
      "auth required pam_exec.so /bin/sleep 60\naccount required pam_permit.so\n",
    );
    const pam = new PamVerifier(createClock(), { confdir: hanging, answerTimeoutMs: 3000 });
    verifiers.push(pam);
    expect((await pam.verify("joe", "p", "192.0.2.7")).log).toBe("PAM did not answer within 3 s");
    writeFileSync(join(hanging, "pgbouncer"), "auth required pam_permit.so\naccount required pam_permit.so\n");
    expect(await pam.verify("joe", "p", "192.0.2.7")).toEqual(ok);
    rmSync(hanging, { recursive: true, force: true });
  });

  test("none outlives the pooler, however that ends", async () => {
    const flags = process.versions["bun"] === undefined ? [] : ["--no-install"];
    const program = fileURLToPath(new URL("pam-login.ts", import.meta.url));
    const parent = spawn(process.execPath, [...flags, program, folder, "joe"], { stdio: ["pipe", "pipe", "inherit"] });
    let text = "";
    parent.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    parent.stdin.end("pam-secret-1");
    await waitFor("the verdict", () => text.includes("\n"));
    expect(JSON.parse(text)).toEqual(ok);
    const [child] = children(parent.pid as number) as [number];
    expect(child).toBeGreaterThan(0);
    parent.kill("SIGKILL");
    await waitFor("the end of its child", () => {
      try {
        return !readFileSync(`/proc/${child}/cmdline`, "latin1").includes("pam-child");
      } catch {
        // The folder is gone with the process.
        return true;
      }
    });
  });
});
