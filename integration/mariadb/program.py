# SPDX-License-Identifier: MIT
"""MariaDB, a thread per connection: the program that uses most of what threads have. InnoDB's latches are futexes through
syscall(), a thread sits in io_uring, commits wait for one that is in fdatasync, and background threads come and go.

What is checked: money that transfers move about never gets more or less, seen by readers all the time; KILL of
connections and queries; time-outs for locks and idle connections; deadlocks; a load by sysbench and mysqlslap; SIGKILL
under load, after which every transfer that was acknowledged is there, and none by half; SIGTERM under load.
With --full: sysbench at 512 and 2,000 connections, and a part of the server's own test suite, test by test as bare.
"""

import asyncio
import os
import random
import re
import signal
import sys
import time

from clients import figure, side_by_side
from daemon import Daemon, Failed, check

sys.path.insert(0, os.path.dirname(__file__))
from mysql import Lost, Refused, connect  # noqa: E402

ACCOUNTS, EACH = 100, 1000
SUITE = "/usr/share/mysql/mysql-test"
TESTS = """connect connect-abstract connect-no-db init_connect kill kill-2 kill_processlist-6619 kill_query-6728 lock
lock_multi lock_multi_bug38499 lock_multi_bug38691 lock_user locking_clause lock_tables_lost_commit deadlock_innodb
deadlock_ftwrl flush_read_lock_kill innodb_mysql_lock innodb_mysql_lock2 wait_timeout timeout ssl_timeout
thread_pool_info pool_of_threads thread_stack_overrun shutdown sp-threads sp-lock xa reset_connection
max_statement_time transaction_timeout tablelock backup_locks events_1 status mysqlslap""".split()


