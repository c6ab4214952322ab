import os

# Idle OpenMP threads sleep instead of spinning: on a busy machine spinning makes small tensors slow. Set before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_core.errors import naming_options
from gan_core.runtime.progress import bars_by
from seqgan_gp_cli import run, tqdm_bar
from seqgan_gp_cli.flags import flag


@pytest.fixture(autouse=True)
def one_thread_and_a_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def like_the_command_line():
    """Messages name options as flags, and terminals have bars, also where a test does not run a command."""
    with naming_options(flag), bars_by(tqdm_bar):
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache; all of one session share one."""
    root = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(root))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own for a test that looks into it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(folder))
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(here, capsys):
    """Runs the command line in a folder of its own: (exit code, stdout, stderr)."""

    def calling(*args):
        code = run([str(a) for a in args])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return code, printed.out, printed.err

    return calling


@pytest.fixture
def data(here):
    """Labelled lines and labelled images that every recipe can learn from: lines.txt and images.npz."""
    drawn = np.random.default_rng(0)
    lines = ["".join(drawn.choice(list("abcd"), 8)) for _ in range(60)]
    Path("lines.txt").write_text("".join(f"{number % 3}\t{line}\n" for number, line in enumerate(lines)))
    images = drawn.integers(0, 256, (40, 16, 16)).astype(np.uint8)
    np.savez("images.npz", images=images, labels=np.arange(40) % 3)
