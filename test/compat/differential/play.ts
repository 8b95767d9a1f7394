/** Plays all groups of scenarios on one executable, and writes down what happened. */
import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedPostgres } from "../../../src/demo/embedded-postgres.ts";
import { unprivilegedUser } from "../../../src/demo/unprivileged-user.ts";
import { Bouncer } from "../../support/bouncer.ts";
import type { TranscriptStep } from "./compare.ts";
import { type Place, type ScenarioGroup, Stage } from "./stage.ts";

export interface Subject {
  readonly executable: string;
  readonly runtime: "node" | "bun";
}

/** More than any scenario has to wait for; said, because it adds up. */
const slowSeconds = 3;

/** By full name: `group: scenario`. */
export type Transcripts = Map<string, readonly TranscriptStep[]>;

export const roles = ["app", "other", "looker", "plain", "hashed", "scram", "mixed", "limited"];

/** A folder that the pooler can read, removed with `removePlace`. */
export async function makePlace(): Promise<Place> {
  const cluster = await EmbeddedPostgres.start({
    roles: [...roles.map((name) => ({ name })), { name: "locked", password: "right", encryption: "md5" as const }],
    hba: [
      "host all locked 127.0.0.1/32 md5",
      "local all all trust",
      "host all all 127.0.0.1/32 trust",
      "host replication all 127.0.0.1/32 trust",
    ].join("\n"),
  });
  await cluster.query("create table numbers (n int primary key); grant all on numbers to public");
  await cluster.query("insert into numbers select generate_series(1, 3)");
  const folder = mkdtempSync(join(tmpdir(), "pgc-diff-"));
  chmodSync(folder, 0o755);
  const user = unprivilegedUser();
  if (user !== null) chownSync(folder, user.uid, user.gid);
  return { cluster, folder, server: `host=${cluster.host} port=${cluster.port}` };
}

export async function removePlace({ cluster, folder }: Place): Promise<void> {
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** Plays the scenarios of a group whose full names `wanted` accepts. */
export async function playGroup(
  group: ScenarioGroup,
  subject: Subject,
  place: Place,
  wanted: (name: string) => boolean,
): Promise<Transcripts> {
  const transcripts: Transcripts = new Map();
  const chosen = group.scenarios.filter(({ name }) => wanted(`${group.name}: ${name}`));
  if (chosen.length === 0) return transcripts;
  const bouncer = await Bouncer.start({ ...group.options(place), ...subject });
  try {
    for (const [at, scenario] of chosen.entries()) {
      const stage = new Stage(bouncer, place, subject.executable, at === 0);
      const startedMs = performance.now();
      try {
        await scenario.play(stage);
        if (group.ends !== true) await stage.clear();
      } catch (error) {
        stage.note("the scenario broke off", [error instanceof Error ? (error.stack ?? error.message) : String(error)]);
      }
      stage.dismiss();
      const seconds = (performance.now() - startedMs) / 1000;
      if (seconds > slowSeconds) console.log(`slow: ${group.name}: ${scenario.name}, ${seconds.toFixed(1)} s`);
      await stage.log();
      transcripts.set(`${group.name}: ${scenario.name}`, stage.steps);
    }
  } finally {
    await bouncer.stop();
  }
  return transcripts;
}
