/**
 * COPY in both directions for the scripted session.
 *
 * In copy-in mode Sync and Flush are ignored, CopyFail and anything else end it with an error. What the client sends
 * after the server's own error is thrown away by the session's main loop, as PostgreSQL does it.
 */
import { Buffer } from "node:buffer";
import { cancelled, FLUSH, READ, SessionError, tag } from "./session-steps.ts";
import type { Steps } from "./session-steps.ts";
import type { Statement } from "./statement.ts";
import { int16, message } from "./wire.ts";
import type { Message } from "./wire.ts";

/** Takes data to CopyDone. Every CopyData begins with the identity of the one who sends it. */
export function* runCopyIn(statement: Statement, identity: string | null): Steps {
  if (statement.failAt < 0) throw new SessionError("42501", `copy refused as asked ${identity ?? ""}`);
  yield message("G", Buffer.of(0), int16(1), int16(0));
  yield FLUSH;
  let pieces = 0;
  for (;;) {
    const { type, body } = (yield READ) as Message;
    switch (type) {
      case "d":
        pieces++;
        if (identity !== null && !body.toString("latin1", 0, identity.length + 1).startsWith(`${identity} `)) {
          throw new SessionError("XX001", `copy data of somebody else reached ${identity}`);
        }
        // A cancel is noticed when data comes.
        if (yield 0) throw cancelled(identity);
        if (pieces === statement.failAt) throw new SessionError("22P04", `bad copy data as asked ${identity ?? ""}`);
        break;
      case "c":
        yield tag(`COPY ${pieces}`);
        return;
      case "f":
        throw new SessionError("57014", `COPY from stdin failed ${identity ?? ""}`);
      case "H":
      case "S":
        break;
      default:
        throw new SessionError("08P01", `unexpected message type ${type} during COPY`);
    }
  }
}

export function* runCopyOut(statement: Statement, identity: string | null, content: (at: number) => Buffer): Steps {
  yield message("H", Buffer.of(0), int16(1), int16(0));
  for (let at = 0; at < statement.rows; at++) {
    yield message("d", content(at));
    if (statement.streamEvery === 0 || (at + 1) % statement.streamEvery !== 0) continue;
    if (yield statement.streamMs) throw cancelled(identity);
  }
  yield message("c");
  yield tag(`COPY ${statement.rows}`);
}
