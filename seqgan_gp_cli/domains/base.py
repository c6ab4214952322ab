"""What the command line knows of a domain, and the registry of domains."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.recipes.plan import Kind

if TYPE_CHECKING:
    from gan_core.domain import Domain

Report = dict[str, Any]  # an evaluation, as `evaluate --json` prints it


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A domain of the command line.

    kind: its name, options and presets. summary: a sentence for the list of commands. examples: of its training
    command, (what it does, command line without the program's name). module: the full name of the module that defines
    `open_domain(settings)`, `from_checkpoint(settings, folder)` and `report(evaluation)`; it is imported when one of
    these is called, because it imports torch and help must not.

    score_run(loaded, request): the report of a run, a `seqgan_gp_cli.load.Loaded`.
    samples(target): whether a path is a file or folder of this domain's samples.
    score_samples(target, request): the report of such a path, and the function that formats it for people.
    In these, `request` is a `seqgan_gp_cli.evaluate.Request`.

    listed: position in the list of commands, ascending; domains of equal position are sorted by name.
    asked: position in which `samples` is called, ascending; a domain whose `samples` accepts what others accept too has
    a higher number.
    """

    kind: Kind
    summary: str
    examples: tuple[tuple[str, str], ...]
    module: str
    score_run: Callable[[Any, Any], Report]
    samples: Callable[[Path], bool]
    score_samples: Callable[[Path, Any], tuple[Report, Callable[[Report], str]]]
    listed: int = 100
    asked: int = 50

    def open(self, settings: Any) -> "Domain":
        """The domain with its data."""
        return importlib.import_module(self.module).open_domain(settings)

    def from_checkpoint(self, settings: Any, folder: Path) -> "Domain":
        """The domain without data, from the files in the folder of a checkpoint."""
        return importlib.import_module(self.module).from_checkpoint(settings, folder)

    def report(self, evaluation: Report) -> str:
        """An evaluation, formatted for people."""
        return importlib.import_module(self.module).report(evaluation)


DOMAINS: dict[str, Entry] = {}


def register(entry: Entry) -> None:
    """Add a domain to the command line.

    Raises:
        ValueError: another domain has its name.
    """
    if entry.kind.name in DOMAINS:
        raise ValueError(f"two domains are called {entry.kind.name!r}")
    DOMAINS[entry.kind.name] = entry


def in_list() -> list[Entry]:
    """The domains in the order of the list of commands."""
    return sorted(DOMAINS.values(), key=lambda entry: (entry.listed, entry.kind.name))


def in_turn() -> list[Entry]:
    """The domains in the order in which they are asked whether a path is of their samples."""
    return sorted(DOMAINS.values(), key=lambda entry: (entry.asked, entry.kind.name))
