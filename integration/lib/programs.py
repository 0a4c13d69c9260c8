# SPDX-License-Identifier: MIT
"""The folders of programs, and their classes."""

import functools
import importlib.util
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent.parent


@functools.cache
def program(name):
    """class Program of integration/NAME/program.py; one that differs little from another derives from it."""
    spec = importlib.util.spec_from_file_location("program_" + name.replace("-", "_"), FOLDER / name / "program.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Program


def all_programs(first):
    """All names, these first."""
    names = sorted(p.parent.name for p in FOLDER.glob("*/program.py"))
    return [n for n in first if n in names] + [n for n in names if n not in first]
