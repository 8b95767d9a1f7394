/**
 * A program of the PAM test: asks PAM once, says what came out and then stays, as a pooler would.
 * Arguments: folder of the service file, user. The password comes by standard input.
 */
import { readFileSync } from "node:fs";
import { PamVerifier } from "../../src/auth/pam-verifier.ts";
import { createClock } from "../../src/net/clock.ts";

const [confdir = "", user = ""] = process.argv.slice(2);
const password = readFileSync(0, "utf8");
setInterval(() => {}, 1000);
const verdict = await new PamVerifier(createClock(), { confdir }).verify(user, password, "192.0.2.7");
console.log(JSON.stringify(verdict));
