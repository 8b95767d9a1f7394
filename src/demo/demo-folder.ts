/**
 * The one folder below which a demo keeps everything, and the watcher that removes it when the demo is killed in a way
 * that leaves it no last word (kill -9). The watcher also gives the terminal its cursor and its old screen back.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { cacheFolder } from "./cluster-template.ts";
import { temporaryBase } from "./temporary-folder.ts";
import { screenOff } from "./terminal-screen.ts";
import type { UnprivilegedUser } from "./unprivileged-user.ts";

/**
 * $1 is the folder; $2 what to write to the terminal, which is descriptor 1, "" for nothing; $3 is our process id, which
 * the draft of a cluster template below $4 has in its name. Descriptor 3 is the pipe to us: a line ends the duty, an end
 * of file without one is the case it is there for. Processes that are being stopped at the same moment may still write
 * into the folder, hence the repetition.
 */
const watcherScript = `
read -r word <&3 && exit 0
[ -n "$2" ] && printf '%s' "$2"
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  rm -rf "$1" "$4"/cluster-*."$3".* 2>/dev/null
  sleep 0.25
  [ -e "$1" ] || [ "$try" -lt 2 ] || exit 0
done
`;

/** Others may enter: PostgreSQL and the pooler run as another user when we are root. */
const folderMode = 0o755;
const nameBytes = 4;

export class DemoFolder {
  readonly path: string;
  readonly #watcher: ChildProcess;
  readonly #duty: Writable & { unref(): void };

  private constructor(path: string, watcher: ChildProcess) {
    this.path = path;
    this.#watcher = watcher;
    this.#duty = watcher.stdio[3] as Writable & { unref(): void };
    // EPIPE: the watcher is gone before our word reached it. ENOENT: there is no shell, so nothing is watched.
    this.#duty.on("error", () => undefined);
    watcher.on("error", () => undefined);
    watcher.unref();
    this.#duty.unref();
  }

  /** Makes the folder below the machine's temporary folder, for `user` if we are root. `onTerminal`: stdout is a terminal that a screen is drawn on. */
  static make(user: UnprivilegedUser | null, onTerminal: boolean): DemoFolder {
    const path = join(temporaryBase(user), `pgc-demo-${randomBytes(nameBytes).toString("hex")}`);
    const last = onTerminal ? screenOff : "";
    const words = [path, last, String(process.pid), cacheFolder];
    const watcher = spawn("/bin/sh", ["-c", watcherScript, "sh", ...words], {
      cwd: "/",
      stdio: ["ignore", onTerminal ? "inherit" : "ignore", "ignore", "pipe"],
      // A session of its own, so that Ctrl-C and a kill of our group do not reach it.
      detached: true,
    });
    const folder = new DemoFolder(path, watcher);
    // Only now, so that there is no moment at which it stands unwatched.
    mkdirSync(path);
    chmodSync(path, folderMode);
    if (user !== null) chownSync(path, user.uid, user.gid);
    return folder;
  }

  /** Removes the folder and ends the watcher. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
    if (this.#watcher.exitCode === null) this.#duty.end("over\n");
  }
}
