/**
 * Files and texts that are parsed: any bytes give a value or a refusal, in time that is about proportional to their length,
 * and bind passwords of directories stay hidden.
 *
 * The single messages of the protocol have tests of their own (test/unit/protocol/fuzz.test.ts); here they come as whole
 * conversations, in `engine-targets.ts`.
 */
import { inspect } from "node:util";
import { findStatement } from "../../src/admin/command-table.ts";
import { readCertificateNames } from "../../src/auth/certificate-names.ts";
import { parseHba } from "../../src/auth/hba-file.ts";
import { parseIdentMaps } from "../../src/auth/ident-map.ts";
import { parseLdapOptions } from "../../src/auth/ldap-options.ts";
import { parseLdapUrl } from "../../src/auth/ldap-url.ts";
import { readSaslInitialResponse, readPassword } from "../../src/auth/password-message.ts";
import { parseScramVerifier } from "../../src/auth/scram-verifier.ts";
import { parseUserlist } from "../../src/auth/userlist.ts";
import { readHandedSocket } from "../../src/cli/handed-socket.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { parseConnectionString } from "../../src/config/connection-string.ts";
import { setSetting, Settings, showSetting } from "../../src/config/settings.ts";
import { parseHostsFile } from "../../src/net/dns-hosts-file.ts";
import { parseResolvConf } from "../../src/net/dns-resolv-conf.ts";
import { decodeText } from "../../src/protocol/byte-text.ts";
import { parseOptions } from "../../src/protocol/options.ts";
import { StatementBook } from "../../src/sharing/statement-book.ts";
import { createCertificate } from "../transport/certificate.ts";
import { bytesOf } from "./fuzz-target.ts";
import type { FuzzTarget } from "./fuzz-target.ts";

const RUNS = 400;
/** Of a parser that reads its input a bounded number of times; a slow machine under load takes a tenth of it. */
const PARSE_MS_MAX = 3000;

function parser(
  name: string,
  seeds: readonly (string | Uint8Array)[],
  words: readonly string[],
  parse: (text: string, bytes: Uint8Array) => unknown,
): FuzzTarget {
  return {
    name,
    seeds: seeds.map((seed) => (typeof seed === "string" ? bytesOf(seed) : seed)),
    words: words.map(bytesOf),
    runs: RUNS,
    run: (input) => {
      const startedMs = performance.now();
      parse(decodeText(input, 0, input.length), input);
      const tookMs = performance.now() - startedMs;
      if (tookMs > PARSE_MS_MAX) throw new Error(`${input.length} bytes took ${Math.round(tookMs)} ms`);
    },
  };
}

const missing = (): never => {
  throw Object.assign(new Error("no such file"), { code: "ENOENT" });
};

const sqlFacts = {
  userFunctions: new Set(["f"]),
  unsafeNames: new Set(["v", "größe"]),
  unsafeOperators: new Set(["<->"]),
  refusesAll: null,
};

/** Settings show and print the options without the password that these options have. */
function checkLdapOptions(text: string): void {
  const parsed = parseLdapOptions(text);
  const settings = new Settings();
  setSetting(settings, "auth_ldap_options", text);
  if (!parsed.ok || parsed.options.mode.kind !== "search") return;
  const password = parsed.options.mode.bindPassword.reveal();
  const others = text.replaceAll('""', '"').split(password).length - 1;
  // A short one, or one that stands somewhere else too, would be found by chance.
  if (password.length < 5 || others !== 1) return;
  const shown = `${showSetting(settings, "auth_ldap_options")} ${inspect(settings, { depth: 9, showHidden: true })} ${inspect(parsed, { depth: 9 })}`;
  if (shown.replaceAll('""', '"').includes(password)) throw new Error(`the bind password is shown: ${shown}`);
}

