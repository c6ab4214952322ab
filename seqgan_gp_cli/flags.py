"""Conversion between the names of fields, which the core uses, and command-line flags."""

import re
from collections.abc import Callable
from typing import Any

FIELD = re.compile(r"`([a-z0-9_.]+)`")  # an option in a help text


def flag(key: str, value: Any = None) -> str:
    """The flag of a setting or of a `part.field`: `gp.weight` is --gp-weight, and with the value 5 --gp-weight 5."""
    name = "--" + key.replace(".", "-").replace("_", "-")
    return name if value is None else f"{name} {value}"


def key_of(name: str) -> str:
    """The setting of a flag or of a key of a --config file: --d-lr and d-lr are both d_lr."""
    return name.lstrip("-").replace("-", "_")


def with_flags(help: str, is_option: Callable[[str], bool]) -> str:
    """Replace every option in backticks by its flag in a help text."""
    return FIELD.sub(lambda found: flag(found[1]) if is_option(found[1]) else found[0], help)
