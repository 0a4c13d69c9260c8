# SPDX-License-Identifier: MIT
"""dropbear: a process per connection, which does not exec itself: the library's state goes over fork only. The user that
logs in is in a passwd file which only it sees.
"""

import subprocess

from programs import program


class Program(program("sshd")):
    model = "no threads: processes"
    binary = "dropbear"
    reload_signal = None
    held = 5                        # it has no more that are not logged in yet
    settle = 1
    login = "gmp"
    greeting = b"SSH-2.0-dropbear"
    expected = (r"Exit before auth", r"Exited normally", r"Failed listening")
    START = 'mount --bind "$1/passwd" /etc/passwd && exec dropbear -F -E -R -p "127.0.0.1:$2" -P "$1/pid" -r "$1/dropbear_key"'

    def missing(self):
        alone = subprocess.run(["unshare", "-m", "mount", "--bind", "/etc/passwd", "/etc/passwd"], check=False, capture_output=True)
        return super().missing() or (alone.returncode != 0 and "permission to mount")

    def version(self):
        return self.output("dropbear", "-V").split()[1].lstrip("v")

    async def configure(self):
        self.output("dropbearkey", "-t", "ed25519", "-f", "dropbear_key")
        self.output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
        (self.dir / ".ssh").mkdir(mode=0o700)
        (self.dir / ".ssh/authorized_keys").write_bytes((self.dir / "key.pub").read_bytes())
        (self.dir / ".ssh/authorized_keys").chmod(0o600)
        (self.dir / "passwd").write_text(f"root:x:0:0:root:/root:/bin/sh\n{self.login}:*:0:0::{self.dir}:/bin/sh\n")

    async def leave_open(self):
        """Few: it looks whether it was told to end before it waits for the next one, and may miss it."""
        return [await self.banner() for _ in range(3)]

    def command(self):
        return "unshare", "-m", "sh", "-c", self.START, "sh", self.dir, self.port
