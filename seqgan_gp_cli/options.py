"""Command-line options, made from the fields of settings and parts, and the --config file."""

import dataclasses
import math
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from gan_core.errors import UsageError
from gan_core.parts.fields import parse, parse_schedule
from gan_core.recipes.plan import Kind, fields_of, renamed
from gan_core.schedules.base import Schedule
from gan_core.storage.inputs import read_limited
from gan_core.text import nearest
from seqgan_gp_cli.flags import flag, key_of
from seqgan_gp_cli.help import FieldOption

NEWEST = "<newest>"  # the value of --resume without a value
EXAMPLE = "gp-weight=cosine:10:1:5000"
CONFIG_LIMIT = 1 << 20  # bytes of a --config file


class FieldType(click.ParamType):
    """The Click type of an option that is a field."""

    def __init__(self, key: str, option: dataclasses.Field) -> None:
        self.key, self.option = key, option
        self.name = option.metadata["metavar"] or ("N" if option.type is int else "X")

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The placeholder of the value in the help: the choices, or the unit."""
        choices = self.option.metadata["choices"]
        return f"[{'|'.join(choices)}]" if choices else self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse a value; an invalid one fails with the field's message."""
        return parse(self.key, self.option, value)


def variable(key: str) -> str:
    """The name of the parameter by which Click passes an option."""
    return key.replace(".", "__").replace("-", "_")


def click_options(kind: Kind) -> list[FieldOption]:
    """The options of a domain's training command that are fields. Options that are not given are None."""
    options = []
    for key, option in fields_of(kind).items():
        names = [flag(key) + (f"/{flag('no-' + key)}" if option.type is bool else ""), variable(key)]
        kind_of = {"is_flag": True} if option.type is bool else {"type": FieldType(key, option)}
        about: dict[str, Any] = dict(default=None, help=option.metadata["help"], default_value=option.default)
        section = "parts" if "." in key else option.metadata["section"]
        options.append(FieldOption(key, section, names, **about, **kind_of))
    return options


def read_file(kind: Kind, path: Path) -> dict[str, Any]:
    """Read the options in a --config file: TOML, with the command line's option names as keys, without leading dashes.

    Options of a part may be in a table, such as `[gp]` with `weight = 10`, and schedules in the table `[schedule]`, for
    example `gp-weight = "cosine:10:1:5000"`. `recipe`, `preset`, `add` and `without` are allowed too.

    Raises:
        UsageError: the file is unreadable, or has a key that is not an option.
    """
    try:
        table = tomllib.loads(read_limited(path, CONFIG_LIMIT).decode())
    except OSError as error:
        raise UsageError(f"--config {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from error
    known = {flag(key)[2:]: key for key in fields_of(kind)}
    flat: dict[str, Any] = {}
    given: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name == "schedule" and isinstance(value, dict):
            given |= read_schedules(kind, [f"{option}={text}" for option, text in value.items()])
            continue
        flat |= (
            {f"{name}-{k.replace('_', '-')}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        )
    for name, value in flat.items():
        if name in ("recipe", "preset"):
            given[name] = str(value)
        elif name in ("add", "without"):
            given[name] = [str(part) for part in (value if isinstance(value, list) else [value])]
        elif name in known:
            given[known[name]] = parse(known[name], fields_of(kind)[known[name]], value)
        else:
            if now := renamed(key_of(name)):
                raise UsageError(f"--config {path}: {now}")
            near = nearest(name, [*known, "recipe", "preset", "add", "without"])
            remedy = f"did you mean {near}?" if near else "see its --help"
            raise UsageError(f"--config {path} has {name!r}, which is no option of train-{kind.name}: {remedy}")
    return given


def read_schedules(kind: Kind, texts: Iterable[str]) -> dict[str, Schedule]:
    """Parse texts such as `gp-weight=cosine:10:1:5000` to schedules, by option.

    Raises:
        UsageError: a text does not have that form, or its option does not exist or does not accept a schedule.
    """
    options = fields_of(kind)
    known = {flag(key)[2:]: key for key in options}
    found: dict[str, Schedule] = {}
    for text in texts:
        name, equals, schedule = text.partition("=")
        name = name.strip().removeprefix("--").replace("_", "-")
        if not equals:
            raise UsageError(f"--schedule {text} is not of the form OPTION=KIND:FROM:TO:STEPS, such as {EXAMPLE}")
        if name not in known:
            near = nearest(name, [key for key, option in known.items() if options[option].metadata["varies"]])
            hint = f"; did you mean --{near}?" if near else ""
            raise UsageError(f"--schedule {text}: there is no option --{name}{hint}")
        if known[name] in found:
            raise UsageError(f"--schedule {name} is given twice: join the schedules with a comma")
        found[known[name]] = parse_schedule(known[name], options[known[name]], schedule)
    return found


def seconds(text: str) -> float:
    """The seconds of a --max-time such as 90s, 5m or 1h30m; infinity for "".

    Raises:
        UsageError: the text is not a time.
    """
    if not text:
        return math.inf
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
    total = sum(float(number) * units[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)([dhms]?)", text))
    if not re.fullmatch(r"(\d+(\.\d+)?[dhms])+|\d+(\.\d+)?", text) or not 0 < total < math.inf:
        raise UsageError(f"--max-time {text!r} is no time: give one such as 90s, 5m or 1h30m")
    return total
