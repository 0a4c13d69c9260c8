# SPDX-License-Identifier: MIT
"""A client of MariaDB's protocol on asyncio: log in without a password, send a query, get the rows. It is in this
process, so that thousands of connections cost nothing, and every answer can be looked at.
"""

import asyncio
import struct

from clients import end

CAPABILITIES = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x80000  # long password, with database, 4.1, transactions, auth by plugin


class Refused(Exception):
    """The server's error; .code is its number."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code


class Lost(Exception):
    """The connection was closed."""


def number(data, at):
    """A length-encoded number (None: NULL), and where it ends."""
    first = data[at]
    if first < 0xfb:
        return first, at + 1
    if first == 0xfb:
        return None, at + 1
    size = {0xfc: 2, 0xfd: 3, 0xfe: 8}[first]
    return int.from_bytes(data[at + 1:at + 1 + size], "little"), at + 1 + size


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.id = 0

    async def packet(self):
        try:
            head = await self.reader.readexactly(4)
            data = await self.reader.readexactly(int.from_bytes(head[:3], "little"))
        except (OSError, asyncio.IncompleteReadError) as e:
            raise Lost from e
        self.sequence = head[3] + 1
        if data[0] == 0xff:
            text = data[3:].decode(errors="replace")
            raise Refused(struct.unpack("<H", data[1:3])[0], text[6:] if text[:1] == "#" else text)
        return data

    async def send(self, data):
        try:
            self.writer.write(len(data).to_bytes(3, "little") + bytes([self.sequence & 0xff]) + data)
            await self.writer.drain()
        except OSError as e:
            raise Lost from e

    async def login(self, user, database):
        greeting = await self.packet()
        version = greeting.index(0, 1)
        self.id = struct.unpack("<I", greeting[version + 1:version + 5])[0]
        await self.send(struct.pack("<IIB23x", CAPABILITIES, 1 << 24, 45) + user.encode() + b"\0\0" +
                        database.encode() + b"\0mysql_native_password\0")
        if (await self.packet())[0] == 0xfe:  # another way to authenticate: nothing is the answer to that, too
            await self.send(b"")
            await self.packet()

    async def query(self, text):
        """The rows, as tuples of text or None."""
        self.sequence = 0
        await self.send(b"\x03" + text.encode())
        head = await self.packet()
        if head[0] == 0:
            return []
        columns, _ = number(head, 0)
        for _ in range(columns + 1):  # their descriptions, and the end of them
            await self.packet()
        rows = []
        while (data := await self.packet())[0] != 0xfe or len(data) > 8:
            row, at = [], 0
            for _ in range(columns):
                n, at = number(data, at)
                row.append(None if n is None else data[at:at + n].decode())
                at += n or 0
            rows.append(tuple(row))
        return rows

    async def value(self, text):
        return (await self.query(text))[0][0]

    async def close(self):
        try:
            self.sequence = 0
            await self.send(b"\x01")
        except Lost:
            pass
        await end(self.writer)


async def connect(port, user="root", database=""):
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 60)
    c = Connection(reader, writer)
    try:
        await asyncio.wait_for(c.login(user, database), 60)
    except BaseException:
        writer.close()
        raise
    return c
