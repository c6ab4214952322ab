"""The command line: the Click group, and the conversion of errors to messages and exit codes.

Commands are imported when they are called, and torch when a command runs: importing it takes seconds.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gan_core.errors import GanError, UsageError, naming_options
from gan_core.recipes.plan import RENAMED
from gan_core.runtime.progress import bars_by
from gan_core.storage.sealed import FULL
from gan_core.text import nearest, plain
from seqgan_gp_cli.domains import DOMAINS, in_list
from seqgan_gp_cli.flags import flag, key_of
from seqgan_gp_cli.help import write_examples

TRAIN = "train-"  # before the name of a domain: the command that trains it
COMMANDS = {
    **{f"{TRAIN}{entry.kind.name}": ("commands", entry.summary) for entry in in_list()},
    "sample": ("sample", "Draw samples from a run."),
    "evaluate": ("evaluate", "Score a run, or a file of samples."),
    "recipes": ("show", "List the published recipes and their parts, or explain one."),
    "inspect": ("show", "Show a run: its options, scores and newest checkpoint."),
    "doctor": ("show", "Show versions, devices and free disk space."),
}
EXAMPLES = (
    ("train on the built-in sentences for under five minutes", "train-text"),
    ("draw a thousand samples of a run", "sample runs/00000-text-wgan-gp --num 1000 --out samples.txt"),
    ("the options of a command", "train-image --help"),
)
DEBUG = "SEQGAN_GP_DEBUG"
LONGEST = 1000  # characters; the longest message, because messages may quote data


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"seqgan_gp_cli.{COMMANDS[cmd_name][0]}")
        if cmd_name.startswith(TRAIN):
            return module.train_command(DOMAINS[cmd_name.removeprefix(TRAIN)])
        return getattr(module, cmd_name.replace("-", "_"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = nearest(args[0], COMMANDS)
            remedy = f"did you mean {near}?" if near else f"choose from {', '.join(COMMANDS)}"
            raise UsageError(f"there is no command {args[0]!r}: {remedy}")
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(ctx, formatter, EXAMPLES)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="seqgan-gp", prog_name="seqgan-gp")
def cli() -> None:
    """Train, sample and score generative adversarial networks on text, images and points.

    Begin with `train-text`, `train-image` or `train-points`, which need no option. Exit codes: 0 done, 1 failure, 2
    wrong usage, 3 unusable data, 4 no usable checkpoint or one that does not match, 5 training diverged, 130 and 143
    saved after a signal.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code. Errors are one sentence on stderr."""
    sys.exit(run(args))


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    with naming_options(flag), bars_by(tqdm_bar):
        return code_of(args)


def tqdm_bar(**about: Any) -> Any:
    """A tqdm progress bar; tqdm is imported when the first bar is shown."""
    from tqdm import tqdm

    return tqdm(**about)


def program() -> str:
    """The command by which the user called the program."""
    return "seqgan-gp" if Path(sys.argv[0]).name == "seqgan-gp" else "python cli.py"


def code_of(args: Sequence[str] | None) -> int:
    """Run the command line and return its exit code; every error becomes one sentence."""
    try:
        return cli.main(args, prog_name=program(), standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        return 2
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.NoSuchOption as error:
        return complain(of_option(error), error.exit_code)
    except click.ClickException as error:
        return complain(error.format_message(), error.exit_code)
    except GanError as error:
        return complain(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return complain("interrupted", 130)
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed the pipe
        drop_output()
        return 0
    except MemoryError:
        return complain("there is not enough memory: lower --batch-size or --width", 1)
    except OSError as error:
        return complain(of_system(error), 1)
    except Exception as error:
        return complain(f"unexpected {type(error).__name__}: {error}; run again with {DEBUG}=1 for details", 1)


def of_option(error: click.NoSuchOption) -> str:
    """The message for an unknown option, with its new name if it has been renamed, else the nearest option."""
    name, ctx = error.option_name, error.ctx
    names = [each for param in ctx.command.get_params(ctx) for each in param.opts + param.secondary_opts] if ctx else []
    if (new := RENAMED.get(key_of(name))) and flag(new) in names:
        return f"{name} is called {flag(new)} now"
    near = nearest(name, names)
    remedy = f"did you mean {near}?" if near else f"see {ctx.command_path if ctx else program()} --help"
    return f"there is no option {name}: {remedy}"


def of_system(error: OSError) -> str:
    """The message for an OSError: the file, the problem and the remedy, in one sentence."""
    full = error.errno in FULL
    if full and error.filename is None:  # our own files are named where they are written
        return f"standard output cannot be written ({error.strerror}): free some space there"
    remedy = "free some space" if full else "check the path, its permissions and the free space"
    return f"{error.filename or 'a file'}: {error.strerror or error}; {remedy}"


def drop_output() -> None:
    """Discard unwritten output: Python would try to flush it at exit and fail with exit code 120."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str, code: int) -> int:
    """Print an error as one line, without control characters, and return its code."""
    if os.environ.get(DEBUG) and sys.exc_info()[0]:
        traceback.print_exc()
    line = plain(" ".join(message.split()))
    click.echo("Error: " + (line if len(line) <= LONGEST else f"{line[:LONGEST]}..."), err=True)
    drop_output()
    return code
