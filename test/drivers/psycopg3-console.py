"""The console through psycopg 3, as monitoring in Python asks it: python3 psycopg3-console.py CONNECTION-URI

psycopg sends what has parameters by the extended protocol, and prepares what it has sent often enough; both are tried, and the
types that it makes of the answers.
"""

import sys
from decimal import Decimal

import psycopg
from psycopg.rows import dict_row

uri = sys.argv[1]

# Command, and the Python types of columns that exporters read.
scraped = {
    "SHOW STATS": {"database": str, "total_query_count": Decimal, "total_xact_time": Decimal, "avg_recv": Decimal},
    "SHOW POOLS": {"database": str, "user": str, "cl_active": int, "sv_idle": int, "maxwait_us": int, "pool_mode": str},
    "SHOW DATABASES": {"name": str, "port": int, "pool_size": int, "current_connections": int, "paused": int},
    "SHOW LISTS": {"list": str, "items": int},
    "SHOW CONFIG": {"key": str, "changeable": str},
    "SHOW VERSION": {"version": str},
    "SHOW CLIENTS": {"user": str, "state": str, "wait": int, "application_name": str},
    "SHOW SERVERS": {},
}


def expect(actual, wanted, what):
    if actual != wanted:
        raise AssertionError(f"{what}: {actual!r} instead of {wanted!r}")


def check(command, rows):
    for row in rows:
        for column, python_type in scraped[command].items():
            expect(type(row[column]), python_type, f"{command}, {column}")


with psycopg.connect(uri, autocommit=True, row_factory=dict_row, prepare_threshold=2) as connection:
    for command in scraped:
        names = None
        # Simple, then extended: `prepare=False` with an empty list of parameters is what psycopg sends as extended.
        for arguments in [{}, {"params": []}, {"params": [], "prepare": True}, {"params": [], "prepare": True}]:
            cursor = connection.execute(command, **arguments)
            rows = cursor.fetchall()
            check(command, rows)
            expect(cursor.statusmessage, "SHOW", f"tag of {command}")
            names = names or [column.name for column in cursor.description]
            expect([column.name for column in cursor.description], names, f"columns of {command}")

    # The threshold: the third time it is prepared by itself.
    for _ in range(6):
        check("SHOW POOLS", connection.execute("SHOW POOLS", []).fetchall())

    if psycopg.Pipeline.is_supported():
        with connection.pipeline():
            cursors = [(command, connection.execute(command)) for command in scraped]
        for command, cursor in cursors:
            check(command, cursor.fetchall())

    try:
        connection.execute("SHOW NOTHING", [])
        raise AssertionError("no error")
    except psycopg.errors.ProtocolViolation as error:
        expect(error.sqlstate, "08P01", "SQLSTATE")
    try:
        connection.execute("PAUSE")
        raise AssertionError("a reader may pause")
    except psycopg.Error as error:
        expect("admin access needed" in str(error), True, "refusal")
    expect(len(connection.execute("SHOW STATE").fetchall()), 3, "rows after an error")

# Without autocommit psycopg says BEGIN first, which is no command of the console: an error, and no broken connection.
with psycopg.connect(uri) as connection:
    try:
        connection.execute("SHOW VERSION")
        raise AssertionError("BEGIN is no command")
    except psycopg.Error as error:
        expect("invalid command" in str(error), True, "refusal of BEGIN")
    connection.autocommit = True
    expect(connection.execute("SHOW VERSION").fetchone()[0].startswith("PgBouncer "), True, "version")
