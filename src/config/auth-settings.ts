/** Settings about who may log in, and where their secrets come from. */
import type { SettingRow } from "./setting-row.ts";
import { AuthType } from "./setting-words.ts";

export const AUTH_SETTINGS = [
  {
    name: "auth_type",
    type: "enum",
    values: Object.values(AuthType),
    default: "md5",
    doc: "How clients prove who they are.",
  },
  {
    name: "auth_file",
    type: "string",
    default: null,
    doc: 'File of users and their secrets, one `"user" "secret"` a line.',
  },
  {
    name: "auth_hba_file",
    type: "string",
    default: "",
    doc: "Host-based rules in the manner of pg_hba.conf, used when auth_type is hba.",
  },
  {
    name: "auth_ident_file",
    type: "string",
    default: null,
    doc: "Map of system user names to database user names, used by the rules of auth_hba_file.",
  },
  {
    name: "auth_ldap_options",
    type: "secret",
    default: null,
    doc: "Options of the LDAP login when auth_type is ldap. SHOW CONFIG hides the bind password.",
  },
  {
    name: "auth_user",
    type: "string",
    default: null,
    database: "auth_user",
    doc: "The user that runs auth_query for users who have no secret in auth_file.",
  },
  {
    name: "auth_query",
    type: "string",
    default:
      "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin",
    database: "auth_query",
    doc: "Query with the user name as its parameter; answers with a row of name and secret.",
  },
  {
    name: "auth_dbname",
    type: "string",
    default: null,
    database: "auth_dbname",
    refused: { value: "pgbouncer", message: 'cannot use the reserved "pgbouncer" database as an auth_dbname' },
    doc: "The database, as named in `[databases]`, on which auth_query runs. Not set = the client's own.",
  },
  {
    name: "scram_iterations",
    type: "count",
    default: "4096",
    doc: "Iterations of SCRAM secrets that are made from plain passwords.",
  },
  {
    name: "admin_users",
    type: "list",
    default: "",
    doc: "Users who may run every command of the console.",
  },
  {
    name: "stats_users",
    type: "list",
    default: "",
    doc: "Users who may look at the console, but change nothing.",
  },
] as const satisfies readonly SettingRow[];
