"""Finds what registers itself: an addition is one new file in the folder of its kind, and no table elsewhere."""

import importlib
import pkgutil
from types import ModuleType


def import_all(package: ModuleType) -> None:
    """Import every module of a package, so that what is defined there registers itself."""
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
