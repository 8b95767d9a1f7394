/** The configuration that the demo gives its pooler: what one would write for a small application, and nothing hidden. */

export interface DemoPoolerConfiguration {
  readonly folder: string;
  readonly port: number;
  readonly poolSize: number;
  readonly clients: number;
  readonly user: string;
  readonly database: string;
  readonly server: { readonly host: string; readonly port: number };
}

/** Room for visitors with psql. */
const visitorsMax = 100;

/** Text of pgbouncer.ini. */
export function poolerIni(configuration: DemoPoolerConfiguration): string {
  const { folder, port, poolSize, clients, user, database, server } = configuration;
  return `[databases]
${database} = host=${server.host} port=${server.port} dbname=${database}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir = ${folder}
auth_type = scram-sha-256
auth_file = ${folder}/userlist.txt
admin_users = ${user}

; A server connection is lent for a transaction, then the next client has it.
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = ${clients + visitorsMax}
max_prepared_statements = 100

logfile = ${folder}/pooler.log
pidfile = ${folder}/pooler.pid
`;
}

/** Text of userlist.txt. The password is plain, because the pooler logs in to PostgreSQL with it too. */
export function poolerUserlist(user: string, password: string): string {
  return `"${user}" "${password}"\n`;
}
