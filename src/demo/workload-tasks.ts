/**
 * What the clients of the workload do: a bank's counter. Short reads, prepared and not, a list of ten, and transfers
 * between two accounts in a transaction of four round trips.
 *
 * Every answer says which account or branch it is about, and the client compares that with what it asked for: an answer
 * that was given to the wrong client would show. Transfers keep the sum of all balances.
 */
import { bind, execute, parse, query, SYNC } from "../protocol/frontend-messages.ts";

/** One round trip. */
export interface Step {
  readonly bytes: Uint8Array;
  /** What the first column of each row must say; null: the step answers no rows. */
  readonly expected: string | null;
  readonly rows: number;
}

export type Task = readonly Step[];

export const accountCount = 20_000;
export const branchCount = 500;
export const balanceAtStart = 1_000;

/** Makes the tables. Runs as the workload's user. */
export const schemaSql = `
create table accounts (id int primary key, branch int not null, owner text not null, balance bigint not null)
  with (fillfactor = 50);
insert into accounts
  select n, n % ${branchCount} + 1, 'customer ' || n, ${balanceAtStart} from generate_series(1, ${accountCount}) n;
create index on accounts (branch, id);
analyze accounts;
`;

const readAccountSql = "select id, owner, balance from accounts where id = $1";
const listBranchSql = "select branch, id, owner, balance from accounts where branch = $1 order by id limit 10";
const readAccountName = "read_account";
const listBranchName = "list_branch";
const runAndSync = concat(execute(""), SYNC);
const int4Oid = 23;

/** Shares of the tasks, of 100. */
const preparedReads = 55;
const simpleReads = 25;
const lists = 10;

/** One client's way to make tasks: it remembers which statements its connection has prepared. */
export class TaskMaker {
  readonly #prepared = new Set<string>();

  next(): Task {
    const draw = Math.random() * 100;
    if (draw < preparedReads) return this.#preparedRead();
    if (draw < preparedReads + simpleReads) return simpleRead();
    if (draw < preparedReads + simpleReads + lists) return this.#list();
    return transfer();
  }

  #preparedRead(): Task {
    const id = String(anyOf(accountCount));
    return [{ bytes: this.#run(readAccountName, readAccountSql, id), expected: id, rows: 1 }];
  }

  #list(): Task {
    const branch = String(anyOf(branchCount));
    return [{ bytes: this.#run(listBranchName, listBranchSql, branch), expected: branch, rows: 10 }];
  }

  /** Parse goes along the first time, as drivers do it. */
  #run(name: string, sql: string, parameter: string): Uint8Array {
    const bound = concat(bind("", name, [parameter]), runAndSync);
    if (this.#prepared.has(name)) return bound;
    this.#prepared.add(name);
    return concat(parse(name, sql, [int4Oid]), bound);
  }
}

export const rollback: Step = { bytes: query("rollback"), expected: null, rows: 0 };

function simpleRead(): Task {
  const id = String(anyOf(accountCount));
  const bytes = query(`select id, owner, balance from accounts where id = ${id}`);
  return [{ bytes, expected: id, rows: 1 }];
}

function transfer(): Task {
  const one = anyOf(accountCount);
  const other = (one % accountCount) + 1;
  // The lower number first, or two transfers could wait for each other.
  const [first, second] = one < other ? [one, other] : [other, one];
  const amount = anyOf(100) - 50;
  return [
    { bytes: query("begin"), expected: null, rows: 0 },
    move(first, -amount),
    move(second, amount),
    { bytes: query("commit"), expected: null, rows: 0 },
  ];
}

function move(id: number, amount: number): Step {
  const sql = `update accounts set balance = balance + ${amount} where id = ${id} returning id, balance`;
  return { bytes: query(sql), expected: String(id), rows: 1 };
}

/** 1 … `count`. */
function anyOf(count: number): number {
  return 1 + Math.floor(Math.random() * count);
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}
