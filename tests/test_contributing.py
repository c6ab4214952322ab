"""The examples of CONTRIBUTING.md for schedules and domains work as they are written."""

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gan_core import schedules
from gan_core.discovery import import_all
from gan_core.schedules.base import parse
from gan_core.schedules.registry import KINDS
from point_gan.settings import POINTS
from seqgan_gp_cli.options import read_schedules

ROOT = Path(__file__).parents[1]


def additions(what):
    """The lines that the diff of a section adds, by file."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition(f"\n## Adding a {what}\n")[2].partition("\n## ")[0]
    diff = section.partition("```diff\n")[2].partition("```")[0]
    files = re.split(r"^--- .+\n\+\+\+ b/(.+)\n", diff, flags=re.MULTILINE)[1:]
    return {path: re.sub(r"^\+", "", lines, flags=re.M) for path, lines in zip(files[::2], files[1::2], strict=True)}


def test_a_schedule_is_one_function_and_a_row_of_values(tmp_path, monkeypatch):
    (module, content), (test, row) = additions("schedule").items()
    assert Path(module).parent == Path("gan_core/schedules") and not (ROOT / module).exists() and (ROOT / test).exists()
    (tmp_path / Path(module).name).write_text(content)
    monkeypatch.setattr(schedules, "__path__", [*schedules.__path__, str(tmp_path)])
    before = dict(KINDS)
    try:
        import_all(schedules)
        ((text, values),) = ast.literal_eval("{" + row + "}").items()
        assert KINDS.keys() - before.keys() == {text.partition(":")[0]}
        schedule = parse(text)
        assert {step: schedule(step) for step in values} == values
        assert read_schedules(POINTS, [f"gp-weight={text}"])["gp.weight"] == schedule
    finally:
        KINDS.clear()
        KINDS.update(before)
        sys.modules.pop(f"gan_core.schedules.{Path(module).stem}", None)
        importlib.invalidate_caches()


SETTINGS = """
from dataclasses import dataclass

from gan_core.parts.fields import option
from gan_core.recipes.plan import Kind, Preset
from gan_core.recipes.settings import Settings


@dataclass(frozen=True, kw_only=True)
class WaveSettings(Settings):
    data: str = option("sines", "waves to train on", metavar="DATA", section="data")


WAVES = Kind("waves", "waves", WaveSettings, {"small": Preset("tiny", dict(steps=2))}, recipe="wgan-gp", preset="small")
"""
DOMAIN = """
from gan_core.domain import Domain
from tests.toy import ToyDomain


def open_domain(settings):
    toy = ToyDomain(settings.z_dim)
    return Domain(name="waves", labels=toy.labels, networks=toy, samples=toy, data=toy, scores=toy)


def from_checkpoint(settings, folder):
    toy = ToyDomain(settings.z_dim)
    return Domain(name="waves", labels=toy.labels, networks=toy, samples=toy)


def report(evaluation):
    return f"the report is {evaluation}"


def score_files(samples, data):
    return {"samples": samples, "data": data}
"""
# Runs command lines in one process and prints, as JSON in the last line, exit codes, and whether help imported torch.
SCRIPT = """
import json, sys
from seqgan_gp_cli import run

codes = [run(args) for args in (["--help"], ["train-waves", "--help"])]
heavy = sorted({"torch", "numpy", "scipy"} & set(sys.modules))
for line in sys.argv[1:]:
    print(f"=== {line}")
    codes.append(run(line.split()))
print(json.dumps([codes, heavy]))
"""


@pytest.fixture
def planted(tmp_path):
    """A copy of the command line with the new file in it, beside a package of toy waves. Returns what runs commands."""
    ((path, content),) = additions("domain").items()
    assert not (ROOT / path).exists()
    shutil.copytree(ROOT / "seqgan_gp_cli", tmp_path / "seqgan_gp_cli", ignore=shutil.ignore_patterns("__pycache__"))
    files = {path: content, "wave_gan/__init__.py": "", "wave_gan/settings.py": SETTINGS, "wave_gan/domain.py": DOMAIN}
    (tmp_path / "wave_gan").mkdir()
    for name, text in (files | {"script.py": SCRIPT}).items():
        (tmp_path / name).write_text(text)

    def running(*lines):
        done = subprocess.run(
            [sys.executable, "script.py", *lines], capture_output=True, text=True, cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        *printed, told = done.stdout.splitlines()
        return "\n".join(printed), *json.loads(told), done.stderr

    return running


def test_a_domain_is_one_file_of_the_command_line(planted):
    train = "train-waves --batch-size 8 --threads 1"
    run = "runs/00000-waves-wgan-gp"
    out, codes, heavy, err = planted(
        f"{train} --dry-run", train, f"evaluate {run} --json", f"inspect {run}", f"evaluate {run} --num 9",
        "evaluate a.wav --data b --json", "evaluate a.wav",
    )  # fmt: skip
    assert (codes, heavy) == ([0, 0, 0, 0, 0, 0, 2, 0, 2], []), err
    helps, dry, trained, evaluated, inspected, _, scored, _ = re.split(r"^=== .*\n?", out, flags=re.MULTILINE)
    assert re.findall(r"^  (train-\S+)", helps, re.MULTILINE) == [
        "train-text", "train-image", "train-points", "train-waves",
    ]  # fmt: skip
    assert "Train a generator of sound waves." in helps
    assert "a folder of .wav files" in helps and "data:        a circle" in dry and "trained to step 2 of 2" in trained
    assert json.loads(evaluated)["radius"] > 0 and "waves, recipe wgan-gp" in inspected
    assert json.loads(scored) == {"samples": "a.wav", "data": "b"}
    assert "--num is not for a run of waves" in err and "--data is missing: name the real waves" in err
