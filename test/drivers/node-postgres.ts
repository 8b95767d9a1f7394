/** node-postgres through the pooler. */
import { deepStrictEqual, rejects } from "node:assert/strict";
import { Client, Pool } from "pg";

export async function useNodePostgres(uri: string): Promise<void> {
  const client = new Client({ connectionString: uri });
  // An error between queries would end the process; the next query reports it.
  client.on("error", () => undefined);
  await client.connect();
  const rows = async (text: string, values: unknown[] = []): Promise<unknown[]> =>
    (await client.query(text, values)).rows;
  deepStrictEqual(await rows("select 1 + 1 as n"), [{ n: 2 }]);

  await client.query("begin");
  await client.query("create temporary table drivers_pg (id int) on commit drop");
  await client.query("insert into drivers_pg select generate_series(1, 10)");
  deepStrictEqual(await rows("select count(*)::int as n from drivers_pg"), [{ n: 10 }]);
  await client.query("commit");

  for (let number = 0; number < 50; number += 1) {
    const result = await client.query({ name: "twice", text: "select $1::int * 2 as n", values: [number] });
    deepStrictEqual(result.rows, [{ n: number * 2 }]);
  }
  await rejects(client.query("select 1 / 0"), { code: "22012" });
  const sleeping = rejects(client.query("select pg_sleep(20)"), { code: "57014" });
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  await cancel(uri, processID, secretKey);
  await sleeping;
  deepStrictEqual(await rows("select 3 as n"), [{ n: 3 }]);
  await client.end();

  const pool = new Pool({ connectionString: uri, max: 16 });
  const sums = await Promise.all(Array.from({ length: 300 }, (_, n) => pool.query("select $1::int + 1 as n", [n])));
  deepStrictEqual(
    sums.map(({ rows: [row] }) => (row as { n: number }).n),
    Array.from({ length: 300 }, (_, n) => n + 1),
  );
  await pool.end();
  await rejects(new Client({ connectionString: uri.replace(":secret@", ":wrong@") }).connect(), { code: "08P01" });
}

/** As the driver's own `cancel`, on a connection of its own, once the query has had time to start. */
async function cancel(uri: string, processId: number, secretKey: number): Promise<void> {
  const { connect } = await import("node:net");
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { hostname, port } = new URL(uri);
  const packet = Buffer.alloc(16);
  for (const [index, value] of [16, 80877102, processId, secretKey].entries()) packet.writeInt32BE(value, index * 4);
  const socket = connect({ host: hostname, port: Number(port) });
  await new Promise<void>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.end(packet);
  });
}
