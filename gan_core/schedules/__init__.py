"""Schedules: numbers that change as a run goes on, as functions of the step. A kind of schedule is one function."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):  # each file's kinds register themselves
    import_module(f"{__name__}.{_module.name}")
