# SPDX-License-Identifier: MIT
"""MariaDB with a pool of threads: those of a group wait in one epoll, one listens for the others, a timer thread sees who
is stuck and has more made.
"""

from programs import program


class Program(program("mariadb")):
    model = "pool, a group of threads per CPU"
    handling = "pool-of-threads"
    tests = "connect kill kill_query-6728 lock_multi deadlock_innodb wait_timeout pool_of_threads thread_pool_info".split()
