/**
 * One password judged by libpam, in the calling thread: `pam_start`, `pam_authenticate`, `pam_acct_mgmt`, `pam_end`.
 *
 * It blocks for as long as the modules of the service take, so it runs in a process of its own (`pam-child.ts`).
 * Counterpart: `pam_check_passwd` and `pam_conversation` in PgBouncer's `pam.c`, whose log lines these are.
 *
 * Numbers are Linux-PAM's (security/_pam_types.h). A name, a password and the place a client comes from are bytes, handed
 * over as C strings.
 */
import { createRequire } from "node:module";

const PAM_SUCCESS = 0;
const PAM_CONV_ERR = 19;
const PAM_RHOST = 4;
const PAM_FAIL_DELAY = 10;
const PAM_SILENT = 0x8000;
const PAM_PROMPT_ECHO_OFF = 1;
const PAM_ERROR_MSG = 3;
/** struct pam_response { char *resp; int resp_retcode; } with its padding */
const RESPONSE_BYTES = 16;
/** PAM_MAX_NUM_MSG */
const MESSAGES_MAX = 32;
const ERROR_TEXT_MAX = 300;

export interface PamRequest {
  readonly service: string;
  /** Null: the system's folder (/etc/pam.d). */
  readonly confdir: string | null;
  readonly user: Uint8Array;
  readonly password: Uint8Array;
  readonly remoteHost: Uint8Array;
}

export interface PamAnswer {
  readonly ok: boolean;
  readonly log: string | null;
  /** How long the failure is to be kept back: the modules' brake on guessing. */
  readonly delayMs: number;
}

type ForeignFunction = (...values: unknown[]) => unknown;
/** An address, as koffi has it. */
type Pointer = bigint;

interface ForeignLibrary {
  func(definition: string): ForeignFunction;
}

interface Koffi {
  load(path: string | null): ForeignLibrary;
  proto(definition: string): unknown;
  pointer(type: unknown): unknown;
  struct(name: string, members: Record<string, unknown>): unknown;
  register(callback: (...values: never[]) => unknown, type: unknown): unknown;
  decode(pointer: Pointer, type: unknown, length?: number): unknown;
  encode(pointer: Pointer, type: unknown, value: unknown, length?: number): void;
}

/** libpam, loaded once. Not for several threads: there is one conversation at a time. */
export class Pam {
  readonly #koffi: Koffi;
  readonly #library: ForeignLibrary;
  readonly #calloc: ForeignFunction;
  readonly #free: ForeignFunction;
  readonly #message: unknown;
  readonly #conversation: { conv: unknown; data: null };
  readonly #delay: unknown;
  readonly #start: ForeignFunction;
  readonly #setItem: ForeignFunction;
  readonly #authenticate: ForeignFunction;
  readonly #accountManagement: ForeignFunction;
  readonly #end: ForeignFunction;
  readonly #strerror: ForeignFunction;
  #password: Uint8Array = new Uint8Array(0);
  #errors: string[] = [];
  #delayMs = 0;

  /** Throws when koffi or libpam cannot be loaded. */
  constructor() {
    const koffi = createRequire(import.meta.url)("koffi") as Koffi;
    this.#koffi = koffi;
    const libc = koffi.load(null);
    this.#calloc = libc.func("void *calloc(size_t, size_t)");
    this.#free = libc.func("void free(void *)");
    const library = koffi.load("libpam.so.0");
    this.#library = library;
    this.#message = koffi.struct("PamMessage", { style: "int", text: "const char *" });
    const conv = koffi.pointer(koffi.proto("int PamConverse(int, void *, void *, void *)"));
    koffi.struct("PamConversation", { conv, data: "void *" });
    // Registered once and never released: libpam holds it from pam_start to pam_end.
    const converse = (count: number, messages: Pointer, responses: Pointer): number =>
      this.#converse(count, messages, responses);
    this.#conversation = { conv: koffi.register(converse, conv), data: null };
    // libpam would sleep here, and nobody else could be asked meanwhile: the one who waits is the client.
    const delay = koffi.pointer(koffi.proto("void PamDelay(int, unsigned int, void *)"));
    const keep = (_code: number, delayUs: number): void => {
      this.#delayMs = delayUs / 1000;
    };
    this.#delay = koffi.register(keep, delay);
    this.#start = library.func("int pam_start(const char *, void *, PamConversation *, _Out_ void **)");
    this.#setItem = library.func("int pam_set_item(void *, int, void *)");
    this.#authenticate = library.func("int pam_authenticate(void *, int)");
    this.#accountManagement = library.func("int pam_acct_mgmt(void *, int)");
    this.#end = library.func("int pam_end(void *, int)");
    this.#strerror = library.func("const char *pam_strerror(void *, int)");
  }

