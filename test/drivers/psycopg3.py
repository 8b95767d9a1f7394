"""psycopg 3 through the pooler: python3 psycopg3.py CONNECTION-URI"""

import sys
import threading
import time

import psycopg

uri = sys.argv[1]
table = "drivers_psycopg3"


def expect(actual, wanted, what):
    if actual != wanted:
        raise AssertionError(f"{what}: {actual!r} instead of {wanted!r}")


with psycopg.connect(uri, autocommit=True) as connection:
    expect(connection.execute("select 1 + 1").fetchone(), (2,), "query")
    connection.execute(f"drop table if exists {table}")
    connection.execute(f"create table {table} (id int primary key, name text)")

    try:
        with connection.transaction():
            connection.execute(f"insert into {table} values (1, 'gone')")
            raise KeyError("roll back")
    except KeyError:
        pass
    expect(connection.execute(f"select count(*) from {table}").fetchone(), (0,), "rollback")

    with connection.cursor() as cursor, cursor.copy(f"copy {table} from stdin") as copy:
        for number in range(1000):
            copy.write_row((number, f"name {number}"))
    with connection.cursor() as cursor, cursor.copy(f"copy {table} to stdout") as copy:
        expect(sum(1 for _ in copy.rows()), 1000, "COPY out")

    for number in range(50):
        row = connection.execute(f"select name from {table} where id = %s", (number,), prepare=True).fetchone()
        expect(row, (f"name {number}",), "prepared statement")

    if psycopg.Pipeline.is_supported():
        with connection.pipeline():
            cursors = [connection.execute("select %s::int * 2", (number,)) for number in range(20)]
        expect([cursor.fetchone()[0] for cursor in cursors], [number * 2 for number in range(20)], "pipeline")

    try:
        connection.execute("select 1 / 0")
        raise AssertionError("no error")
    except psycopg.errors.DivisionByZero as error:
        expect(error.sqlstate, "22012", "SQLSTATE")
    expect(connection.execute("select 'on'").fetchone(), ("on",), "query after an error")

    def cancel():
        time.sleep(0.3)
        connection.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    try:
        connection.execute("select pg_sleep(20)")
        raise AssertionError("not cancelled")
    except psycopg.errors.QueryCanceled:
        pass
    canceller.join()
    expect(connection.execute("select 3").fetchone(), (3,), "query after a cancel")

try:
    psycopg.connect(uri.replace(":secret@", ":wrong@"))
    raise AssertionError("a wrong password came in")
except psycopg.OperationalError:
    pass