class Program(Daemon):
    model = "one per connection"
    binary = "mariadbd"
    handling = "one-thread-per-connection"
    tests = TESTS
    user = "nobody"
    transfer, drive, crash = 3, 2, 1.5  # s of transfers, of sysbench, until SIGKILL
    # Its own threads that block in files, one at a time each: io_uring's, the log's, the page cleaner, who waits for signals.
    spare = 8
    logs = ("mariadb.log",)
    expected = (r"Aborted connection", r"Could not increase number of max_open_files", r"ignored in --skip-name-resolve",
                r"--ssl", r"Forcing close of thread", r"Assertion|assert.*disabled", r"io_uring|aio",
                r"InnoDB: (Starting crash recovery|.*rolled? back|Transaction \d+ was in)")

    def version(self):
        return self.output("mariadbd", "--version").split("Ver ")[1].split("-MariaDB")[0]

    async def configure(self):
        self.torn = []
        self.output("mariadb-install-db", "--no-defaults", f"--datadir={self.dir}/data", *self.account(),
                    "--auth-root-authentication-method=normal", "--skip-test-db")

    def account(self):
        """Root must say so."""
        return [f"--user={self.user or 'root'}"] if os.geteuid() == 0 else []

    def command(self):
        return ("/usr/sbin/mariadbd", "--no-defaults", *(() if self.user else self.account()), f"--datadir={self.dir}/data",
                f"--socket={self.dir}/s.sock", f"--port={self.port}", "--bind-address=127.0.0.1", f"--thread-handling={self.handling}",
                "--max-connections=2100", "--max-prepared-stmt-count=1000000", f"--pid-file={self.dir}/pid",
                "--skip-name-resolve", f"--log-error={self.dir}/mariadb.log", "--back-log=2000",
                f"--tmpdir={self.dir}", "--innodb-lock-wait-timeout=600",  # a machine may be busy
                "--connect-timeout=300", "--net-read-timeout=300", "--net-write-timeout=300")

    async def sql(self, database=""):
        return await connect(self.port, database=database)

    # -- 200 connections -------------------------------------------------------------------------------------------------
    async def hold(self):
        held = await side_by_side([self.sql() for _ in range(self.held)], 16)

        async def use(i, c):
            check(await c.value(f"SELECT CONCAT(REPEAT('{i % 10}', {i * 50}), CONNECTION_ID())") ==
                  str(i % 10) * (i * 50) + str(c.id), f"connection {i}: another answer")
        await side_by_side([use(*c) for c in enumerate(held)], 50)
        self.holding()
        await side_by_side([use(*c) for c in enumerate(held)], self.held)
        for c in held:
            await c.close()

    # -- transfers: the sum stays ----------------------------------------------------------------------------------------
    async def setup(self):
        c = await self.sql()
        for text in ("CREATE DATABASE IF NOT EXISTS bank", "USE bank",
                     "CREATE OR REPLACE TABLE account (id INT PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB",
                     "CREATE OR REPLACE TABLE done (id BIGINT PRIMARY KEY AUTO_INCREMENT, who INT, what INT) ENGINE=InnoDB",
                     f"INSERT INTO account SELECT seq, {EACH} FROM seq_1_to_{ACCOUNTS}"):
            await c.query(text)
        await c.close()

    async def transfers(self, who, until, acknowledged, dice):
        """Until the time is over and one is done, or the server gone; each is written down in the same transaction."""
        c = await self.sql("bank")
        while until is None or time.monotonic() < until or acknowledged[who] == 0:
            a, b, n = dice.randint(1, ACCOUNTS), dice.randint(1, ACCOUNTS), dice.randint(1, 50)
            try:
                await c.query("BEGIN")
                await c.query(f"UPDATE account SET n = n - {n} WHERE id = {a}")
                await c.query(f"UPDATE account SET n = n + {n} WHERE id = {b}")
                await c.query(f"INSERT INTO done (who, what) VALUES ({who}, {acknowledged[who] + 1})")
                await c.query("COMMIT")
                acknowledged[who] += 1
            except Refused as e:
                if e.code != 1213:  # a deadlock: rolled back
                    raise
        await c.close()

    async def balance(self, c, alone):
        """The sum; alone: with transfers shut out. Amid them a reader may be told another one, by bare servers too: InnoDB
        gathers for a snapshot who is open, one by one, and a transaction may be found open and one that waited for its row
        done. Whatever was wrong must be right when asked alone.
        """
        if alone:
            await c.query("LOCK TABLE account WRITE")   # waits for open transactions, and new ones for it
        total = await c.value("SELECT SUM(n) FROM account")
        if alone:
            await c.query("UNLOCK TABLES")
            check(total == str(ACCOUNTS * EACH), f"the sum is {total}")
        elif total != str(ACCOUNTS * EACH):
            self.torn.append(total)
            await self.balance(c, True)

    async def watch_balance(self, until):
        c = await self.sql("bank")
        n = 0
        while time.monotonic() < until:
            await self.balance(c, n % 50 == 0)
            n += 1
            await asyncio.sleep(0.01)
        await c.close()

    async def bank(self, connections, seconds):
        await self.setup()
        acknowledged = [0] * connections
        until = time.monotonic() + seconds
        await asyncio.gather(*(self.transfers(i, until, acknowledged, random.Random(i)) for i in range(connections)),
                             self.watch_balance(until))
        await self.audit(acknowledged, 0)

    async def audit(self, acknowledged, unsure):
        """The sum, and of each connection all that it was told is done; one more if its COMMIT was not answered."""
        c = await self.sql("bank")
        await self.balance(c, True)
        for who, n, last in await c.query("SELECT who, COUNT(*), MAX(what) FROM done GROUP BY who"):
            check(n == last and 0 <= int(n) - acknowledged[int(who)] <= unsure,
                  f"connection {who}: {n} transfers are there, the last is {last}, {acknowledged[int(who)]} acknowledged")
        here = {int(who) for who, in await c.query("SELECT DISTINCT who FROM done")}
        check(here >= {i for i, n in enumerate(acknowledged) if n}, "transfers that were acknowledged are not there")
        await c.close()

    # -- waiting, and being told to stop ---------------------------------------------------------------------------------
    async def outcome(self, work):
        """What a query ends with: its value, an error's number, or that the connection is gone."""
        try:
            return await asyncio.wait_for(work, 60)
        except Refused as e:
            return e.code
        except Lost:
            return "gone"

    async def seen(self, c, other, state):
        """Wait until the other connection is in that state."""
        deadline = time.monotonic() + 60
        while True:
            rows = await c.query(f"SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = {other.id}")
            if rows and re.search(state, rows[0][0] or ""):
                return
            check(time.monotonic() < deadline, f"connection {other.id} is {rows}, not {state}")
            await asyncio.sleep(0.01)

    async def kills(self):
        boss = await self.sql("bank")
        facts = {}
        await boss.query("BEGIN")
        await boss.query("UPDATE account SET n = n WHERE id = 1")
        for what, text, state in (
                ("sleep", "SELECT SLEEP(1000)", "User sleep"),
                ("compute", "SELECT BENCHMARK(100000000000, MD5('x'))", "."),
                ("row lock", "UPDATE account SET n = n WHERE id = 1", "Updating|Update"),
                ("table lock", "LOCK TABLE account WRITE", "metadata lock"),
                ("user lock", "SELECT GET_LOCK('mine', 1000)", "User lock")):
            if what == "user lock":
                check(await boss.value("SELECT GET_LOCK('mine', 1)") == "1", "GET_LOCK")
            for how in ("QUERY", "CONNECTION"):
                c = await self.sql("bank")
                job = asyncio.ensure_future(self.outcome(c.value(text)))
                await self.seen(boss, c, state)
                await boss.query(f"KILL {how} {c.id}")
                facts[f"{how} {what}"] = await job
                facts[f"then, {how} {what}"] = await self.outcome(c.value("SELECT 1"))
                await c.close()
        c = await self.sql()
        await boss.query(f"KILL {c.id}")
        facts["idle"] = await self.outcome(c.packet())
        await boss.query("ROLLBACK")
        await boss.close()
        return facts

    async def timeouts(self):
        a = await self.sql("bank")
        facts = {}

        async def timed(name, least, query):
            """All at once, each on a connection of its own."""
            c = await self.sql("bank")
            await c.query("SET innodb_lock_wait_timeout = 1, lock_wait_timeout = 1")
            begin = time.monotonic()
            facts[name] = await self.outcome(query(c))
            check(time.monotonic() - begin >= least, f"{name}: over after {time.monotonic() - begin} s, not {least}")
            await c.close()

        async def idle(c):              # the server's second may begin long before the answer is seen here
            await c.query("SET wait_timeout = 1")
            return await c.packet()
        await a.query("BEGIN")
        await a.query("UPDATE account SET n = n WHERE id = 1")
        await a.query("SELECT GET_LOCK('mine', 1)")
        await asyncio.gather(
            timed("row lock", 0.9, lambda c: c.query("UPDATE account SET n = n WHERE id = 1")),
            timed("table lock", 0.9, lambda c: c.query("LOCK TABLE account WRITE")),
            timed("user lock", 0.9, lambda c: c.value("SELECT GET_LOCK('mine', 1)")),
            timed("statement", 0.9, lambda c: c.value("SET STATEMENT max_statement_time = 1 FOR SELECT BENCHMARK(100000000000, MD5('x'))")),
            timed("sleep", 0.4, lambda c: c.value("SELECT SLEEP(0.5)")),
            timed("idle", 0.9, idle))
        await a.query("ROLLBACK")
        await a.close()
        return facts

    async def deadlock(self):
        """One of two is told, the other goes on."""
        a, b = await self.sql("bank"), await self.sql("bank")
        for i in range(20):
            for c, row in ((a, 1), (b, 2)):
                await c.query("BEGIN")
                await c.query(f"UPDATE account SET n = n + 1 WHERE id = {row}")
            got = await asyncio.gather(self.outcome(a.query("UPDATE account SET n = n - 1 WHERE id = 2")),
                                       self.outcome(b.query("UPDATE account SET n = n - 1 WHERE id = 1")))
            check(sorted(map(str, got)) == ["1213", "[]"], f"deadlock {i}: {got}")
            for c in (a, b):
                await c.query("ROLLBACK")
        await a.close()
        await b.close()

    # -- loads -------------------------------------------------------------------------------------------------------------
    def sysbench(self, test, connections, *more):
        return ("sysbench", test, "--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={self.port}",
                "--mysql-user=root", "--mysql-db=sb", "--tables=2", "--table-size=10000", f"--threads={connections}", *more)

    async def prepare(self):
        c = await self.sql()
        await c.query("CREATE DATABASE IF NOT EXISTS sb")
        await c.query("USE sb")
        if not await c.query("SHOW TABLES"):
            await self.client(*self.sysbench("oltp_read_write", 1, "prepare"))
        await c.close()

    async def load(self, connections, seconds):
        await self.prepare()
        for _ in range(5):  # a client that a busy machine keeps from connecting for 30 s gives up
            text = await self.client(*self.sysbench("oltp_read_write", connections, f"--time={seconds}", "run"), status=None)
            if "failed to initialize within" not in text:
                break
        check(figure(r"transactions:\s*(\d+)", text) > 0 and "FATAL" not in text, f"sysbench: {text}")

    async def slap(self, connections):
        text = await self.client("mysqlslap", "--no-defaults", "-h127.0.0.1", f"-P{self.port}", "-uroot", "--auto-generate-sql",
                                 "--auto-generate-sql-load-type=mixed", f"--concurrency={connections}",
                                 f"--number-of-queries={connections * 20}", "--auto-generate-sql-add-autoincrement")
        check(f"Number of clients running queries: {connections}" in text, f"mysqlslap: {text}")

    async def suite(self):
        """Verdicts of the server's own tests; the library goes to the server only."""
        var = self.dir / "suite"
        env = [f"--mysqld-env=LD_PRELOAD={self.lib}", f"--mysqld-env=GMP_PROCS={self.procs}"] if self.procs else []
        text = await self.client("setpriv", f"--reuid={self.user}", "--clear-groups", "env", "MTR_BUILD_THREAD=auto",
                                 f"HOME={self.dir}", "sh", "-c", f'cd {SUITE} && exec perl mysql-test-run.pl "$@"', "mtr",
                                 f"--vardir={var}", "--force", "--max-test-fail=0", "--retry=0", "--testcase-timeout=5",
                                 "--suite-timeout=20", *env, *self.tests, status=None, seconds=1500)
        found = dict(re.findall(r"^(?:main\.)(\S+)(?: '\S+')?\s+\[ (\w+)", text, re.M))
        check(len(found) > len(self.tests) // 2, f"the suite did not run: {text[-1500:]}")
        failed = [name for name, verdict in found.items() if verdict == "fail"]
        if failed:
            (self.dir / "stdout.suite").write_text(text)
        return found

    # -- the steps -----------------------------------------------------------------------------------------------------------
    async def work(self):
        await self.bank(64, self.transfer)
        facts = {"kill": await self.kills(), "time-outs": await self.timeouts()}
        await self.deadlock()
        await self.load(64, self.drive)
        await self.slap(64)
        if self.full:
            for connections in (512, 2000):
                await self.load(connections, 15)
                await self.slap(connections)
            await self.bank(512, 15)
            facts["suite"] = await self.suite()
        return facts

    async def again(self):
        """SIGKILL under load, then the same data."""
        await self.setup()
        acknowledged = [0] * 64
        jobs = [asyncio.ensure_future(self.outcome(self.transfers(i, None, acknowledged, random.Random(-i)))) for i in range(64)]
        await asyncio.sleep(self.crash)
        end = time.monotonic() + 60  # on a machine with other work the first takes longer
        while sum(acknowledged) == 0 and time.monotonic() < end:
            await asyncio.sleep(0.1)
        self.kill()
        got = set(map(str, await asyncio.gather(*jobs)))
        check(got == {"gone"}, f"connections ended with {got}")
        check(sum(acknowledged) > 0, "nothing was done")
        await self.start()
        await self.audit(acknowledged, 1)
        return "recovered"

    async def leave_open(self):
        """The stop comes under load: whoever is connected is sent away."""
        self.acknowledged = [0] * 64
        await self.setup()
        self.jobs = [asyncio.ensure_future(self.outcome(self.transfers(i, None, self.acknowledged, random.Random(i))))
                     for i in range(64)]
        await asyncio.sleep(0.5)
        idle = [await self.sql() for _ in range(50)]
        return [(c.reader, c.writer) for c in idle]

    async def rate(self):
        await self.prepare()
        text = await self.client(*self.sysbench("oltp_point_select", 64, "--time=5", "run"))
        return figure(r"transactions:.*\(([\d.]+) per sec", text)
