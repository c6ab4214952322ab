"""torchrun: several processes train one run, write it once, resume, and end together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[1]
TRAIN = [
    "train-image", "--data", "images.npz", "--recipe", "dcgan", "--width", "4", "--batch-size", "8", "--threads", "1",
    "--precision", "fp32", "--log-every", "1", "--sample-every", "0", "--eval-num", "8",
]  # fmt: skip

ENDLESS = [*TRAIN, "--steps", "100000", "--save-every", "5", "--log-every", "0"]  # nobody reads the pipe meanwhile


@pytest.fixture
def data(here):
    drawn = np.random.default_rng(0)
    np.savez("images.npz", images=drawn.integers(0, 256, (40, 16, 16)).astype(np.uint8))


@pytest.fixture
def torchrun():
    """Starts the command line in several processes, which the test may leave running."""
    started = []

    def starting(*args, **how):
        started.append(start(*args, **how))
        return started[-1]

    yield starting
    for process in started:
        for worker in workers_of(process):  # they would live on, and hold the pipe
            os.kill(worker, signal.SIGKILL)
        process.kill()
        process.communicate()


def start(*args, processes=2, **options):
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
        *flags,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, str(ROOT / "cli.py"), *args],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_two_processes_train_one_run_as_one_does(data, torchrun, call):
    code, out, err = ended(torchrun(*TRAIN, "--steps", "4"))
    assert code == 0, err
    assert out.count("run:  ") == 1 and out.count("step 4/4") == 1
    assert [path.name for path in Path("runs").iterdir()] == ["00000-image-dcgan"]
    assert json.loads(Path("runs/00000-image-dcgan/config.json").read_text())["processes"] == 2
    assert call(*TRAIN, "--steps", "4")[0] == 0
    for name in ("generator", "ema", "critic"):
        two, one = (load_file(f"runs/0000{n}-image-dcgan/checkpoints/step-000004/{name}.safetensors") for n in (0, 1))
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-5, msg=f"{name} {key}")
    code, out, err = call("train-image", "--resume", "runs/00000-image-dcgan", "--steps", "5")
    assert code == 0 and "resuming at step 4" in out and "began with processes 2 and goes on with 1" in err


def steps_saved():
    return [int(path.name[5:]) for path in Path("runs").glob("*/checkpoints/step-*")]


def waited(happened, seconds=300):
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert happened()


def workers_of(process):
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    return [int(child) for child in children]


def kill_one(process):
    os.kill(workers_of(process)[-1], signal.SIGKILL)


def test_a_process_that_dies_ends_the_others_and_the_run_can_be_resumed(data, torchrun, call):
    process = torchrun(*ENDLESS)
    waited(steps_saved)
    kill_one(process)
    code, _, err = ended(process)
    assert code != 0 and ("another process of this run has ended" in err or "terminated" in err)
    code, out, _ = call("train-image", "--resume", "--steps", max(steps_saved()) + 1)
    assert code == 0 and "resuming at step" in out and len(list(Path("runs").iterdir())) == 1


@pytest.mark.slow
def test_torchrun_starts_them_again_and_they_go_on_until_it_is_stopped(data, torchrun):
    process = torchrun(*ENDLESS, max_restarts=1)
    waited(steps_saved)
    kill_one(process)
    before = max(steps_saved())
    waited(lambda: max(steps_saved()) > before + 50, 300)  # that many were not under way when one was killed
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
    assert code != 0 and out.count("resuming at step") == 1 and "saved at step" in err
    assert len(list(Path("runs").iterdir())) == 1


def test_a_batch_that_does_not_divide_is_refused(data, torchrun):
    code, _, err = ended(torchrun(*TRAIN, "--steps", "4", "--batch-size", "7"))
    assert code != 0 and "--batch-size 7 does not divide evenly among 2 processes" in err
