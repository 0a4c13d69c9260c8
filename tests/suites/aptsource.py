# SPDX-License-Identifier: MIT
"""The source of a Debian package, fetched by apt from the archive that this machine installs from.

Machines mostly list binary packages only. So a list of sources is made from apt's own and kept apart from it, in the
folder which gets the source; nothing outside of that is changed.
"""

import pathlib
import shutil
import subprocess


def missing():
    for tool in ("apt-get", "dpkg-source"):
        if shutil.which(tool) is None:
            return f"no {tool}"
    return None


def run(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")


def fetch(package, folder):
    """Unpacks the package's source as folder/source, once. None, or why it cannot be had."""
    source = folder / "source"
    if source.exists():
        return None
    apt = folder / "apt"
    (apt / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    listed = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages").stdout
    archives = sorted(set(line for line in listed.splitlines() if len(line.split()) == 3))
    (apt / "sources.list").write_text("".join(f"deb-src {line}\n" for line in archives))
    options = ["-q", "-o", f"Dir::Etc::SourceList={apt}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
               "-o", f"Dir::State::Lists={apt}/lists", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
               "-o", "APT::Sandbox::User=root"]
    run("apt-get", *options, "update")
    done = run("apt-get", *options, "source", "--download-only", package, cwd=apt)
    found = sorted(apt.glob("*.dsc"))
    if done.returncode != 0 or not found:
        last = done.stdout.strip().splitlines()
        return f"apt-get source {package}: {last[-1] if last else 'no message'}"
    done = run("dpkg-source", "--extract", str(found[-1]), str(folder / "unpacked"))
    if done.returncode != 0:
        return f"dpkg-source {package}: {done.stdout.strip()[-200:]}"
    pathlib.Path(folder / "unpacked").rename(source)
    return None
