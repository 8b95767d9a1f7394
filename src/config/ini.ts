/**
 * PgBouncer's ini dialect: text to lines, each with its file and number. What sections and keys mean is not known here.
 *
 *   [section]            may be followed by more on the same line
 *   key = value          value is the rest of the line without blanks at its end; no quoting, no continuation
 *   'any key' = value    a key with other characters than letters, digits and _ . - *
 *   ; comment            or #, at the start of a line only
 *   %include FILE        the path is relative to the process's folder; the section goes on
 *
 * Counterpart: parse_ini_file in libusual's cfparser.c. Different here: all errors are found and not only the first, they
 * carry the number of the line they are in, and keys may stand in double quotes too, as PgBouncer's manual says.
 */
import { systemErrorText } from "../log/system-error.ts";
import type { ConfigPlace, ConfigProblem } from "./config-problem.ts";
import { problemAt } from "./config-problem.ts";

export type IniLine = ConfigPlace &
  (
    | { readonly kind: "section"; readonly name: string }
    | { readonly kind: "key"; readonly key: string; readonly value: string }
  );

/** Reads a file whole, as text; throws the system's error when it cannot. */
export type ReadFile = (path: string) => string;

/** How deep files may include files. */
const INCLUDE_DEPTH_MAX = 10;

const BLANK = /[ \t\v\f\r]/;

/** Reads a file and all it includes. Lines without problems come out even when others have some. Never throws. */
export function readIni(path: string, readFile: ReadFile): { lines: IniLine[]; problems: ConfigProblem[] } {
  const reader = new IniReader(readFile);
  reader.readFile(path, null);
  return { lines: reader.lines, problems: reader.problems };
}

/** Prints a line so that it reads back the same. Keys must not hold quotes of both kinds, values no blanks at the ends. */
export function printIniLine(
  line: { kind: "section"; name: string } | { kind: "key"; key: string; value: string },
): string {
  if (line.kind === "section") return `[${line.name}]`;
  const quote = /^[A-Za-z0-9_.*-]+$/.test(line.key) ? "" : line.key.includes("'") ? '"' : "'";
  return `${quote}${line.key}${quote} = ${line.value}`;
}

class IniReader {
  readonly lines: IniLine[] = [];
  readonly problems: ConfigProblem[] = [];
  /** The files being read, outermost first. */
  readonly #open: string[] = [];
  readonly #readFile: ReadFile;

  constructor(readFile: ReadFile) {
    this.#readFile = readFile;
  }

  readFile(path: string, includedAt: ConfigPlace | null): void {
    let text: string;
    try {
      text = this.#readFile(path);
    } catch (error) {
      const message = `could not load file "${path}": ${systemErrorText(error)}`;
      this.problems.push(includedAt === null ? { file: path, line: 0, message } : problemAt(includedAt, message));
      return;
    }
    this.#open.push(path);
    const lines = text.replace(/^\uFEFF/, "").split("\n");
    for (const [index, line] of lines.entries()) this.#readLine(line, { file: path, line: index + 1 });
    this.#open.pop();
  }

  #readLine(line: string, place: ConfigPlace): void {
    let rest = trimStart(line);
    while (rest.startsWith("[")) {
      const end = rest.indexOf("]");
      if (end === -1) return this.#refuse(place);
      this.lines.push({ ...place, kind: "section", name: rest.slice(1, end) });
      rest = trimStart(rest.slice(end + 1));
    }
    if (rest === "" || rest.startsWith(";") || rest.startsWith("#")) return;
    // A NUL byte would end the text early in the protocol messages it may be put in.
    if (rest.includes("\0")) return this.#refuse(place);
    if (/^%include[ \t]/.test(rest)) return this.#include(trimEnd(trimStart(rest.slice("%include".length))), place);
    const match = /^(?:'([^']+)'|"([^"]+)"|([A-Za-z0-9_.*-]+))[ \t]*=[ \t]*(.*)$/s.exec(rest);
    if (match === null) return this.#refuse(place);
    const [, single, double, bare, value = ""] = match;
    this.lines.push({ ...place, kind: "key", key: single ?? double ?? bare ?? "", value: trimEnd(value) });
  }

  #include(path: string, place: ConfigPlace): void {
    if (this.#open.length > INCLUDE_DEPTH_MAX || this.#open.includes(path)) {
      this.problems.push(problemAt(place, "include nesting level too deep"));
      return;
    }
    this.readFile(path, place);
  }

  #refuse(place: ConfigPlace): void {
    this.problems.push(problemAt(place, "syntax error in configuration"));
  }
}

function trimStart(text: string): string {
  let start = 0;
  while (start < text.length && BLANK.test(text[start] ?? "")) start++;
  return text.slice(start);
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && BLANK.test(text[end - 1] ?? "")) end--;
  return text.slice(0, end);
}
