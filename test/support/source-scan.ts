/**
 * Reads TypeScript source just far enough to check rules about it: what it imports, what stands at its top level, which
 * names it uses outside comments and texts. Not a parser; it knows comments, strings, templates, regular expressions and
 * brackets, which is what could make a search in the plain text lie.
 */

export interface ScannedSource {
  /** Module specifiers of all imports, re-exports and `import()`, types included. */
  readonly imports: readonly string[];
  /** The source with comments, texts and regular expressions blanked; lines keep their numbers. */
  readonly code: string;
  /** `code` with everything inside brackets of any kind blanked as well. */
  readonly topLevel: string;
  /** The comment that opens the file, or "". */
  readonly opening: string;
  readonly lineCount: number;
}

const identifierPart = /[\w$]/;
/** After one of these words a slash begins a regular expression. */
const wordsBeforeOperand = new Set(["return", "typeof", "case", "in", "of", "do", "else", "void", "delete", "throw"]);

export function scanSource(text: string): ScannedSource {
  const code = blank(text, false);
  return {
    imports: importsOf(blank(text, true)),
    code,
    topLevel: topLevelOf(code),
    opening: /^(?:#!.*\n)?\s*(\/\*[\s\S]*?\*\/|(?:\/\/.*\n)+)/.exec(text)?.[1] ?? "",
    lineCount: text.split("\n").length - (text.endsWith("\n") ? 1 : 0),
  };
}

/** Line numbers (from 1) on which `pattern`, without the flag g, matches in `code`. */
export function linesMatching(code: string, pattern: RegExp): number[] {
  return code.split("\n").flatMap((line, index) => (pattern.test(line) ? [index + 1] : []));
}

function importsOf(codeWithStrings: string): string[] {
  const found: string[] = [];
  const patterns = [
    /\bfrom\s*(["'])([^"'\n]+)\1/g,
    /\bimport\s*(["'])([^"'\n]+)\1/g,
    /\bimport\s*\(\s*(["'])([^"'\n]+)\1/g,
    /\brequire\s*\(\s*(["'])([^"'\n]+)\1/g,
  ];
  for (const pattern of patterns) for (const match of codeWithStrings.matchAll(pattern)) found.push(match[2]!);
  return found;
}

function topLevelOf(code: string): string {
  let depth = 0;
  let result = "";
  for (const character of code) {
    if ("([{".includes(character)) {
      result += depth === 0 ? character : " ";
      depth += 1;
    } else if (")]}".includes(character)) {
      depth -= 1;
      result += depth === 0 ? character : " ";
    } else {
      result += depth === 0 || character === "\n" ? character : " ";
    }
  }
  return result;
}

/** Replaces comments, texts and regular expressions by blanks of the same shape; `keepStrings` keeps "…" and '…'. */
function blank(text: string, keepStrings: boolean): string {
  let result = "";
  let at = 0;
  /** For each template whose `${` is open: the bracket depth inside it. */
  const templates: number[] = [];
  const drop = (end: number): void => {
    result += text.slice(at, end).replace(/[^\n]/g, " ");
    at = end;
  };
  while (at < text.length) {
    const character = text[at]!;
    const pair = text.slice(at, at + 2);
    if (pair === "//") {
      drop(orEnd(text.indexOf("\n", at), text));
    } else if (pair === "/*") {
      drop(orEnd(text.indexOf("*/", at + 2), text, 2));
    } else if (character === '"' || character === "'") {
      const end = endOfString(text, at, character);
      if (keepStrings) {
        result += text.slice(at, end);
        at = end;
      } else {
        drop(end);
      }
    } else if (character === "`") {
      drop(endOfTemplatePart(text, at + 1, templates));
    } else if (character === "}" && templates.at(-1) === 0) {
      templates.pop();
      drop(endOfTemplatePart(text, at + 1, templates));
    } else if (character === "/" && operandMayFollow(result)) {
      drop(endOfRegularExpression(text, at));
    } else {
      if (templates.length > 0 && character === "{") templates[templates.length - 1]! += 1;
      if (templates.length > 0 && character === "}") templates[templates.length - 1]! -= 1;
      result += character;
      at += 1;
    }
  }
  return result;
}

function orEnd(index: number, text: string, more = 0): number {
  return index < 0 ? text.length : index + more;
}

function endOfString(text: string, start: number, quote: string): number {
  let at = start + 1;
  while (at < text.length && text[at] !== quote && text[at] !== "\n") at += text[at] === "\\" ? 2 : 1;
  return Math.min(at + 1, text.length);
}

/** Where the code goes on: behind the closing backtick, or behind a `${`, which is then on the stack. */
function endOfTemplatePart(text: string, start: number, templates: number[]): number {
  let at = start;
  while (at < text.length && text[at] !== "`") {
    if (text.startsWith("${", at)) {
      templates.push(0);
      return at + 2;
    }
    at += text[at] === "\\" ? 2 : 1;
  }
  return Math.min(at + 1, text.length);
}

function endOfRegularExpression(text: string, start: number): number {
  let at = start + 1;
  let inClass = false;
  while (at < text.length && text[at] !== "\n" && (inClass || text[at] !== "/")) {
    if (text[at] === "[") inClass = true;
    if (text[at] === "]") inClass = false;
    at += text[at] === "\\" ? 2 : 1;
  }
  at += 1;
  while (at < text.length && identifierPart.test(text[at]!)) at += 1;
  return Math.min(at, text.length);
}

/** A slash after an operand divides; anywhere else it begins a regular expression. */
function operandMayFollow(before: string): boolean {
  const trimmed = before.trimEnd();
  const last = trimmed.at(-1);
  if (last === undefined) return true;
  const word = /[\w$]+$/.exec(trimmed)?.[0];
  if (word !== undefined) return wordsBeforeOperand.has(word);
  return !")]}".includes(last);
}
