"""psycopg 2 through the pooler: python3 psycopg2.py CONNECTION-URI"""

import io
import sys
import threading
import time

# This file has the driver's name: the driver must be found, not this.
sys.path.pop(0)

import psycopg2
import psycopg2.errors
import psycopg2.extras

uri = sys.argv[1]
table = "drivers_psycopg2"


def expect(actual, wanted, what):
    if actual != wanted:
        raise AssertionError(f"{what}: {actual!r} instead of {wanted!r}")


connection = psycopg2.connect(uri)
cursor = connection.cursor()


def ask(text, values=None):
    cursor.execute(text, values)
    return cursor.fetchone()


expect(ask("select 1 + 1"), (2,), "query")
cursor.execute(f"drop table if exists {table}")
cursor.execute(f"create table {table} (id int primary key, name text)")
connection.commit()
cursor.execute(f"insert into {table} values (1, 'gone')")
connection.rollback()
expect(ask(f"select count(*) from {table}"), (0,), "rollback")

rows = "".join(f"{number}\tname {number}\n" for number in range(1000))
cursor.copy_expert(f"copy {table} from stdin", io.StringIO(rows))
connection.commit()
out = io.StringIO()
cursor.copy_expert(f"copy (select * from {table} order by id) to stdout", out)
expect(out.getvalue(), rows, "COPY out")

# This driver prepares in SQL, which lives as long as the transaction here.
cursor.execute(f"prepare by_id (int) as select name from {table} where id = $1")
expect(ask("execute by_id (%s)", (7,)), ("name 7",), "PREPARE in a transaction")
cursor.execute("deallocate by_id")
connection.commit()

try:
    cursor.execute("select 1 / 0")
    raise AssertionError("no error")
except psycopg2.errors.DivisionByZero as error:
    expect(error.pgcode, "22012", "SQLSTATE")
connection.rollback()


def cancel():
    time.sleep(0.3)
    connection.cancel()


canceller = threading.Thread(target=cancel)
canceller.start()
try:
    cursor.execute("select pg_sleep(20)")
    raise AssertionError("not cancelled")
except psycopg2.errors.QueryCanceled:
    connection.rollback()
canceller.join()
expect(ask("select 3"), (3,), "query after a cancel")
connection.close()


def replicate():
    """A logical stream of one insert, read to its COMMIT."""
    stream = psycopg2.connect(uri, connection_factory=psycopg2.extras.LogicalReplicationConnection)
    control = psycopg2.connect(uri)
    control.autocommit = True
    sql = control.cursor()
    sql.execute(f"create publication {table} for table {table}")
    reader = stream.cursor()
    reader.create_replication_slot(table, output_plugin="pgoutput")
    reader.start_replication(slot_name=table, options={"proto_version": "1", "publication_names": table})
    sql.execute(f"insert into {table} values (5000, 'streamed')")
    kinds = b""
    deadline = time.time() + 20
    while not kinds.endswith(b"C"):
        message = reader.read_message()
        if message is not None:
            kinds += message.payload[:1]
            reader.send_feedback(flush_lsn=message.data_start)
        elif time.time() > deadline:
            raise AssertionError(f"nothing more behind {kinds!r}")
        else:
            time.sleep(0.01)
    expect(kinds, b"BRIC", "logical replication")
    stream.close()
    reader = psycopg2.connect(uri, connection_factory=psycopg2.extras.LogicalReplicationConnection).cursor()
    reader.execute("IDENTIFY_SYSTEM")
    expect(len(reader.fetchone()), 4, "IDENTIFY_SYSTEM")
    while True:
        try:
            reader.drop_replication_slot(table)
            break
        except psycopg2.errors.ObjectInUse:
            time.sleep(0.05)
    reader.connection.close()
    sql.execute(f"drop publication {table}")
    control.close()


replicate()

try:
    psycopg2.connect(uri.replace(":secret@", ":wrong@"))
    raise AssertionError("a wrong password came in")
except psycopg2.OperationalError:
    pass
