"""A full disk costs one sentence and no checkpoint, and a signal that comes outside training leaves nothing half."""

import contextlib
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_core.errors import GanError
from gan_core.recipes.build import build, make_parts
from gan_core.storage import sealed as files
from gan_core.storage.cache import cache_root
from gan_core.storage.sealed import verify
from gan_core.training import checkpoint
from gan_core.training import recorder as train_module
from gan_core.training import run as run_module
from gan_core.training.board import Board
from gan_core.training.run import Run
from seqgan_gp_cli import run
from tests.command import one_sentence
from tests.toy import CPU, ToyDomain, settings, trainer_of

ROOT = Path(__file__).parents[1]
CONFIG = {"domain": "toy", "recipe": "wgan-gp", "preset": "small", "numbers": {}}
SMALL = [
    "--threads", "1", "--width", "8", "--depth", "1", "--batch-size", "8", "--log-every", "1", "--sample-every", "2",
    "--save-every", "3", "--decay-steps", "6", "--seq-len", "8",
]  # fmt: skip
# What is written -> the function in whose call it is written. From its first call on no file can grow.
PLACES = {
    "metrics.jsonl": (Run, "metrics"),
    "log.txt": (Run, "log"),
    "tensorboard": (Board, "_write"),
    "samples/000004": (ToyDomain, "show"),
    "checkpoints/step-000006": (checkpoint, "tensors"),
    "checkpoints/step-000006 state": (torch, "save"),
    "checkpoints/step-000006 domain": (ToyDomain, "save"),
    "checkpoints/step-000006 manifest": (files, "manifest_text"),
    "summary.json": (train_module, "write_json"),
    "curves.png": (train_module, "draw_curves"),
}


