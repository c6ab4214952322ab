"""Schedules: numbers as functions of the step. Each kind of schedule is one function."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):  # importing a file registers its kinds
    import_module(f"{__name__}.{_module.name}")
