# SPDX-License-Identifier: MIT
"""MariaDB as in ../mariadb, every step of it, in less time and as whoever runs the tests: for CI."""

from programs import program


class Program(program("mariadb")):
    user = None
    row = False
    transfer, drive, crash = 1, 1, 0.7
