"""The help of each command, word for word, and its examples, each of which is run.

`python -m tests.test_help` writes the golden files anew; look at their diff before it is committed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqgan_gp_cli import COMMANDS
from tests.command import one_sentence

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden"
PROGRAM = "python cli.py"
HELPS = {
    "help": ["--help"],
    **{command: [command, "--help"] for command in COMMANDS},
    **{f"{command}-all": [command, "--help-all"] for command in COMMANDS if command.startswith("train-")},
    "train-text-began": ["train-text", "--recipe", "began", "--add", "r1", "--help"],
    "train-image-dcgan-paper": ["train-image", "--help", "--recipe", "dcgan", "--preset", "paper"],
}
TINY = ["--width", "8", "--steps", "2", "--batch-size", "8", "--threads", "1", "--max-time", "1m"]
HEAVY = {"torch", "numpy", "scipy", "datasets", "tqdm", "PIL", "sentencepiece", "safetensors", "matplotlib"}


def help_of(args):
    """What a process of its own prints."""
    environment = os.environ | {"COLUMNS": "100"}
    command = [sys.executable, "-X", "importtime", str(ROOT / "cli.py"), *args]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout, {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize("name", HELPS)
def test_help_is_as_it_was_reviewed_and_imports_nothing_heavy(name):
    text, imported = help_of(HELPS[name])
    assert text == golden(name), "python -m tests.test_help writes the golden files anew"
    assert "click" in imported and not imported & HEAVY


def test_there_is_no_golden_file_of_anything_else():
    assert {path.stem for path in GOLDEN.iterdir()} == set(HELPS)


def golden(name):
    """A golden file, "" before it is written."""
    path = GOLDEN / f"{name}.txt"
    return path.read_text() if path.exists() else ""


def sections(text):
    """The options of a help by section."""
    found = {}
    for line in text[text.index("Options:\n") :].splitlines():
        if title := re.fullmatch(r"(\w[^:]*( \(.*\))?):", line):
            found[title[1]] = []
        elif option := re.match(r"  (?:-\w, )?(--[\w-]+)", line):
            found[next(reversed(found))].append(option[1])
    return found


class TestSections:
    def test_every_option_stands_in_one_section_of_the_full_help(self, call):
        from gan_core.recipes.plan import fields_of
        from image_gan.settings import IMAGE
        from seqgan_gp_cli.flags import flag

        listed = [option for options in sections(call("train-image", "--help-all")[1]).values() for option in options]
        assert len(listed) == len(set(listed))
        assert {flag(key) for key in fields_of(IMAGE)} <= set(listed)

    def test_only_the_parts_in_play_have_options_in_the_short_help(self, call):
        def parts(*args):
            (found,) = (o for title, o in sections(call("train-text", *args)[1]).items() if title.startswith("Parts"))
            return [option for option in found if option not in ("--add", "--without")]

        assert parts("--help") == ["--gp-every", "--gp-weight"]
        assert parts("--help", "--recipe", "began") == ["--began-gamma", "--began-rate", "--began-norm"]
        assert parts("--recipe=gan", "-h") == []
        assert parts("--without", "gp", "--add", "clip", "--help") == ["--clip-on", "--clip-bound"]

    def test_defaults_are_those_of_the_run(self, call):
        def default(option, *args):
            text = " ".join(call("train-image", "--help", *args)[1].split())
            return re.search(rf"{option} .*?\[([^\[\]]*)\](?= --| [A-Z])", text)[1]

        assert default("--batch-size") == "64"
        assert default("--batch-size", "--preset", "paper", "--recipe", "dcgan") == "128"
        assert default("--noise") == "normal" and default("--noise", "--recipe", "began") == "uniform"
        assert default("--recipe", "--recipe", "began") == "began"

    def test_a_mistake_beside_help_is_a_sentence(self, call):
        code, _, err = call("train-text", "--help", "--recipe", "begann")
        assert code == 2 and one_sentence(err) == "Error: --recipe begann does not exist: did you mean began?"


def examples(text):
    """The command lines at the end of a help, without the program's name."""
    lines = text.partition("\nExamples:\n")[2].splitlines()
    return [line.strip().removeprefix(PROGRAM + " ") for line in lines if line.startswith(f"  {PROGRAM}")]


EXAMPLES = [line for name in ("help", *COMMANDS) for line in examples(golden(name))]


