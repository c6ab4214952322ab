"""What holds for every registered part and recipe."""

import re
import subprocess
import sys
import textwrap

import pytest

import gan_core.recipes.build  # noqa: F401  (it registers the shipped parts)
from gan_core.parts.base import REGISTRY, Conditioning, Constraint, Loss, Penalty
from gan_core.parts.fields import options_of
from gan_core.recipes.plan import fields_of
from gan_core.recipes.published import RECIPES
from seqgan_gp.settings import TEXT
from seqgan_gp_cli.flags import flag

SHIPPED = {name: part for name, part in REGISTRY.items() if part.__module__.startswith("gan_core.")}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_part_explains_itself(name):
    part = SHIPPED[name]
    assert issubclass(part, Loss | Penalty | Constraint | Conditioning)
    doc = part.__doc__
    assert re.search(r"arXiv \d{4}\.\d{4,5}", doc), "no source"
    assert re.search(r"\bE\b|W|clip|\|\||D\(x, y\)", doc), "no formula"
    for option in options_of(part):
        assert option.metadata["help"] and not option.metadata["help"].endswith(".")


def test_names_and_flags_are_clean_and_do_not_collide():
    flags = [flag(key) for key in fields_of(TEXT)]
    assert len(flags) == len(set(flags))
    assert all(re.fullmatch(r"--[a-z0-9]+(-[a-z0-9]+)*", f) for f in flags)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_sums_of_parts_and_known_numbers(name):
    recipe = RECIPES[name]
    assert set(recipe.parts) <= set(REGISTRY)
    known = fields_of(TEXT)
    assert set(recipe.numbers) <= set(known)
    assert all("." not in key or key.partition(".")[0] in recipe.parts for key in recipe.numbers)


def test_two_parts_cannot_share_a_name():
    with pytest.raises(ValueError, match="two parts"):
        type(Loss)("Again", (Loss,), {}, name="hinge")


def test_a_loss_from_outside_trains_through_its_own_options(tmp_path):
    """Adding a loss is one class in one file: it brings its options, its help and its training with it."""
    (tmp_path / "outside.py").write_text(
        textwrap.dedent('''
            """A loss of our own, and the command line with it in."""
            import torch
            from gan_core.parts.base import Loss, option


            class Exponential(Loss, name="exponential"):
                """critic: E exp(-rate D(x)) + E exp(rate D(G));  generator: E exp(-rate D(G)). arXiv 0000.00000"""

                rate: float = option(1.0, "steepness", above=0.0)

                def critic(self, real, fake):
                    return torch.exp(-self.rate * real.score).mean() + torch.exp(self.rate * fake.score).mean()

                def generator(self, real, fake):
                    return torch.exp(-self.rate * fake.score).mean()


            from seqgan_gp_cli import main

            main()
        ''')
    )
    (tmp_path / "lines.txt").write_text("".join(f"line number {i}\n" for i in range(40)))

    def call(*args):
        command = [sys.executable, str(tmp_path / "outside.py"), *args]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    assert "--exponential-rate" not in call("train-text", "--help").stdout
    for args in (("--add", "exponential", "--help"), ("--help-all",)):
        assert "--exponential-rate X exponential: steepness [1.0]" in " ".join(call("train-text", *args).stdout.split())
    base = ["train-text", "--data", "lines.txt", "--steps", "2", "--width", "8", "--depth", "1"]
    base += ["--recipe", "gan", "--log-every", "1"]
    done = call(*base, "--without", "nonsaturating", "--add", "exponential", "--exponential-rate", "0.5")
    assert done.returncode == 0, done.stderr
    assert '"exponential.rate": 0.5' in (tmp_path / "runs/00000-text-gan/config.json").read_text()
    assert "critic/exponential" in (tmp_path / "runs/00000-text-gan/metrics.jsonl").read_text()
    wrong = call(*base, "--without", "nonsaturating", "--add", "exponential", "--exponential-rate", "-1")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "--exponential-rate" in wrong.stderr
