"""asyncpg through the pooler: python3 asyncpg-driver.py CONNECTION-URI"""

import asyncio
import io
import sys

import asyncpg

uri = sys.argv[1]
table = "drivers_asyncpg"


def expect(actual, wanted, what):
    if actual != wanted:
        raise AssertionError(f"{what}: {actual!r} instead of {wanted!r}")


async def main():
    connection = await asyncpg.connect(uri)
    expect(await connection.fetchval("select 1 + 1"), 2, "query")
    await connection.execute(f"drop table if exists {table}")
    await connection.execute(f"create table {table} (id int primary key, name text)")
    try:
        async with connection.transaction():
            await connection.execute(f"insert into {table} values (1, 'gone')")
            raise KeyError("roll back")
    except KeyError:
        pass
    expect(await connection.fetchval(f"select count(*) from {table}"), 0, "rollback")

    records = [(number, f"name {number}") for number in range(1000)]
    await connection.copy_records_to_table(table, records=records)
    out = io.BytesIO()
    await connection.copy_from_query(f"select id from {table} order by id", output=out)
    expect(len(out.getvalue().splitlines()), 1000, "COPY out")

    statement = await connection.prepare(f"select name from {table} where id = $1")
    for number in range(50):
        expect(await statement.fetchval(number), f"name {number}", "prepared statement")
    await connection.executemany(f"update {table} set name = $2 where id = $1", [(n, "new") for n in range(100)])
    expect(await connection.fetchval(f"select count(*) from {table} where name = 'new'"), 100, "executemany")

    try:
        await connection.fetchval("select 1 / 0")
        raise AssertionError("no error")
    except asyncpg.DivisionByZeroError as error:
        expect(error.sqlstate, "22012", "SQLSTATE")

    try:
        await connection.execute("select pg_sleep(20)", timeout=0.3)
        raise AssertionError("not cancelled")
    except asyncio.TimeoutError:
        pass
    expect(await connection.fetchval("select 3"), 3, "query after a cancel")
    await connection.close()

    pool = await asyncpg.create_pool(uri, min_size=8, max_size=8)
    # RESET ALL and its like, which the pool sends at each release, reach whatever server is free.
    sums = await asyncio.gather(*(pool.fetchval("select $1::int * 2", number) for number in range(200)))
    expect(sums, [number * 2 for number in range(200)], "pool")
    await pool.close()

    try:
        await asyncpg.connect(uri.replace(":secret@", ":wrong@"))
        raise AssertionError("a wrong password came in")
    except asyncpg.PostgresError:
        pass


asyncio.run(main())
