/** Logins by every auth_type, with secrets of every kind, right and wrong; HBA rules; auth_query; servers that refuse. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { md5Secret, scramSecret } from "../../../integration/login-dialogue.ts";
import { message, startupMessage } from "../../../support/wire-client.ts";
import { type Place, type Scenario, type ScenarioGroup, spyPassword } from "../stage.ts";

const password = "the password";
const salt = Buffer.from("0123456789abcdef");

/** How each user's secret is kept. */
const userlist = {
  plain: password,
  hashed: md5Secret("hashed", password),
  scram: scramSecret(password, 4096, salt),
  app: "",
  spy: spyPassword,
};
const users = [...Object.keys(userlist).filter((name) => name !== "spy"), "nosuch"];

function options(settings: Record<string, string | number>): ScenarioGroup["options"] {
  return ({ server }: Place) => ({
    databases: {
      p: `${server} dbname=postgres`,
      forced: `${server} dbname=postgres user=app`,
      query: `${server} dbname=postgres auth_user=app auth_query='select ''scram'', ''x'' where $1 = ''found'''`,
      three: `${server} dbname=postgres auth_user=app auth_query='select 1, 2, 3'`,
      broken: `${server} dbname=postgres auth_user=app auth_query='select nonsense'`,
      none: `${server} dbname=postgres auth_user=app auth_query='select $1::text, null::text'`,
    },
    userlist,
    settings: { pool_mode: "transaction", stats_users: "spy", ...settings },
  });
}

/** Everybody, with the right password and a wrong one, with none, and to a database that is not there. */
const everybody: readonly Scenario[] = users.flatMap((user) => [
  {
    name: `${user} with the password`,
    play: async (stage) => {
      await stage.login(user, { user, database: "p" }, { password });
      await stage.login("no database", { user, database: "nosuch" }, { password });
    },
  },
  {
    name: `${user} with a wrong password`,
    play: async (stage) => {
      await stage.login(user, { user, database: "p" }, { password: "wrong" });
      await stage.login("empty", { user, database: "p" }, { password: "" });
      await stage.login("no database", { user, database: "nosuch" }, { password: "wrong" });
    },
  },
]);

/** Dialogues that a well-behaved client does not have. */
const dialogues: readonly Scenario[] = [
  {
    name: "packets out of turn",
    play: async (stage) => {
      const startup = startupMessage({ user: "plain", database: "p" });
      const wrong: readonly (readonly [string, Uint8Array])[] = [
        ["a query", message("Q", "select 1")],
        ["Terminate", message("X")],
        ["another startup packet", startup],
        ["a password without its zero byte", message("p", Buffer.from("x"))],
        ["an empty password packet", message("p")],
        ["a password with a zero byte", message("p", "a\0b")],
        ["a long password", message("p", "p".repeat(3000))],
        ["an unknown type", message("y", "x")],
      ];
      for (const [title, bytes] of wrong) {
        await stage.open(title);
        await stage.ask(title, "startup", [startup], "R");
        await stage.ask(title, "and then", [bytes], "Z");
      }
    },
  },
];

const queries: readonly Scenario[] = [
  {
    name: "auth_query",
    play: async (stage) => {
      for (const database of ["query", "three", "broken", "none"]) {
        await stage.login(database, { user: "found", database }, { password: "x" });
        await stage.login(`${database} unknown`, { user: "unknown", database }, { password: "x" });
        await stage.login(`${database} listed`, { user: "plain", database }, { password });
      }
    },
  },
];

const types = ["trust", "plain", "md5", "scram-sha-256"] as const;

const hbaText = `# comment
host pgbouncer spy 127.0.0.1/32 trust
local all all peer
host p plain 127.0.0.1/32 password
host p hashed 127.0.0.1/32 md5
host p scram 127.0.0.1/32 scram-sha-256
host p app 127.0.0.1 255.255.255.255 trust
host forced all 127.0.0.1/32 reject
hostssl query all 127.0.0.1/32 trust
host replication app 127.0.0.1/32 trust
host three all ::1/128 trust
broken line here
host all all 127.0.0.1/32 ident
host broken all all cert
host none plain,hashed 127.0.0.0/8 md5
`;

const hba: readonly Scenario[] = [
  ...everybody,
  {
    name: "rules",
    play: async (stage) => {
      for (const database of ["forced", "query", "three", "broken", "none", "nosuch", "pgbouncer"]) {
        await stage.login(`${database} plain`, { user: "plain", database }, { password });
      }
      await stage.login("unix", { user: "plain", database: "p" }, { password, unix: true });
      await stage.login("console", { user: "console", database: "pgbouncer" }, { password: "console-password" });
    },
  },
];

const refusingServers = [
  "nodatabase",
  "norole",
  "nopassword",
  "wrongpassword",
  "rightpassword",
  "closed",
  "noname",
  "nosocket",
  "startupquery",
  "encoding",
  "badencoding",
];

export const loginGroups: readonly ScenarioGroup[] = [
  ...types.map((type) => ({
    name: `auth_type=${type}`,
    options: options({ auth_type: type }),
    scenarios: [
      ...everybody,
      ...(type === "plain" ? dialogues : []),
      ...(type === "plain" || type === "scram-sha-256" ? queries : []),
    ],
  })),
  {
    name: "auth_type=any",
    options: options({ auth_type: "any" }),
    scenarios: [
      {
        name: "everybody",
        play: async (stage) => {
          for (const database of ["p", "forced", "nosuch", "pgbouncer"]) {
            await stage.login(database, { user: "nosuch", database });
          }
        },
      },
    ],
  },
  {
    name: "auth_type=hba",
    options: (place) => {
      const path = join(place.folder, "hba.conf");
      writeFileSync(path, hbaText);
      return options({ auth_type: "hba", auth_hba_file: path })(place);
    },
    scenarios: hba,
  },
  {
    name: "servers that refuse",
    options: ({ server }) => ({
      databases: {
        nodatabase: `${server} dbname=not_there`,
        norole: `${server} dbname=postgres user=not_there`,
        nopassword: `${server} dbname=postgres user=locked`,
        wrongpassword: `${server} dbname=postgres user=locked password=wrong`,
        rightpassword: `${server} dbname=postgres user=locked password=right`,
        closed: "host=127.0.0.1 port=1 dbname=postgres",
        noname: "host=not-there.invalid dbname=postgres",
        nosocket: "host=/nonexistent dbname=postgres",
        startupquery: `${server} dbname=postgres connect_query='select nonsense'`,
        encoding: `${server} dbname=postgres client_encoding=LATIN1 datestyle=German timezone=CET application_name=set`,
        badencoding: `${server} dbname=postgres client_encoding=nonsense`,
      },
      userlist: { app: "", spy: spyPassword },
      settings: { pool_mode: "transaction", stats_users: "spy", client_login_timeout: 1, server_login_retry: 60 },
    }),
    scenarios: refusingServers.map((database) => ({
      name: database,
      play: async (stage) => {
        await stage.login("first", { user: "app", database });
        await stage.login("again", { user: "app", database });
      },
    })),
  },
];
