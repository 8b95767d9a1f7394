/** Changes the definitions of views and functions through the pooler while they are read, and says when it has. */
import type { Random } from "../sim/random.ts";
import { query } from "../support/wire-client.ts";
import { checkAnswer } from "./answer-check.ts";
import { versionSource } from "./operations/changing-objects.ts";
import { SoakConnection } from "./soak-connection.ts";
import type { SoakRun } from "./soak-run.ts";
import { soakDatabase, soakUser, touchSql, versionSql } from "./soak-stage.ts";

// While names may stand for something new nothing shares; in between there has to be time for that.
const restMsMin = 2000;
const restMsMax = 8000;

/** Lives until the soak is over. */
export async function changeSchema(run: SoakRun, random: Random): Promise<void> {
  let connection: SoakConnection | null = null;
  while (!run.isOver) {
    const sinceMs = performance.now();
    try {
      connection ??= await SoakConnection.login(run.stage.bouncer, { user: soakUser, database: soakDatabase });
      await change(connection, run, random);
    } catch (error) {
      run.judge("schema changer", error, sinceMs, connection?.localPort ?? 0);
      connection?.leave("destroy");
      connection = null;
    }
    await run.rest(random.between(restMsMin, restMsMax));
  }
  connection?.leave("terminate");
}

async function change(connection: SoakConnection, { versions }: SoakRun, random: Random): Promise<void> {
  if (random.chance(0.3)) {
    const answer = await connection.ask(query(touchSql(random.chance(0.5))));
    checkAnswer("CREATE FUNCTION", answer, { tags: ["CREATE FUNCTION"] });
    return;
  }
  const object = random.below(versions.objects);
  const version = versions.next(object);
  const sql = versionSql(object, version);
  // A view may be dropped and made again: in a transaction, so that it is never missing.
  const isDropped = object % 2 === 0 && random.chance(0.4);
  const text = isDropped ? `begin; drop view ${versionSource(object)}; ${sql}; commit` : sql;
  checkAnswer(text, await connection.ask(query(text)), {});
  versions.acknowledge(object, version);
}