export function parserTargets(): FuzzTarget[] {
  const ldap = [
    'ldapserver=ldap.example ldapbasedn="dc=example,dc=net" ldapbinddn="cn=reader" ldapbindpasswd="S3CRET ""quoted"" word"',
    "ldapserver=h ldapbasedn=dc=x ldapbindpasswd=S3CRET0 ldaptls=1 ldapport=389",
    'ldapurl="ldaps://h:636/dc=x?uid?sub?(uid=$username)" "ldapbindpasswd"="S3CRET1",ldapbinddn=cn=x',
    'ldapserver="one two" ldapprefix="cn=" ldapsuffix=",dc=example" # comment',
  ];
  return [
    parser(
      "hba-file",
      [
        'local all all peer map=people\nhost "db one",@names sameuser 10.0.0.0/8 scram-sha-256\nhostssl all all ::/0 cert\n',
        "hostnossl replication rep 192.168.0.1 255.255.255.0 md5\nhost all all all ldap ldapserver=h ldapprefix=x\nhost a b samehost reject",
      ],
      ["host ", "all", '"', "@x", ",", "map=", "/33", "::1/129", "#", "\\", "+role"],
      (text) => parseHba(text, { fileName: "hba", readFile: missing, identMaps: new Map() }),
    ),
    parser(
      "sql-text",
      [
        "WITH a(b) AS (SELECT 'it''s', E'\\'', $q$ ; $q$, 1.5e3) SELECT count(*), (t).x FROM \"T\" AS t WHERE b <-> $1 /* /* */ */;",
        "select a into b from c for update -- x\n; delete from t",
      ],
      ["'", '"', "$$", "/*", "*/", "--", "E'", "U&'", "(", ";", ".", " for update", "\\", "\n", "nextval("],
      (_text, bytes) => {
        const record = new StatementBook().recordOf(bytes, 0, bytes.length, true);
        if (typeof record !== "string") record.refusal(sqlFacts);
      },
    ),
    parser(
      "ident-file",
      ['people alice alice\npeople "bob smith" all\n# comment\npeople /^(.*)@x$ \\1\n'],
      ['"', "/^(a+)+$", "\\1", "#", "all"],
      (text) => parseIdentMaps(text),
    ),
    parser(
      "userlist",
      ['"ann" "S3CRET"\n"bob" "md50123456789abcdef0123456789abcdef"\n; comment\n"c""d" ""\n'],
      ['"', '""', "\n", ";", '"x" "'],
      (text) => parseUserlist(text),
    ),
    parser(
      "scram-verifier",
      [
        "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
      ],
      ["$", ":", "=", "99999999999"],
      (text) => parseScramVerifier(text),
    ),
    parser(
      "ini-file",
      [
        "[databases]\nshop = host=h port=5432 password='S3CRET' pool_size=3\n* = host=/tmp\n[users]\nann = pool_mode=session\n[peers]\n1 = host=h\n[pgbouncer]\nlisten_port = 6432\nauth_type = md5\n",
        "[pgbouncer]\n%include other.ini\nauth_query = SELECT $1\nserver_lifetime = 1e300\nmax_client_conn = 0x7fffffff\n",
      ],
      ["[", "]", "%include ", "=", "''", "\\", "pgbouncer", "host=", ",", "-1", "1e999"],
      (text) => loadConfiguration("fuzz.ini", (path) => (path === "fuzz.ini" ? text : missing())),
    ),
    parser(
      "connection-string",
      ["host=h port=5432 user='a ''b' password='S3CRET' connect_query='select ''x'''"],
      ["'", "''", "=", "\\"],
      (text) => parseConnectionString(text),
    ),
    parser(
      "ldap-options",
      ldap,
      ["ldapbindpasswd=", '"ldapbindpasswd"=', '"', '""', ",", "#", "ldapurl=", " "],
      checkLdapOptions,
    ),
    parser(
      "ldap-url",
      ["ldap://host:389/dc=example,dc=net?uid?sub?(objectClass=*)", "ldaps://[::1]:636/dc=x"],
      ["%", "%00", "?", "://", "[", "@"],
      (text) => parseLdapUrl(text),
    ),
    parser(
      "resolv-conf",
      [
        "nameserver 10.0.0.1\nnameserver fe80::1%eth0\nsearch a.example b.example\noptions ndots:2 timeout:1 attempts:3 rotate\n",
      ],
      ["nameserver ", "options ", "ndots:", "#", ";", "%"],
      (text) => parseResolvConf(text),
    ),
    parser(
      "hosts-file",
      ["127.0.0.1 localhost local\n::1 localhost\n10.0.0.1\tdb db.example # x\n"],
      ["#", "::", "%lo"],
      (text) => parseHostsFile(text),
    ),
    parser(
      "console-text",
      ["SHOW CLIENTS;", "set auth_type = 'it''s'", "KILL_CLIENT 17", 'pause "my db"', "select 1", "wait_close a.b"],
      ["'", '"', ";", "=", " to ", "--", "/*", "SHOW "],
      (text) => findStatement(text),
    ),
    parser("startup-options", ["-c search_path=a\\ b --TimeZone=UTC -cx=y"], ["-c", "--", "\\", "="], (text) =>
      parseOptions(text),
    ),
    parser(
      "handed-socket",
      [
        JSON.stringify({
          kind: "client",
          keyProcessId: 7,
          keySecret: "00112233",
          parameters: [["TimeZone", "UTC"]],
          statements: [["s", 3, "select 1"]],
          replication: "no",
          unread: "UQ==",
        }),
        JSON.stringify({
          kind: "server",
          keyProcessId: 7,
          keySecret: "00112233",
          parameters: [],
          statements: [[3, "select 1"]],
          host: "h",
          status: 73,
          pipeline: null,
          ageMs: 1,
          quietMs: 2,
          closeNeeded: false,
          origin: "h",
          welcome: [["server_version", "18"]],
        }),
      ],
      ["{", "[", '"kind":"client"', "null", "1e999", '"__proto__":', "-1"],
      (text, bytes) => {
        const cell = (words: string): Uint8Array => bytesOf(words);
        const row = [cell("9"), cell("client"), cell("u"), cell("d"), cell("unix"), cell("1"), cell("0"), cell("0")];
        readHandedSocket(
          [...row, cell("UTF8"), cell("on"), cell("ISO"), cell("UTC"), cell(text), bytes, bytes, bytes],
          9,
        );
        const parts = text.split("|").map(bytesOf);
        readHandedSocket(parts, 9);
      },
    ),
    parser(
      "certificate",
      [createCertificate({ commonName: "someone", altNames: ["a.example", "127.0.0.1"] }).der],
      [],
      (_text, bytes) => readCertificateNames(bytes),
    ),
    parser(
      "password-messages",
      [bytesOf("secret\0"), Buffer.concat([bytesOf("SCRAM-SHA-256\0"), Uint8Array.of(0, 0, 0, 4), bytesOf("n,,x")])],
      ["\0"],
      (_text, bytes) => [readPassword(bytes), readSaslInitialResponse(bytes)],
    ),
  ];
}
