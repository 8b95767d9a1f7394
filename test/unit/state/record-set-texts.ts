/**
 * Has a real PostgreSQL obey the SETs made for a collection of values and writes what came of it to `set-texts.txt`, one
 * line of JSON each. By hand, when values are added:
 *
 *     node test/unit/state/record-set-texts.ts
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeText } from "../../../src/protocol/byte-text.ts";
import { TrackedParameters } from "../../../src/state/tracked-parameters.ts";
import { EmbeddedPostgres } from "../../../src/demo/embedded-postgres.ts";
import { columns, message, types, WireClient } from "../../support/wire-client.ts";
import { PATHS, SCHEMAS, type SetTextLine, VALUES } from "./set-values.ts";

const tracked = new TrackedParameters(["app.value", "search_path"]);

function setText(name: string, value: string): string {
  const index = tracked.indexOf(name);
  return tracked.setText(tracked.with(tracked.unknown, index, value), [index]);
}

async function run(client: WireClient, text: string): Promise<{ types: string; rows: (string | null)[] }> {
  client.send(message("Q", encodeText(`${text}\0`)));
  const messages = await client.until("Z");
  return {
    types: types(messages.filter(({ type }) => type !== "S" && type !== "N")),
    rows: messages.filter(({ type }) => type === "D").flatMap(({ body }) => columns(body)),
  };
}

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;

const cluster = await EmbeddedPostgres.start();
try {
  for (const schema of SCHEMAS) await cluster.query(`create schema "${schema.replaceAll('"', '""')}"`);
  const client = await WireClient.login(cluster, { user: "postgres", database: "postgres" });
  const lines: SetTextLine[] = [];
  for (const value of VALUES) {
    const text = setText("app.value", value);
    const answers = await run(client, text);
    const { rows } = await run(client, "show app.value");
    lines.push({ name: "app.value", value, text, answers: answers.types, reported: rows[0] ?? null });
  }
  for (const value of PATHS) {
    const text = setText("search_path", value);
    // What the value means where it is no SQL: as a startup parameter.
    const said = await run(client, `select set_config('search_path', ${quote(value)}, false)`);
    const meant = said.types.includes("E") ? null : (await run(client, "select current_schemas(false)")).rows[0];
    await run(client, "reset search_path");
    const answers = await run(client, text);
    const { rows } = await run(client, "select current_schemas(false)");
    lines.push({
      name: "search_path",
      value,
      text,
      answers: answers.types,
      reported: rows[0] ?? null,
      meant: meant ?? null,
    });
    await run(client, "reset search_path");
  }
  client.end();
  // The texts in encodings where a backslash may be half a character: one answer, an error or the SET, and no more.
  for (const encoding of ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB"]) {
    const other = await WireClient.login(cluster, {
      user: "postgres",
      database: "postgres",
      client_encoding: encoding,
    });
    await run(other, "set backslash_quote = on");
    for (const value of VALUES) {
      const text = setText("app.value", value) + setText("application_name", "; select 'broken out' --");
      const answers = await run(other, text);
      if (!["CCZ", "EZ"].includes(answers.types)) throw new Error(`${encoding}: ${text}: ${answers.types}`);
    }
    other.end();
  }
  writeFileSync(join(import.meta.dirname, "set-texts.txt"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  for (const line of lines) console.log(JSON.stringify(line));
} finally {
  await cluster.stop();
}
