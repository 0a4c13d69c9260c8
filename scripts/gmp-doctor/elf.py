# SPDX-License-Identifier: MIT
"""What an ELF file says of itself: enough to tell who could run with libgmp.so."""

import struct

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
SHT_SYMTAB, SHT_DYNSYM = 2, 11
DT_NULL, DT_NEEDED, DT_STRTAB, DT_SONAME = 0, 1, 5, 14
ET_EXEC, ET_DYN = 2, 3
EM = {3: "i386", 40: "arm", 62: "x86-64", 183: "aarch64", 243: "riscv"}
STT_FUNC, STT_NOTYPE, STT_GNU_IFUNC = 2, 0, 10


class NotElf(Exception):
    pass


class Elf:
    """interp, needed, imports and exports of functions; the rest as flags."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        if self.data[:4] != b"\x7fELF":
            raise NotElf(path)
        self.path = str(path)
        self.bits = {1: 32, 2: 64}.get(self.data[4], 0)
        self.interp = None
        self.needed = []
        self.soname = None
        self.imports, self.exports = set(), set()
        self.sections = {}
        self.machine = EM.get(struct.unpack_from("<H", self.data, 18)[0], "another CPU")
        if self.bits != 64 or self.machine != "x86-64":
            self.type, self.dynamic = None, False
            return
        (self.type, _, _, _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx) = \
            struct.unpack_from("<HHIQQQIHHHHHH", self.data, 16)
        self.segments = [struct.unpack_from("<IIQQQQQQ", self.data, phoff + i * phentsize) for i in range(phnum)]
        self.dynamic = any(s[0] == PT_DYNAMIC for s in self.segments)
        for kind, _, offset, _, _, size, _, _ in self.segments:
            if kind == PT_INTERP:
                self.interp = self.data[offset:offset + size].split(b"\0")[0].decode(errors="replace")
        self.read_dynamic()
        try:
            self.read_sections(shoff, shentsize, shnum, shstrndx)
        except struct.error:
            pass  # stripped of them: imports stay unknown

    def offset(self, vaddr):
        for kind, _, offset, start, _, size, _, _ in self.segments:
            if kind == PT_LOAD and start <= vaddr < start + size:
                return vaddr - start + offset
        return None

    def string(self, at):
        return self.data[at:self.data.index(b"\0", at)].decode(errors="replace")

    def read_dynamic(self):
        entries = []
        for kind, _, offset, _, _, size, _, _ in self.segments:
            if kind == PT_DYNAMIC:
                for at in range(offset, offset + size, 16):
                    tag, value = struct.unpack_from("<qQ", self.data, at)
                    if tag == DT_NULL:
                        break
                    entries.append((tag, value))
        strtab = next((self.offset(v) for t, v in entries if t == DT_STRTAB), None)
        if strtab is None:
            return
        self.needed = [self.string(strtab + v) for t, v in entries if t == DT_NEEDED]
        self.soname = next((self.string(strtab + v) for t, v in entries if t == DT_SONAME), None)

    def read_sections(self, shoff, shentsize, shnum, shstrndx):
        headers = [struct.unpack_from("<IIQQQQIIQQ", self.data, shoff + i * shentsize) for i in range(shnum)]
        names = headers[shstrndx][4] if shstrndx < shnum else 0
        for h in headers:
            self.sections[self.string(names + h[0])] = h
            if h[1] != SHT_DYNSYM or h[6] >= shnum:
                continue
            strings = headers[h[6]][4]
            for at in range(h[4], h[4] + h[5], 24):
                name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", self.data, at)
                if not name or info & 15 not in (STT_FUNC, STT_NOTYPE, STT_GNU_IFUNC):
                    continue
                (self.exports if section else self.imports).add(self.string(strings + name))

    def is_go(self):
        return ".go.buildinfo" in self.sections or ".note.go.buildid" in self.sections or ".gopclntab" in self.sections
