/** Answers a server's requests for a password, one login long. Whether it is let in is for the server to say. */
import { createHash } from "node:crypto";
import { md5Secret, ScramAnswers } from "../../integration/login-dialogue.ts";
import { int32, message, type WireClient } from "../../support/wire-client.ts";

const Request = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11 } as const;

export class PasswordDialogue {
  readonly #wire: WireClient;
  readonly #user: string;
  readonly #password: string;
  readonly #scram: ScramAnswers;

  constructor(wire: WireClient, user: string, password: string) {
    this.#wire = wire;
    this.#user = user;
    this.#password = password;
    this.#scram = new ScramAnswers(password);
  }

  /** `body`: of a message of type R. */
  answer(body: Buffer): void {
    switch (body.readInt32BE(0)) {
      case Request.cleartext:
        this.#wire.send(message("p", this.#password));
        break;
      case Request.md5: {
        const inner = Buffer.from(md5Secret(this.#user, this.#password).slice(3), "latin1");
        const outer = createHash("md5").update(inner).update(body.subarray(4, 8)).digest("hex");
        this.#wire.send(message("p", `md5${outer}`));
        break;
      }
      case Request.sasl: {
        const first = Buffer.from(this.#scram.first());
        this.#wire.send(message("p", "SCRAM-SHA-256", int32(first.length), first));
        break;
      }
      case Request.saslContinue:
        this.#wire.send(message("p", Buffer.from(this.#scram.final(body.toString("latin1", 4)))));
        break;
      default:
    }
  }
}
