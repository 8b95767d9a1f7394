/**
 * A process that asks PAM (`pam-child.ts`), seen from the pooler: starting it, one request at a time, its end.
 *
 * Passwords go through a pipe, never through arguments or the environment, which other users of the machine may read. The
 * process does not keep the pooler alive, and ends when the pooler does.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { encodeText } from "../protocol/byte-text.ts";
import type { PamRequestLine } from "./pam-child.ts";
import type { PamAnswer } from "./pam-conversation.ts";

export interface PamQuestion {
  readonly service: string;
  readonly confdir: string | null;
  readonly user: string;
  readonly password: string;
  readonly remoteHost: string;
}

/** `reason` of the end is for the log. No call comes after `onEnd`. */
export interface PamProcessEvents {
  /** libpam is loaded; questions may be asked. */
  onReady(): void;
  onAnswer(answer: PamAnswer): void;
  /** `isHopeless`: another one would fare the same (no libpam, no koffi). */
  onEnd(reason: string, isHopeless: boolean): void;
}

export interface PamProcess {
  /** Not before `onReady`, and not before the last one is answered. */
  ask(question: PamQuestion): void;
  /** At once, whatever it does. `onEnd` follows. */
  kill(): void;
  /** Lets it end by itself. `onEnd` follows. */
  finish(): void;
}

/** Longest line of an answer; more is no answer. */
const ANSWER_BYTES_MAX = 65_536;

/** Never throws: what goes wrong comes by `onEnd`, never inside this call. */
export function startPamProcess(events: PamProcessEvents): PamProcess {
  // Beside this file, and of its kind: source in a clone, compiled in the package.
  const program = import.meta.url.replace(/pam-process(\.[a-z]+)$/, "pam-child$1");
  // Like the pooler itself: no packages fetched, no files of the folder it was started in.
  const isBun = process.versions["bun"] !== undefined;
  const flags = isBun ? ["--config=/dev/null", "--no-install", "--no-env-file"] : [];
  const child = spawn(process.execPath, [...flags, fileURLToPath(program)], {
    stdio: ["pipe", "ignore", "inherit", "pipe"],
  });
  return new RunningPamProcess(child, events);
}

class RunningPamProcess implements PamProcess {
  readonly #child: ChildProcess;
  readonly #events: PamProcessEvents;
  #text = "";
  #fatal: string | null = null;
  #ended = false;

  constructor(child: ChildProcess, events: PamProcessEvents) {
    this.#child = child;
    this.#events = events;
    child.on("error", (error) => this.#end(`the process for PAM could not be started: ${error.message}`, true));
    child.on("exit", (code, signal) => {
      const how = signal === null ? `exit status ${code}` : `signal ${signal}`;
      if (this.#fatal !== null) this.#end(this.#fatal, true);
      else this.#end(`the process for PAM ended (${how})`, false);
    });
    child.stdin?.on("error", () => {});
    const answers = this.#answers();
    answers?.setEncoding("utf8");
    answers?.on("error", () => {});
    answers?.on("data", (text: string) => this.#read(text));
    child.unref();
    unref(child.stdin);
    unref(answers);
  }

  ask({ service, confdir, user, password, remoteHost }: PamQuestion): void {
    const line: PamRequestLine = [service, confdir, base64(user), base64(password), base64(remoteHost)];
    this.#child.stdin?.write(`${JSON.stringify(line)}\n`);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  finish(): void {
    this.#child.stdin?.end();
  }

  #answers(): Readable | null {
    return (this.#child.stdio[3] ?? null) as Readable | null;
  }

  #read(text: string): void {
    this.#text += text;
    if (this.#text.length > ANSWER_BYTES_MAX) this.kill();
    for (let end = this.#text.indexOf("\n"); end >= 0 && !this.#ended; end = this.#text.indexOf("\n")) {
      const line = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 1);
      const answer = JSON.parse(line) as Partial<PamAnswer> & { ready?: boolean; fatal?: string };
      if (answer.fatal !== undefined) this.#fatal = `PAM cannot be used: ${answer.fatal}`;
      else if (answer.ready === true) this.#events.onReady();
      else this.#events.onAnswer({ ok: answer.ok === true, log: answer.log ?? null, delayMs: answer.delayMs ?? 0 });
    }
  }

  #end(reason: string, isHopeless: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#events.onEnd(reason, isHopeless);
  }
}

function base64(text: string): string {
  return Buffer.from(encodeText(text)).toString("base64");
}

/** Pipes of a child are sockets, which the types do not say. */
function unref(stream: Readable | Writable | null): void {
  (stream as { unref?(): void } | null)?.unref?.();
}
