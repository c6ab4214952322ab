"""The run directory: it appears whole, holds one process, and is mended after a kill or a full disk."""

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_core.errors import GanError, UsageError
from gan_core.training import run as run_module
from gan_core.training.run import Run, read_config

CONFIG = {"domain": "toy", "numbers": {}}


@pytest.fixture
def opened(tmp_path):
    """A run with two lines of metrics and one of log, open."""
    run = Run.create(tmp_path, "run", CONFIG)
    run.metrics(1, {"x": 1}, {})
    run.metrics(2, {"x": 2}, {})
    run.log("step 2")
    yield run
    run.close()


def again(run):
    run.close()
    return Run(run.path)


class TestCreation:
    @pytest.mark.parametrize("dies", ["sync", "numbered", "as_text"])
    def test_a_kill_leaves_a_whole_run_or_none(self, tmp_path, monkeypatch, dies):
        """Wherever a process dies while it makes a run, every numbered folder has its config.json."""
        code = (
            "import os, sys; from pathlib import Path; from gan_core.training import run\n"
            f"run.{dies} = lambda *args: os._exit(9)\n"
            f"run.Run.create(Path(sys.argv[1]), 'killed', {CONFIG})"
        )
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 9
        (left_over,) = tmp_path.iterdir()
        assert left_over.name.startswith(".new-run.")
        made = Run.create(tmp_path, "next", CONFIG)
        made.close()
        assert [path.name for path in tmp_path.iterdir()] == ["00000-next"]
        assert read_config(made.path) == CONFIG
        assert {path.name for path in made.path.iterdir() if path.is_dir()} == {"samples", "checkpoints"}

    def test_what_a_living_process_makes_is_not_swept(self, tmp_path):
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        names = {f".new-run.{other.pid}.tmp", f".new-run.{os.getpid()}.tmp", ".new-run.notes.tmp"}
        for name in names:
            (tmp_path / name).mkdir()
        try:
            Run.create(tmp_path, "run", CONFIG).close()
        finally:
            other.communicate(b"\n")
        assert {path.name for path in tmp_path.iterdir()} == {f".new-run.{other.pid}.tmp", "00000-run"}

    def test_another_process_was_faster(self, tmp_path, monkeypatch):
        """Its folder appears after the numbers were looked up."""
        rename = Path.rename

        def late(self, target):
            monkeypatch.setattr(Path, "rename", rename)
            (Path(target) / "samples").mkdir(parents=True)
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", late)
        made = Run.create(tmp_path, "run", CONFIG)
        made.close()
        assert made.path.name == "00001-run" and read_config(made.path) == CONFIG

    def test_many_at_once_are_all_made(self, tmp_path):
        code = (
            "import sys, pathlib; from gan_core.training.run import Run; Run.create(pathlib.Path(sys.argv[1]), 'r', {})"
        )

        def make(_):
            return subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(make, range(6))) == [0] * 6
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"{i:05d}-r" for i in range(6)]

    @pytest.mark.parametrize(
        ("number", "kind", "remedy"),
        [(errno.ENOSPC, GanError, "free some space"), (errno.EDQUOT, GanError, "free some space"),
         (errno.EACCES, UsageError, "choose another folder")],
    )  # fmt: skip
    def test_a_folder_that_cannot_be_written(self, tmp_path, monkeypatch, number, kind, remedy):
        def fails(path):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(run_module, "sync", fails)
        with pytest.raises(GanError, match=remedy) as caught:
            Run.create(tmp_path, "run", CONFIG)
        assert type(caught.value) is kind and f"--outdir {tmp_path}" in str(caught.value)
        assert list(tmp_path.iterdir()) == []


class TestMending:
    @pytest.mark.parametrize("cut", [b'{"step": 3, "x"', b"\0\0\0\0", b'{"step": 2, "x": 5', b"\xff\x80", b""])
    def test_half_a_line_of_metrics_is_dropped(self, opened, cut):
        path = opened.path / "metrics.jsonl"
        with path.open("ab") as file:
            file.write(cut)
        run = again(opened)
        run.forget_after(2)
        run.metrics(3, {"x": 3}, {})
        run.close()
        assert [json.loads(line)["x"] for line in path.read_text().splitlines()] == [1, 2, 3]

    def test_a_whole_line_without_its_end_is_kept(self, opened):
        """Cut between the object and the newline, it must not run into the next object."""
        path = opened.path / "metrics.jsonl"
        path.write_text(path.read_text().rstrip("\n"))
        run = again(opened)
        run.forget_after(2)
        run.metrics(3, {"x": 3}, {})
        run.close()
        assert [json.loads(line)["x"] for line in path.read_text().splitlines()] == [1, 2, 3]

    def test_half_a_line_of_the_log_is_ended(self, opened):
        path = opened.path / "log.txt"
        for cut, wanted in (("", []), ("step 3  cri", ["step 3  cri"])):
            with path.open("a") as file:
                file.write(cut)
            run = again(opened)
            run.forget_after(2)
            run.log("step 4")
            run.close()
            assert path.read_text().splitlines()[1:] == [*wanted, "step 4"]
            path.write_text("step 2\n")

    def test_what_a_kill_left_in_the_run_goes(self, opened):
        (opened.path / ".summary.json.123.tmp").write_text("{")
        (opened.path / ".metrics.jsonl.9.tmp").write_text("{")
        again(opened).close()
        assert not list(opened.path.glob(".*"))


def test_tensorboard_reads_what_is_shown(tmp_path):
    """The same as from torch's own writer."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    with SummaryWriter(str(tmp_path / "theirs")) as writer:
        writer.add_scalar("a/b", 1.5, 7)
        writer.add_text("samples", "    <b>", 7)
        writer.add_image("real", torch.from_numpy(pixels), 7, dataformats="HWC")
    run = Run.create(tmp_path, "ours", CONFIG)
    run.metrics(7, {}, {"a/b": 1.5})
    run.text(7, "samples", ["<b>"])
    run._show().image(7, "real", pixels)
    read = []
    for folder in (tmp_path / "theirs", run.path / "tensorboard"):  # ours is read before it is closed
        events = EventAccumulator(str(folder)).Reload()
        assert events.Tags()["scalars"] == ["a/b"] and events.Tags()["images"] == ["real"]
        (text,) = events.Tags()["tensors"]
        read.append([
            *[(e.step, e.value) for e in events.Scalars("a/b")],
            *[(e.step, e.encoded_image_string, e.width, e.height) for e in events.Images("real")],
            *[(text, e.step, e.tensor_proto.SerializeToString()) for e in events.Tensors(text)],
        ])  # fmt: skip
    run.close()
    assert read[0] == read[1]