def test_every_command_has_examples():
    assert all(examples(golden(name)) for name in HELPS)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with what the examples name: lines, pictures, and a run of each domain."""
    from seqgan_gp_cli import run

    folder = tmp_path_factory.mktemp("examples")
    before = Path.cwd()
    os.chdir(folder)
    try:
        words = [f"the {a} {b} of the {c}" for a in "abcdefghij" for b in ("house", "name") for c in ("sea", "town")]
        Path("lines.txt").write_text("".join(f"{line}\n" for line in words * 20))
        drawn = np.random.default_rng(0)
        for number in range(120):
            path = Path(f"pictures/{'cat' if number % 2 else 'dog'}/{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(path)
        shutil.copytree("pictures", "samples")
        np.savetxt("points.csv", drawn.normal(size=(400, 2)), delimiter=",")
        Path("samples.txt").write_text("".join(f"{line}\n" for line in words))
        small = [*TINY, "--depth", "1", "--sample-every", "0"]
        assert run(["train-text", "--data", "lines.txt", *small]) == 0
        assert run(["train-points", "--data", "points.csv", *TINY]) == 0
        assert run(["train-image", "--data", "pictures", "--recipe", "cgan", "--size", "16", *TINY]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.mark.parametrize("line", dict.fromkeys(EXAMPLES))
def test_an_example_runs(line, workplace, monkeypatch, capsys):
    from seqgan_gp_cli import run

    monkeypatch.chdir(workplace)
    args = shlex.split(line)
    if args[0].startswith("train-") and not {"--help", "--dry-run"} & set(args):
        args.append("--dry-run")
    code = run(args)
    printed = capsys.readouterr()
    assert (code == 0 and printed.out) or "--out" in args, printed.err


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["trian-text"], "there is no command 'trian-text': did you mean train-text?"),
        (["learn"], f"there is no command 'learn': choose from {', '.join(COMMANDS)}"),
        (["train-text", "--batchsize", "3"], "there is no option --batchsize: did you mean --batch-size?"),
        (["train-text", "--gp-wieght=3"], "there is no option --gp-wieght: did you mean --gp-weight?"),
        (["train-text", "--qqqq"], "there is no option --qqqq: see python cli.py train-text --help"),
        (["sample", "run", "--number", "3"], "there is no option --number: did you mean --num?"),
        (["train-text", "--recipe", "wgangp"], "--recipe wgangp does not exist: did you mean wgan-gp?"),
        (["train-text", "--preset", "papper"], "--preset papper does not exist: did you mean paper?"),
        (["train-text", "--preset", "huge"], "--preset huge does not exist: choose from small, paper, ttur"),
        (["train-text", "--add", "spectrall"], "there is no part called 'spectrall': did you mean spectral?"),
        (["train-text", "--tokenizer", "chars"], "--tokenizer 'chars' does not exist: did you mean char?"),
        (["recipes", "dragn"], "there is no recipe or part called 'dragn': did you mean dragan?"),
        (["recipes", "qqqq"], "there is no recipe or part called 'qqqq': `recipes` lists them"),
        (["train-text", "--d-lr", "1e-3"], "--d-lr is called --critic-lr now"),
        (["train-text", "--g-lr=1e-3"], "--g-lr is called --generator-lr now"),
        (["train-image", "--g-norm", "batch"], "--g-norm is called --generator-norm now"),
        (["train-image", "--g-width", "3"], "--g-width is called --generator-width now"),
        (["train-text", "--g-batch-multiple", "2"], "--g-batch-multiple is called --generator-batch-multiple now"),
    ],
)
def test_a_mistyped_or_old_name_is_answered_by_the_right_one(args, sentence, call):
    code, out, err = call(*args)
    assert (code, out) == (2, "") and one_sentence(err) == f"Error: {sentence}"


def test_a_mistyped_key_of_a_file_is_answered_too(call):
    for key, remedy in (("bacth-size", "did you mean batch-size?"), ("qqqq", "see its --help")):
        Path("run.toml").write_text(f"{key} = 3\n")
        sentence = f"Error: --config run.toml has {key!r}, which is no option of train-text: {remedy}"
        code, _, err = call("train-text", "--config", "run.toml")
        assert code == 2 and one_sentence(err) == sentence


if __name__ == "__main__":
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir()
    for name, args in HELPS.items():
        (GOLDEN / f"{name}.txt").write_text(help_of(args)[0])
