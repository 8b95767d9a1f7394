/** The table of errors: what is sent, and the page that is printed from it. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readErrorFields } from "../../../src/protocol/error-fields.ts";
import { errorResponse } from "../../../src/protocol/error-messages.ts";
import { PoolerErrors, poolerError, type PoolerErrorRow } from "../../../src/session/pooler-error.ts";
import { printErrorReference } from "../../../src/session/print-errors.ts";

const ROWS = Object.entries<PoolerErrorRow>(PoolerErrors);

test("docs/errors.md is up to date (scripts/print-docs.ts writes it)", () => {
  const page = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
  expect(page).toBe(printErrorReference());
});

test("every error is on the page, with its text, code and a sentence", () => {
  const lines = printErrorReference()
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  expect(lines).toHaveLength(ROWS.length);
  for (const [index, [, row]] of ROWS.entries()) {
    const [text, sqlstate, meaning, hint] = (lines[index] as string).slice(2, -1).split(" | ");
    expect(text).toBe(`\`${row.text.replace("%", "…")}\``);
    expect(sqlstate).toBe(row.sqlstate);
    expect(meaning).toMatch(/^\S.{8,}\.$/);
    expect(hint?.trim()).toBe(row.hint ?? "");
  }
});

describe("each error", () => {
  test.each(ROWS)("%s: SQLSTATE of a class that drivers know, at most one place to fill in", (_name, row) => {
    expect(row.sqlstate).toMatch(/^(08|28|3D|53|57|58)[0-9A-Z]{3}$/);
    expect(row.text.split("%").length).toBeLessThanOrEqual(2);
    expect(row.text).not.toMatch(/[.\n]$/);
  });
});

describe("what is sent", () => {
  test("is FATAL, filled in, with code and hint", () => {
    const sent = errorResponse(poolerError(PoolerErrors.unsupportedParameter, "work_mem"));
    expect(readErrorFields(sent, 0, sent.length)).toMatchObject({
      severity: "FATAL",
      code: "08P01",
      message: "unsupported startup parameter: work_mem",
      hint: "Add it to ignore_startup_parameters to have it ignored.",
    });
  });

  test("what is filled in is text and no pattern", () => {
    expect(poolerError(PoolerErrors.noSuchDatabase, "$& $1 % $$").message).toBe("no such database: $& $1 % $$");
    expect(poolerError(PoolerErrors.killed, "unused").message).toBe("admin forced disconnect");
  });

  test("what a stranger can fill in is cut, PostgreSQL's own words are not", () => {
    expect(poolerError(PoolerErrors.noSuchDatabase, "x".repeat(5_000)).message.length).toBeLessThan(160);
    expect(poolerError(PoolerErrors.serverLost, "x".repeat(5_000)).message).toHaveLength(5_000);
  });
});
