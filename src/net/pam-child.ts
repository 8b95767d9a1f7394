/**
 * The program that asks PAM for the pooler, in a process of its own, because PAM blocks (`pam-process.ts` starts it).
 *
 *   descriptor 0   in    one request a line: [service, confdir, user, password, remote host], the last three in base64
 *   descriptor 3   out   one answer a line: {"ok":…,"log":…,"delayMs":…}; first of all {"ready":true}, or {"fatal":"why"} and the end
 *
 * Standard output is not used: a module may print. It ends when its input ends, which is when the pooler is gone; signals
 * that are meant for the pooler and reach its whole process group do not end it before that.
 */
import { writeSync } from "node:fs";
import type { PamAnswer } from "./pam-conversation.ts";
import { Pam } from "./pam-conversation.ts";

const ANSWERS_FD = 3;

export type PamRequestLine = readonly [
  service: string,
  confdir: string | null,
  user: string,
  password: string,
  remoteHost: string,
];

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const) {
  process.on(signal, () => {});
}
const pam = load();
if (pam !== null) {
  answer({ ready: true });
  listen(pam);
}

function load(): Pam | null {
  try {
    return new Pam();
  } catch (error) {
    answer({ fatal: (error as Error).message });
    return null;
  }
}

function listen(library: Pam): void {
  let text = "";
  process.stdin.setEncoding("latin1");
  process.stdin.on("data", (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      answer(check(library, line));
    }
  });
  process.stdin.on("end", () => process.exit(0));
  process.stdin.on("error", () => process.exit(0));
}

function check(library: Pam, line: string): PamAnswer {
  try {
    const [service, confdir, user, password, remoteHost] = JSON.parse(line) as PamRequestLine;
    return library.check({
      service,
      confdir,
      user: Buffer.from(user, "base64"),
      password: Buffer.from(password, "base64"),
      remoteHost: Buffer.from(remoteHost, "base64"),
    });
  } catch (error) {
    return { ok: false, log: `PAM could not be asked: ${(error as Error).message}`, delayMs: 0 };
  }
}

function answer(what: object): void {
  try {
    writeSync(ANSWERS_FD, `${JSON.stringify(what)}\n`);
  } catch {
    // Nobody listens any more: the pooler is gone.
    process.exit(0);
  }
}
