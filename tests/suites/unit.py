# SPDX-License-Identifier: MIT
"""What a suite hands to the runner: something to build, a command, and how to read its verdicts."""


class Unit:
    timeout = 60
    procs = (None,)  # None: as many as there are CPUs

    def __init__(self, name, quick=False):
        self.name, self.quick = name, quick

    def prepare(self):
        """Builds what is missing. None, or why it cannot be run."""

    def command(self, directory):
        raise NotImplementedError

    def verdicts(self, run):
        """Test -> ok, skip, or what is wrong with it; here the exit status of one test."""
        return {self.name: "ok" if run.status == 0 else run.end()}
