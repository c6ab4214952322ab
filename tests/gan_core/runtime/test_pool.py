import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gan_core.errors import DataError, GanError
from gan_core.runtime import pool
from gan_core.runtime.pool import do_all

ROOT = Path(__file__).parents[3]


def square(item, advance):
    """Tell the square of an item in two halves, and where it was worked out."""
    number, folder = item
    advance(number * number // 2)
    (folder / f"{number}-{os.getpid()}").touch()
    advance(number * number - number * number // 2)


def fail(item, advance):
    delay, *error = item
    time.sleep(delay)
    if error:
        raise error[0](*error[1:])


def vanish(item, advance):
    os._exit(1)


class Unsendable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(pool, "processors", lambda: 3)


@pytest.mark.parametrize(("items", "processors", "used"), [(9, 1, 1), (1, 4, 1), (9, 3, 3), (2, 4, 2)])
def test_every_item_once(tmp_path, monkeypatch, items, processors, used):
    monkeypatch.setattr(pool, "processors", lambda: processors)
    told = []
    do_all(square, [(number, tmp_path) for number in range(items)], told.append)
    assert sum(told) == sum(number * number for number in range(items))
    numbers, workers = zip(*(path.name.split("-") for path in tmp_path.iterdir()), strict=True)
    assert sorted(map(int, numbers)) == list(range(items))
    assert len(set(workers)) == used and (str(os.getpid()) in workers) == (used == 1)


def test_nothing_to_do(three):
    do_all(fail, [], print)


def test_the_first_error_by_order_not_by_time(three):
    items = [(0,), (0.5, DataError, "first"), (0, DataError, "second"), (0,)]
    with pytest.raises(DataError, match=r"^first$"):
        do_all(fail, items, print)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ((OSError, 28, "No space left"), OSError),
        ((KeyError, "x"), RuntimeError),
        ((Unsendable, 1, 2), RuntimeError),
        ((MemoryError,), MemoryError),
    ],
)
def test_errors_keep_what_the_command_line_asks_of_them(three, error, kind):
    with pytest.raises(kind) as caught:
        do_all(fail, [(0,), (0, *error)], print)
    if kind is OSError:
        assert (caught.value.errno, caught.value.strerror) == (28, "No space left")


def test_a_process_that_is_ended_from_outside(three):
    with pytest.raises(GanError, match=r"ended from outside.*run again"):
        do_all(vanish, [1, 2, 3], print)


def test_no_place_for_processes(three, monkeypatch):
    def full(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(pool.subprocess, "Popen", full)
    with pytest.raises(GanError, match=r"temporarily unavailable.*ulimit"):
        do_all(fail, [(0,), (0,)], print)


def test_a_script_without_a_guard_is_not_run_again(tmp_path):
    """`multiprocessing` would run it once more in every process."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; from pathlib import Path; from gan_core.runtime import pool\n"
        "from tests.gan_core.runtime.test_pool import square\n"
        "print('once'); pool.processors = lambda: 2\n"
        "pool.do_all(square, [(1, Path(sys.argv[1])), (2, Path(sys.argv[1]))], print)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0 and done.stdout.count("once") == 1, done.stderr
    assert len(list(tmp_path.glob("[12]-*"))) == 2


def test_processes_end_with_the_one_that_started_them(tmp_path):
    """However it ends: here it is killed."""
    code = (
        "import sys, time; from gan_core.runtime import pool\n"
        "from tests.gan_core.runtime.test_pool import linger\n"
        "from pathlib import Path; pool.processors = lambda: 2\n"
        "pool.do_all(linger, [Path(sys.argv[1])] * 2, lambda _: None)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    process.kill()
    process.wait()
    workers = [int(path.name) for path in tmp_path.iterdir()]
    wait_until(lambda: not any(map(is_running, workers)))


def is_deaf(item, advance):
    advance(int(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])))


def test_ctrl_c_is_not_for_them(three):
    """It goes to all processes of a terminal, and would be a traceback in each."""
    told = []
    do_all(is_deaf, [1, 2, 3], told.append)
    assert told == [1, 1, 1]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def linger(folder, advance):
    (folder / str(os.getpid())).touch()
    while True:
        time.sleep(0.02)
        advance(1)


def wait_until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:  # who was ended but was not waited for is a zombie
        with Path(f"/proc/{process}/stat").open() as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
