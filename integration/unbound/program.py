# SPDX-License-Identifier: MIT
"""unbound with four threads, an event loop each: names of its own, and names that it asks another server for (in this
process) and then keeps. Over TCP that stays open and over UDP. SIGHUP: read anew, threads and all.
"""

import asyncio
import signal
import struct

from clients import end, exactly, side_by_side
from daemon import Daemon, check

NAMES = 500


def question(number, name):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split("."))
    return struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def address(i):
    return bytes([10, i >> 16 & 255, i >> 8 & 255, i & 255])


def result(number, data):
    """(code, the address) of an answer to that question."""
    got, flags, _, answers = struct.unpack(">HHHH", data[:8])
    check(got == number, f"answer {got} to question {number}")
    return flags & 15, data[-4:] if answers == 1 else None


class Far(asyncio.DatagramProtocol):
    """The other server: nN.far.example has the address of N + 1000."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        size = data[12]
        name = data[13:13 + size].decode()
        head = data[:2] + struct.pack(">HHHHH", 0x8580, 1, 1, 0, 0)
        end_of_question = data.index(b"\0", 12) + 5
        self.transport.sendto(head + data[12:end_of_question] + struct.pack(">HHHIH", 0xc00c, 1, 1, 3600, 4) +
                              address(int(name[1:]) + 1000), addr)


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, addr):
        if not self.answer.done():
            self.answer.set_result(data)


class Program(Daemon):
    model = "4 event loops"
    binary = "unbound"
    busy = 12
    reload_signal = signal.SIGHUP

    def version(self):
        return self.output("/usr/sbin/unbound", "-V").split()[1]

    async def configure(self):
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Far, local_addr=("127.0.0.1", 0))
        self.far = transport.get_extra_info("sockname")[1]
        (self.dir / "names").write_text("".join(
            f'local-data: "n{i}.here.example. A {".".join(map(str, address(i)))}"\n' for i in range(NAMES)))
        self.template("unbound.conf")

    def command(self):
        return "/usr/sbin/unbound", "-d", "-c", self.dir / "unbound.conf"

    async def reload(self):
        self.signal(self.reload_signal)
        await asyncio.sleep(1)
        await self.until_listening()

    def right(self, i, where, found):
        code, got = found
        want = address(i + (1000 if where == "far" else 0))
        check(code == 0 and got == want, f"n{i}.{where}.example: code {code}, {got}, not {want}")

    async def tcp(self, c, i, where):
        data = question(i, f"n{i}.{where}.example")
        c[1].write(struct.pack(">H", len(data)) + data)
        size = struct.unpack(">H", await exactly(c[0], 2))[0]
        self.right(i, where, result(i, await exactly(c[0], size)))

    async def udp(self, i, where):
        transport, client = await asyncio.get_running_loop().create_datagram_endpoint(
            Client, remote_addr=("127.0.0.1", self.port))
        for _ in range(10):             # a datagram may be lost
            transport.sendto(question(i, f"n{i}.{where}.example"))
            try:
                self.right(i, where, result(i, await asyncio.wait_for(asyncio.shield(client.answer), 3)))
                break
            except asyncio.TimeoutError:
                pass
        else:
            check(False, f"n{i}.{where}.example: no answer by UDP")
        transport.close()

    async def hold(self):
        held = await side_by_side([self.connect() for _ in range(self.held)], 20)
        await side_by_side([self.tcp(c, i, "here") for i, c in enumerate(held)], 50)
        self.holding()
        await side_by_side([self.tcp(c, i, "far") for i, c in enumerate(held)], self.held)
        for c in held:
            await end(c[1])

    async def one(self, i):
        c = await self.connect()
        await self.tcp(c, i, "here")
        await self.tcp(c, i, "far")
        await end(c[1])
        await self.udp(i, "here")
        await self.udp(i, "far")

    async def work(self):
        await side_by_side([self.one(i) for i in range(NAMES)], 50)
        c = await self.connect()
        data = question(7, "nobody.here.example")
        c[1].write(struct.pack(">H", len(data)) + data)
        found = result(7, await exactly(c[0], struct.unpack(">H", await exactly(c[0], 2))[0]))
        await end(c[1])
        return {"not there": found[0]}
