/** The fuzzer's laws notice what they are there for: engines that are made to break them. */
import { expect, test } from "vitest";
import { query, startupMessage } from "../../support/wire-client.ts";
import { SECRET_MARK, Stage } from "../../fuzz/stage.ts";

const hello = startupMessage({ user: "attacker", database: "shared" });

/** An attack that is harmless, with something done to the pooler while it lasts. Returns what the laws say. */
async function complaint(sabotage: (stage: Stage) => void, seed = 7): Promise<string> {
  const stage = await Stage.open({ seed });
  try {
    await stage.seat();
    stage.attack(hello, query("select 1"));
    await stage.work(2);
    sabotage(stage);
    await stage.work(2);
    await stage.pass(200);
    await stage.leave();
    stage.check();
    return "none";
  } catch (error) {
    return (error as Error).message;
  } finally {
    stage.close();
  }
}

function clientOf(stage: Stage, user: string): { close(reason: string): void; send(bytes: Uint8Array): void } {
  const client = [...stage.pooler.residents.clients].find(({ userName }) => userName === user);
  if (client === undefined) throw new Error(`no client ${user}`);
  return client;
}

test("an engine as it is breaks none", async () => {
  expect(await complaint(() => {})).toBe("none");
});

test.each<[string, (stage: Stage) => void, RegExp]>([
  [
    "a secret in the log",
    (stage) => stage.pooler.engine.log.debug(`the password is ${SECRET_MARK}-of-witness`),
    /a secret is seen/,
  ],
  ["a secret on the wire", (stage) => clientOf(stage, "attacker").send(Buffer.from(SECRET_MARK)), /a secret is seen/],
  [
    "a secret in an object",
    (stage) => Object.assign(stage.pooler.engine, { remembered: `${SECRET_MARK}-of-witness` }),
    /a secret is seen/,
  ],
  ["a witness that is closed", (stage) => clientOf(stage, "witness").close("by mistake"), /was closed/],
  [
    "an answer that is somebody else's",
    (stage) => clientOf(stage, "witness").send(Buffer.from("D\0\0\0\x0b\0\x01\0\0\0\x01x", "latin1")),
    /neighbour expected .* and got .*D\(x\)/,
  ],
  ["a defect in the log", (stage) => stage.pooler.engine.log.error("TypeError: x is not a function"), /a defect/],
  [
    "a callback that throws",
    (stage) =>
      stage.world.plan(1, () => {
        stage.world.network.thrown([...stage.world.network.ends][0]!, new Error("out of a callback"));
      }),
    /threw: Error: out of a callback/,
  ],
])("%s is noticed", async (_name, sabotage, expected) => {
  // 16: a seed at which the whole pooler is looked into.
  expect(await complaint(sabotage, 16)).toMatch(expected);
});