@contextlib.contextmanager
def no_file_beyond(size):
    """As `ulimit -f`: the system refuses to write a file beyond so many bytes, with EFBIG. Python ignores SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def full_from(owner, name):
    """Let the disk be full from the first call of a function on, until the end of the block: pytest writes too."""
    original = getattr(owner, name)
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        def last(*args, **kwargs):
            patch.setattr(owner, name, original)
            stack.enter_context(no_file_beyond(0))
            return original(*args, **kwargs)

        patch.setattr(owner, name, last)
        yield


def trainer(run, steps):
    chosen = settings(log_every=2, sample_every=2, save_every=3, steps=steps)
    domain = ToyDomain()
    return trainer_of(build(domain, make_parts(["wasserstein", "gp"], {}), chosen, CPU), domain, run, chosen)


def networks(run):
    folder = checkpoint.newest(run / "checkpoints").folder
    names = ("generator.safetensors", "ema.safetensors", "critic.safetensors")
    return [folder.name, *((folder / name).read_bytes() for name in names)]


def assert_whole(run):
    """Every checkpoint is whole, and nothing half is left."""
    assert [verify(folder) for folder in (run / "checkpoints").iterdir()]
    assert not list(run.rglob(".*"))
    for path in run.rglob("*.json"):
        json.loads(path.read_text())


@pytest.fixture
def half(tmp_path):
    """A run of three steps, and what six end with."""
    ended = []
    for name, steps in (("straight", 6), ("half", 3)):
        run = Run.create(tmp_path, name, CONFIG)
        trainer(run, steps).train(math.inf)
        run.close()
        ended.append(run.path)
    return ended[1], networks(ended[0])


def go_on(path):
    """Six steps and the summary."""
    with contextlib.closing(Run(path)) as run:
        training = trainer(run, 6)
        training.resume(checkpoint.newest(run.checkpoints))
        training.train(math.inf)
        training.summarise(CONFIG)


@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_is_full_at_each_place(half, place, capsys):
    path, wanted = half
    owner, name = PLACES[place]
    with contextlib.closing(Run(path)) as run:
        training = trainer(run, 6)
        training.resume(checkpoint.newest(run.checkpoints))
        with full_from(owner, name), pytest.raises(GanError, match="File too large") as caught:
            training.train(math.inf)
            training.summarise(CONFIG)
    message = str(caught.value)
    assert message.startswith(f"{path / place.partition(' ')[0]} cannot be written (") and "free some space" in message
    assert type(caught.value) is GanError and capsys.readouterr().err == ""
    assert_whole(path)
    assert not list((path / "samples").glob("000004*")) or place != "samples/000004"
    go_on(path)
    assert networks(path) == wanted
    assert_whole(path)
    steps = [json.loads(line)["step"] for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [*dict.fromkeys(steps)] == [2, 3, 4, 6]  # a finished run that is resumed is scored again


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.9, 0.99, 1.0])
def test_a_limit_on_the_size_of_files(half, share, capsys):
    """Whatever is the first file to grow beyond it."""
    path, wanted = half
    sizes = sorted({file.stat().st_size for file in path.rglob("*") if file.is_file()})
    limit = round(sizes[-1] * share)
    with no_file_beyond(limit), contextlib.suppress(GanError):
        go_on(path)
    assert capsys.readouterr().err == ""
    assert_whole(path)
    go_on(path)
    assert networks(path) == wanted


def test_a_full_disk_where_a_run_begins(tmp_path):
    refused = pytest.raises(GanError, match=r"--outdir .* cannot be written \(File too large\): free some space")
    with full_from(run_module, "as_text"), refused:
        Run.create(tmp_path, "run", CONFIG)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def lines(here):
    write_lines(here)


def write_lines(folder):
    drawn = np.random.default_rng(0)
    words = ["".join(drawn.choice(list("abcdefgh"), 4)) for _ in range(20)]
    (folder / "lines.txt").write_text("".join(" ".join(drawn.choice(words, 4)) + "\n" for _ in range(300)))


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """A folder with a run of three steps, and a straight one of six that nothing may touch."""
    folder = tmp_path_factory.mktemp("trained")
    write_lines(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SEQGAN_GP_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        args = ["train-text", "--data", "lines.txt", *SMALL]
        assert run([*args, "--steps", "3"]) == run([*args, "--steps", "6", "--name", "straight"]) == 0
    return folder


@pytest.fixture
def text_run(trained_once, here):
    """The run of three steps, to be damaged, beside the straight one."""
    shutil.copytree(trained_once, here, dirs_exist_ok=True)
    return here / "runs/00000-text-wgan-gp"


class TestCommands:
    def test_one_sentence_and_the_run_is_scorer(self, text_run, call):
        """The sentence is about what failed first, although the summary cannot be written either."""
        largest = max(file.stat().st_size for file in text_run.rglob("*") if file.is_file())
        said = []
        for limit in (10, largest // 2):
            with no_file_beyond(limit):
                code, _, err = call("train-text", "--resume", text_run, "--steps", 6)
            if code:
                said.append(one_sentence(err))
                assert code == 1 and str(text_run) in said[-1] and "free some space" in said[-1]
            assert_whole(text_run)
            assert call("inspect", text_run)[0] == 0
        assert any("metrics.jsonl" in line for line in said) and any("step-000006" in line for line in said)
        assert call("train-text", "--resume", text_run, "--steps", 6)[0] == 0
        assert networks(text_run) == networks(text_run.parent / "00001-straight")

    def test_nothing_half_is_kept_of_data(self, lines, call, monkeypatch, tmp_path):
        monkeypatch.setenv("SEQGAN_GP_CACHE", str(tmp_path / "new-cache"))
        args = ("train-text", "--data", "lines.txt", *SMALL, "--steps", 1)
        for limit in (0, 100, 2000):
            with no_file_beyond(limit):
                code, _, err = call(*args)
            assert code == 1 and "SEQGAN_GP_CACHE" in one_sentence(err)
            assert all(path.suffix == ".lock" for path in cache_root(None).iterdir())
        assert not Path("runs").exists()
        assert call(*args)[0] == 0

    @pytest.mark.parametrize("form", ["txt", "npz"])
    def test_samples(self, text_run, call, form):
        """The device is written to: it is not replaced, not even by root."""
        code, out, err = call("sample", text_run, "--num", 500, "--format", form, "--out", "/dev/full")
        assert (code, out) == (1, "") and Path("/dev/full").is_char_device()
        assert "--out /dev/full cannot be written (No space left on device)" in one_sentence(err)
        Path("old").write_text("old")
        with no_file_beyond(100):
            code, _, err = call("sample", text_run, "--num", 500, "--format", form, "--out", "old")
        assert code == 1 and "--out old" in one_sentence(err)
        assert Path("old").read_text() == "old" and not list(Path().glob(".*"))

    def test_samples_through_a_link_and_a_pipe(self, text_run, call):
        wanted = call("sample", text_run, "--num", 5)[1]
        Path("target").write_text("old")
        Path("link").symlink_to("target")
        assert call("sample", text_run, "--num", 5, "--out", "link")[0] == 0
        assert Path("link").is_symlink() and Path("target").read_text() == wanted
        os.mkfifo("pipe")
        with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True) as reader:
            assert call("sample", text_run, "--num", 5, "--out", "pipe")[0] == 0
            assert reader.communicate()[0] == wanted and Path("pipe").is_fifo()


@pytest.mark.parametrize(
    ("args", "buffered"), [(("recipes",), True), (("inspect", "RUN", "--json"), False), (("sample", "RUN"), True)]
)
def test_standard_output_is_full(text_run, args, buffered):
    """Python would write once more at its end, print a traceback and exit with 120."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, *([] if buffered else ["-u"]), str(ROOT / "cli.py")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, *(str(text_run) if arg == "RUN" else arg for arg in args)], env=environment, stdout=full,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert one_sentence(done.stderr).startswith("Error: standard output cannot be written (No space left on device)")


