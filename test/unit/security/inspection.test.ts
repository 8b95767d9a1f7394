/** Who looks into a pooler that has used its secrets, with a debugger's means, does not see them. */
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { SECRET_MARK, Stage } from "../../fuzz/stage.ts";
import { int32, message, query, startupMessage } from "../../support/wire-client.ts";

test.each<[string, string, Buffer]>([
  ["plain", "hostile", message("R", int32(3))],
  ["md5", "hostile", message("R", int32(5), int32(7))],
  ["scram-sha-256", "hostile", message("R", int32(10), "SCRAM-SHA-256", Buffer.from([0]))],
])("clients by %s, and a server that asks for a password", async (method, database, request) => {
  const stage = await Stage.open({ seed: 16, hostile: { moment: "startup", bytes: request } });
  try {
    await stage.seat();
    const password = `${SECRET_MARK}-of-attacker`;
    Object.assign(stage.pooler.settings, { authType: method });
    // A dialogue that begins, with the right password where it is sent as it is; the entry's own goes to the server.
    stage.attack(startupMessage({ user: "attacker", database }), message("p", password), query("select 1"));
    await stage.work(3);
    await stage.pass(300);
    const seen = inspect(stage.pooler, { depth: 40, showHidden: true, maxArrayLength: null, maxStringLength: null });
    expect(seen.length).toBeGreaterThan(10_000);
    expect(seen).toContain("witness");
    expect(seen).not.toContain(SECRET_MARK);
    await stage.leave();
    stage.check();
  } finally {
    stage.close();
  }
});
