"""Help texts: commands whose help ends with examples, and the sections of the training commands' help."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from gan_core.recipes.plan import Kind, Plan, settle
from seqgan_gp_cli.flags import with_flags

# What most users need, in the order of the help.
COMMON = (
    "data", "recipe", "preset", "steps", "max_time", "batch_size", "generator_lr", "critic_lr", "critic_steps", "seed",
    "outdir", "resume", "config", "dry_run",
)  # fmt: skip
SECTIONS = {
    "data": "Data", "networks": "Networks", "training": "Training", "written": "What is written", "speed": "Speed",
    "parts": "Parts",
}  # fmt: skip
CHOOSING = ("recipe", "preset", "add", "without")  # the options on which parts and defaults depend
GIVEN, ALL = "given", "all parts"  # keys of a context's meta


class Command(click.Command):
    """A command whose help ends with examples: pairs of a description and a command line without the program's name."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on a line of its own, so that it can be copied."""
        write_examples(ctx, formatter, self.examples)


def write_examples(ctx: click.Context, formatter: click.HelpFormatter, examples: Iterable[tuple[str, str]]) -> None:
    """Write the section of examples."""
    with formatter.section("Examples"):
        for what, line in examples:
            formatter.write(f"  # {what}\n  {ctx.find_root().info_name} {line}\n")


class FieldOption(click.Option):
    """An option of a run.

    key: its setting or `part.field`, or its name if it is neither. section: the section of the help that lists it.
    """

    def __init__(self, key: str, section: str, *args: Any, default_value: Any = None, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.key, self.section, self.default_value = key, section, default_value

    @property
    def part(self) -> str:
        """The part that the option belongs to, or ""."""
        return self.key.partition(".")[0] if "." in self.key else ""

    def record(self, ctx: click.Context, plan: Plan, is_option: Any) -> tuple[str, str]:
        """The option's entry in the help: its names, and its text with the value in a run of this plan."""
        names, _ = self.get_help_record(ctx) or ("", "")
        text = with_flags(f"{self.part}: {self.help}" if self.part else self.help or "", is_option)
        chosen = {**plan.numbers, "recipe": plan.recipe, "preset": plan.preset}
        default = shown(chosen.get(self.key, self.default_value))
        return names, f"{text}  [{default}]" if default else text


def shown(value: Any) -> str:
    """A default value as help shows it; "" if the option has none."""
    return (
        {True: "on", False: "off"}[value] if isinstance(value, bool) else "" if value is None else str(value) or "none"
    )


class TrainCommand(Command):
    """A training command. Its help lists the options of the parts in the run that the command line describes."""

    def __init__(self, kind: Kind, **attributes: Any) -> None:
        super().__init__(f"train-{kind.name}", **attributes)
        self.kind = kind
        self.params.append(
            click.Option(
                ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=print_all,
                help="Show this message with the options of all parts and exit.",
            )
        )  # fmt: skip

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse twice: first only the options that help depends on, at any position of the command line."""
        ctx.meta[GIVEN], _, _ = self.make_parser(ctx).parse_args(args=list(args))
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the common options, then the others by section."""
        given = {name: value for name in CHOOSING if (value := ctx.meta.get(GIVEN, {}).get(name))}
        plan = settle(self.kind, given)
        options = {param.key: param for param in self.get_params(ctx) if isinstance(param, FieldOption)}

        def records(chosen: Iterable[FieldOption]) -> list[tuple[str, str]]:
            return [option.record(ctx, plan, options.__contains__) for option in chosen]

        plain = [
            param for param in self.get_params(ctx) if param.name == "help_all" or param is self.get_help_option(ctx)
        ]
        with formatter.section("Options"):
            helps = [record for param in plain if (record := param.get_help_record(ctx))]
            formatter.write_dl([*records(options[key] for key in COMMON), *helps])
        in_play = {"", *plan.parts} | ({option.part for option in options.values()} if ctx.meta.get(ALL) else set())
        for section, title in SECTIONS.items():
            chosen = [
                option for key, option in options.items()
                if option.section == section and key not in COMMON and option.part in in_play
            ]  # fmt: skip
            if section == "parts":
                title += " (all)" if ctx.meta.get(ALL) else f" (of this run: {', '.join(plan.parts)})"
            with formatter.section(title):
                formatter.write_dl(records(chosen))


def print_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Print the help with the options of all parts, and exit."""
    if value:
        ctx.meta[ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()
