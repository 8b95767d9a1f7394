/**
 * A second opinion about statements, from PostgreSQL's own parser: its tree is searched for what must not share. Knows
 * nothing of our lexer and judge; of ours it uses the names of functions and views, which have a test of their own.
 */
import { loadModule, parseSync } from "libpg-query";
import { HARMLESS_FUNCTIONS, HAZARDOUS_FUNCTIONS, HAZARDOUS_VIEWS } from "../../../src/sharing/built-in-functions.ts";
import type { CatalogueFacts } from "../../../src/sharing/catalogue-facts.ts";
import { CALLABLE_WORDS } from "../../../src/sharing/syntax-words.ts";

type Node = Readonly<Record<string, unknown>>;

await loadModule();

/** Functions behind syntax; always PostgreSQL's own, whatever a user has called so. */
const SYNTAX_FUNCTIONS = new Set(["timezone", "xmlexists"]);

/** The tree of a text; null if PostgreSQL refuses it, which is harmless. */
export function parse(sql: string): Node | null {
  try {
    return parseSync(sql) as unknown as Node;
  } catch {
    return null;
  }
}

/** What stands against sharing in the tree; empty if nothing does. */
export function hazardsIn(tree: Node, facts: CatalogueFacts): string[] {
  const hazards: string[] = [];
  const statements = (tree["stmts"] ?? []) as { stmt: Node }[];
  if (statements.length !== 1) hazards.push(`${statements.length} statements`);
  for (const { stmt } of statements) visit(stmt, facts, hazards);
  return hazards;
}

function visit(value: unknown, facts: CatalogueFacts, hazards: string[]): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, facts, hazards);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  const node = value as Node;
  for (const [name, child] of Object.entries(node)) {
    if (name.endsWith("Stmt") && name !== "SelectStmt") hazards.push(name);
    if (name === "intoClause" || name === "lockingClause" || name === "RangeTableSample") hazards.push(name);
    if (name === "FuncCall") judgeCall(child as Node, facts, hazards);
    if (name === "ColumnRef" || name === "A_Indirection") judgeFields(child as Node, name, facts, hazards);
    if (name === "RangeVar" || name === "relation") judgeName((child as Node)["relname"], facts, hazards);
    if (name === "TypeName" || name === "typeName")
      for (const part of names((child as Node)["names"])) judgeName(part, facts, hazards);
    if (name === "A_Expr") judgeOperator((child as Node)["name"], facts, hazards);
    if (name === "operName" || name === "useOp") judgeOperator(child, facts, hazards);
    visit(child, facts, hazards);
  }
}

function judgeCall(call: Node, facts: CatalogueFacts, hazards: string[]): void {
  const all = names(call["funcname"]);
  const name = all.at(-1) as string;
  if (SYNTAX_FUNCTIONS.has(name) && all[0] === "pg_catalog" && call["funcformat"] === "COERCE_SQL_SYNTAX") return;
  // No such function exists, and if the user had one, the next line would say so.
  const isNobodys = all.length === 1 && CALLABLE_WORDS.has(name);
  if (!HARMLESS_FUNCTIONS.has(name) && !isNobodys) hazards.push(`call of ${name}`);
  if (facts.userFunctions.has(name) && call["funcformat"] !== "COERCE_SQL_SYNTAX") hazards.push(`user's ${name}`);
  for (const part of all) judgeName(part, facts, hazards);
}

/** A column, or a function in attribute notation. */
function judgeFields(node: Node, kind: string, facts: CatalogueFacts, hazards: string[]): void {
  const fields = names(node[kind === "ColumnRef" ? "fields" : "indirection"]);
  for (const [i, field] of fields.entries()) {
    judgeName(field, facts, hazards);
    if ((i > 0 || kind === "A_Indirection") && HAZARDOUS_FUNCTIONS.has(field)) hazards.push(`.${field}`);
  }
}

function judgeName(name: unknown, facts: CatalogueFacts, hazards: string[]): void {
  if (typeof name !== "string") return;
  if (facts.unsafeNames.has(name) || HAZARDOUS_VIEWS.has(name)) hazards.push(`name ${name}`);
}

function judgeOperator(name: unknown, facts: CatalogueFacts, hazards: string[]): void {
  const operator = names(name).at(-1);
  if (operator !== undefined && facts.unsafeOperators.has(operator)) hazards.push(`operator ${operator}`);
}

function names(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return (list as { String?: { sval?: string } }[]).flatMap((item) => (item.String ? [item.String.sval ?? ""] : []));
}

/** The tree without places in the text and without the values of constants, for comparing two trees. */
export function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return value;
  const node = value as Node;
  const shape: Record<string, unknown> = {};
  for (const [name, child] of Object.entries(node)) {
    if (/^location$|_location$|^location_|^stmt_len$|^typmod$|^stmt_location$|^(rexpr_)?list_(start|end)$/.test(name))
      continue;
    if (name === "A_Const") shape[name] = kindOfConstant(child as Node);
    else if (name === "Integer") shape[name] = "number";
    else shape[name] = shapeOf(child);
  }
  return shape;
}

function kindOfConstant(constant: Node): string {
  if ("sval" in constant) return "text";
  if ("bsval" in constant) return "bits";
  if ("ival" in constant || "fval" in constant) return "number";
  return JSON.stringify({ ...constant, location: undefined });
}