  /** Blocks. Throws for a `confdir` where libpam has only the system's. */
  check({ service, confdir, user, password, remoteHost }: PamRequest): PamAnswer {
    this.#password = password;
    this.#errors = [];
    this.#delayMs = 0;
    const out: [Pointer | null] = [null];
    const started =
      confdir === null
        ? this.#start(service, cString(user), this.#conversation, out)
        : this.#startIn(confdir, service, user, out);
    const handle = out[0];
    if (started !== PAM_SUCCESS || handle === null) return this.#failed("pam_start()", null, started);
    // Where this is not known libpam sleeps itself.
    this.#setItem(handle, PAM_FAIL_DELAY, this.#delay);
    let code = this.#setItem(handle, PAM_RHOST, cString(remoteHost));
    let step = "pam_set_item()";
    if (code === PAM_SUCCESS) {
      step = "pam_authenticate()";
      code = this.#authenticate(handle, PAM_SILENT);
    }
    if (code === PAM_SUCCESS) {
      step = "pam_acct_mgmt()";
      code = this.#accountManagement(handle, PAM_SILENT);
    }
    const answer = code === PAM_SUCCESS ? { ok: true, log: null, delayMs: 0 } : this.#failed(step, handle, code);
    this.#password = new Uint8Array(0);
    this.#end(handle, code);
    return answer;
  }

  #startIn(confdir: string, service: string, user: Uint8Array, out: [Pointer | null]): unknown {
    const definition = "int pam_start_confdir(const char *, void *, PamConversation *, const char *, _Out_ void **)";
    return this.#library.func(definition)(service, cString(user), this.#conversation, confdir, out);
  }

  #failed(step: string, handle: Pointer | null, code: unknown): PamAnswer {
    const said = this.#errors.length === 0 ? "" : ` (PAM error: ${this.#errors.join("; ")})`;
    return { ok: false, log: `${step} failed: ${String(this.#strerror(handle, code))}${said}`, delayMs: this.#delayMs };
  }

  /** Called by the modules: answers what must not be echoed with the password, and everything else with nothing. */
  #converse(count: number, messages: Pointer, responses: Pointer): number {
    if (count < 1 || count > MESSAGES_MAX) return PAM_CONV_ERR;
    // libpam frees both the array and the texts in it.
    const answers = this.#calloc(count, RESPONSE_BYTES) as Pointer | null;
    if (answers === null) return PAM_CONV_ERR;
    const pointers = this.#koffi.decode(messages, "void *", count) as Pointer[];
    for (const [i, pointer] of pointers.entries()) {
      const message = this.#koffi.decode(pointer, this.#message) as { style: number; text: string | null };
      if (message.style === PAM_ERROR_MSG) this.#errors.push(loggable(message.text ?? ""));
      if (message.style !== PAM_PROMPT_ECHO_OFF) continue;
      const text = this.#calloc(this.#password.length + 1, 1) as Pointer | null;
      if (text === null) {
        this.#free(answers);
        return PAM_CONV_ERR;
      }
      this.#koffi.encode(text, "uint8_t", [...this.#password], this.#password.length);
      this.#koffi.encode(answers + BigInt(i * RESPONSE_BYTES), "void *", text);
    }
    this.#koffi.encode(responses, "void *", answers);
    return PAM_SUCCESS;
  }
}

function cString(bytes: Uint8Array): Uint8Array {
  const text = new Uint8Array(bytes.length + 1);
  text.set(bytes);
  return text;
}

/** What a module says, on one line. */
function loggable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f]+/g, " ").slice(0, ERROR_TEXT_MAX);
}