class TestSignals:
    @pytest.fixture(autouse=True)
    def interrupts(self):
        """A shell that starts something in the background has it ignore SIGINT, these tests too."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
    def test_while_data_is_prepared(self, lines, call, monkeypatch, tmp_path, capsys, number, code, word):
        monkeypatch.setenv("SEQGAN_GP_CACHE", str(tmp_path / "new-cache"))
        args = ("train-text", "--data", "lines.txt", *SMALL, "--steps", 1)
        original, before = files.manifest_text, signal.getsignal(number)

        def interrupted(manifest):
            monkeypatch.setattr(files, "manifest_text", original)
            os.kill(os.getpid(), number)
            return original(manifest)

        monkeypatch.setattr(files, "manifest_text", interrupted)
        try:
            ended, _, err = call(*args)
        except SystemExit as exit:
            ended, err = exit.code, capsys.readouterr().err
        assert ended == code and one_sentence(err.lstrip("\n")) == f"Error: {word}"
        assert all(path.suffix == ".lock" for path in cache_root(None).iterdir()) and not Path("runs").exists()
        assert signal.getsignal(number) == before
        assert call(*args)[0] == 0

    def test_while_a_finished_run_is_scored(self, text_run, call, monkeypatch):
        """The run is saved, so the signal need not wait for the scores; they are made when it is resumed."""

        finished = []

        def evaluate(self, trained):
            os.kill(os.getpid(), signal.SIGTERM)
            finished.append(True)

        monkeypatch.setattr("seqgan_gp.domain.TextScores.evaluate", evaluate)
        ended, _, err = call("train-text", "--resume", text_run, "--steps", 6)
        assert ended == 143 and "saved at step 6" in err and not finished
        monkeypatch.undo()
        monkeypatch.chdir(text_run.parents[1])
        assert_whole(text_run)
        code, out, _ = call("train-text", "--resume", text_run, "--steps", 6)
        assert code == 0 and "resuming at step 6" in out and "In short: JS-4 is" in out


class TestBeforeTheFirstCheckpoint:
    def test_a_run_that_was_killed_begins_again(self, text_run, call):
        """With its own options, and without the metrics of the steps that were lost."""
        args = ("train-text", "--data", "lines.txt", *SMALL, "--steps", 6, "--name", "killed", "--save-every", 0)
        killed = text_run.parent / "00002-killed"
        code = (
            "import os, sys; from gan_core.training.loop import Trainer; from seqgan_gp_cli import main\n"
            "Trainer.save = lambda self: os._exit(9)\n"
            "main(sys.argv[1:])"
        )
        command = [sys.executable, "-c", code, *map(str, args)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        assert subprocess.run(command, env=environment, capture_output=True).returncode == 9
        assert not list((killed / "checkpoints").iterdir()) and (killed / "metrics.jsonl").read_text().count("\n") == 6
        code, out, err = call("train-text", "--resume")
        assert code == 0 and "resuming at step 0" in out, err
        assert networks(killed) == networks(text_run.parent / "00001-straight")
        logged = [json.loads(line) for line in (killed / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in logged] == [1, 2, 3, 4, 5, 6, 6]

    def test_damaged_checkpoints_are_not_the_same_as_none(self, text_run, call):
        (text_run / "checkpoints/step-000003/state.pt").write_bytes(b"")
        code, _, err = call("train-text", "--resume", text_run)
        assert code == 4 and "every checkpoint there is damaged" in one_sentence(err)


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["text", "image"])
def test_the_experiment(domain, tmp_path):
    """Every file and device of the real commands."""
    command = [sys.executable, "-m", "robustness.full_disk", "--only", domain, "--outdir", str(tmp_path)]
    done = subprocess.run([*command, "--limits", "12"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
