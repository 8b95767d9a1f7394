/**
 * What is asked of a fresh PostgreSQL about its own functions, for the lists of src/sharing/built-in-functions.ts: by the
 * script that prints them and by the test that compares them with a running server.
 */

export interface FunctionRow {
  readonly name: string;
  /** One of its functions is volatile. */
  readonly volatile: boolean;
  /** One of its functions has an argument or a result that SQL cannot hold. */
  readonly internal: boolean;
  /** All its functions stand behind operators, types or aggregates. */
  readonly machinery: boolean;
  /** SQL can call one of them. */
  readonly callable: boolean;
}

export interface ViewRow {
  readonly view: string;
  /** A function that its rules call, or those of a view that it reads. */
  readonly function: string;
}

export const functionQuery = `
  select p.proname as name,
    bool_or(p.provolatile = 'v') as volatile,
    bool_or(t.internal) as internal,
    bool_and(coalesce(obj_description(p.oid, 'pg_proc'), '') ~ '^(I/O|implementation of|hash$|less-equal-greater|sort support|larger of two|smaller of two|aggregate (transition|final|combine|inverse|serial|deserial)|statistics:)') as machinery,
    not bool_and(t.uncallable) as callable
  from pg_catalog.pg_proc p
    cross join lateral (
      select bool_or(y.typname in ('internal', 'cstring', 'void', 'trigger', 'event_trigger', 'language_handler', 'fdw_handler',
          'index_am_handler', 'tsm_handler', 'table_am_handler', 'opaque', 'pg_ddl_command')) as internal,
        bool_or(y.typname in ('internal', 'trigger', 'event_trigger')) as uncallable
      from unnest(p.proargtypes::oid[] || p.prorettype) a join pg_catalog.pg_type y on y.oid = a
    ) t
  where p.pronamespace = 'pg_catalog'::regnamespace and p.oid < 16384
  group by 1`;

export const viewQuery = `
  with recursive rule as (
    select c.oid, r.ev_action::text as action
    from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = r.ev_class
    where c.oid < 16384 and c.relnamespace = 'pg_catalog'::regnamespace
  ), reached (oid, base) as (
    select oid, oid from rule
    union
    select reached.oid, m[1]::oid
    from reached join rule on rule.oid = reached.base
      cross join lateral regexp_matches(rule.action, ':relid (\\d+)', 'g') m
  )
  select distinct c.relname as view, p.proname as function
  from reached join rule on rule.oid = reached.base
    cross join lateral regexp_matches(rule.action, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g') m
    join pg_catalog.pg_class c on c.oid = reached.oid
    join pg_catalog.pg_proc p on p.oid = m[1]::oid`;

/**
 * Not volatile, and yet nothing to share: they run what their arguments name (a query, a table, a type with its checks), take a
 * transaction number, which is a write, or tell of the server's session, which is nobody's in a pool.
 *
 * `current_setting` may be called: sharers have the same settings, and those that a pooler does not follow are as much
 * anybody's on a server of one's own.
 */
export function isRefusedByName(name: string): boolean {
  return /_to_xml|populate_record|^pg_input_|xact_id|^txid_current|^pg_event_trigger_|^inet_client_|temp_schema$|^pg_(?:backend_pid|listening_channels|prepared_statement|cursor|show_all_settings|replication_origin_oid)$|_fdw_validator$/.test(
    name,
  );
}
