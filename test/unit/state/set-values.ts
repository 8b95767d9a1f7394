/** Values that clients may put into their startup packets, harmless and not; see `record-set-texts.ts`. */

export interface SetTextLine {
  readonly name: string;
  readonly value: string;
  /** The SET made for it. */
  readonly text: string;
  /** Types of PostgreSQL's answers to it. */
  readonly answers: string;
  /** The value afterwards; of search_path the schemas it leads to. */
  readonly reported: string | null;
  /** The schemas that the value leads to where it is not SQL; null when it is refused there. */
  readonly meant?: string | null;
}

export const VALUES: readonly string[] = [
  "",
  "plain",
  "with space",
  "it's",
  "'",
  "''",
  "'; drop table item; --",
  "\\",
  "\\\\",
  "\\'",
  "\\'; drop table item; --",
  "a\\nb",
  "\\x41",
  "\\x5c",
  "\\u0041",
  "tab\tline\nreturn\r",
  "$$",
  "$1",
  "%s",
  "/* comment",
  "-- comment",
  "E'",
  "default",
  "ü€😀",
  "é\\",
  "あ\\",
  "あ\\'",
  "表\\'; select 'broken out'; --",
  "x".repeat(300),
  `${"'".repeat(100)}\\`,
];

export const SCHEMAS: readonly string[] = [
  "a",
  "b",
  "Foo",
  "foo",
  "default",
  "select",
  "with space",
  "com,ma",
  'quo"te',
  "it's",
  "back\\slash",
  "a-b",
  "1st",
  "ü",
];

export const PATHS: readonly string[] = [
  "",
  " ",
  '""',
  "public",
  "a, b",
  "a,b",
  "  a ,\tb ",
  '"$user", public',
  "$user, public",
  "Foo",
  '"Foo"',
  "FOO, B",
  "default",
  '"default"',
  "select",
  '"select", a',
  '"with space", "com,ma"',
  '"quo""te"',
  '"it\'s"',
  '"back\\slash"',
  "back\\slash",
  "a-b",
  "1st",
  "ü, a",
  "pg_catalog, a",
  "pg_temp",
  '"", a',
  "a,",
  ",a",
  "a b",
  '"a',
  'a"b',
  "a; drop table item",
  "a'; drop table item; --",
  'a"; drop table item; --',
  "a) --",
  "a /*",
];
