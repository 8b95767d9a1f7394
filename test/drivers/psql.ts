/** psql and pgbench through the pooler. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { spawn } from "node:child_process";
import { requirements } from "./programs.ts";

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Killed after a minute. */
export function runProgram(
  program: string,
  args: readonly string[],
  input = "",
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      timeout: 60_000,
      killSignal: "SIGKILL",
      cwd: "/",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

/** `libraries`: a folder with a newer libpq, or undefined for the program's own. */
export async function usePsql(uri: string, libraries?: string, parameters = ""): Promise<void> {
  const env: Record<string, string> = libraries === undefined ? {} : { LD_LIBRARY_PATH: libraries };
  const url = parameters === "" ? uri : `${uri}?${parameters}`;
  const psql = (script: string, ...more: string[]): Promise<Ended> =>
    runProgram(requirements.psql.file, ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=0", ...more, url], script, env);

  const plain = await psql("select 1 + 1; \\echo over\n");
  deepStrictEqual({ ...plain }, { status: 0, stdout: "2\nover\n", stderr: "" });

  const table = "drivers_psql";
  const script = await psql(
    [
      `drop table if exists ${table};`,
      `create table ${table} (id int primary key, name text);`,
      "begin;",
      `insert into ${table} values (1, 'gone');`,
      "rollback;",
      `copy ${table} from stdin;`,
      ...Array.from({ length: 500 }, (_, n) => `${n}\tname ${n}`),
      "\\.",
      `select count(*) from ${table};`,
      `copy (select * from ${table} order by id limit 2) to stdout;`,
      "select 1 / 0;",
      "select 'after the error';",
      "select $1::int * 2 \\bind 21 \\g",
      "",
    ].join("\n"),
  );
  match(script.stdout, /^500\n0\tname 0\n1\tname 1\nafter the error\n/);
  match(script.stderr, /ERROR: {2}division by zero/);

  const wrong = await runProgram(requirements.psql.file, ["-X", url.replace(":secret@", ":wrong@")], "", env);
  strictEqual(wrong.status, 2);
  match(wrong.stderr, /FATAL: {2}SASL authentication failed/);
}

/**
 * Three protocols, 64 clients on the pool's four servers. A thread for each: pgbench waits for the answer to a Parse with the
 * whole thread, and its other clients, in transactions by then, would keep the servers that this one waits for.
 */
export async function usePgbench(uri: string): Promise<void> {
  const made = await runProgram(requirements.pgbench.file, ["-i", "-q", "-s", "1", uri]);
  strictEqual(made.status, 0, made.stderr);
  for (const protocol of ["simple", "extended", "prepared"]) {
    for (const kind of [["-S"], []]) {
      const ended = await runProgram(requirements.pgbench.file, [
        "-n",
        "-c",
        "64",
        "-j",
        "64",
        "-t",
        "20",
        "-M",
        protocol,
        ...kind,
        uri,
      ]);
      strictEqual(ended.status, 0, `${protocol}: ${ended.stderr}`);
      match(ended.stdout, /number of transactions actually processed: 1280\/1280/);
      match(ended.stdout, /number of failed transactions: 0 /);
    }
  }
}
