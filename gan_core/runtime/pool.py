"""A pool of worker processes for work that consists of independent items.

Each worker is a new interpreter: forking a process that has threads is unsafe, and `multiprocessing` would run the
user's script again. A worker reads its next item from a pipe. If the parent ends for any reason, the pipe closes and
the worker ends too.
"""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from gan_core.errors import GanError, current_naming, naming_options

MOST = 8  # processes; more would only wait for the disk or for the parent

T = TypeVar("T")
Advance = Callable[[int], None]


def do_all(work: Callable[[T, Advance], None], items: Sequence[T], advance: Advance) -> None:
    """Call `work(item, advance)` for all items: in this process for one item or one processor, else in a pool.

    Args:
        work: processes one item, and calls its second argument several times a second with the amount of work done
            since the last call. The function, the items and the errors it raises must be picklable.
        items: started in this order.
        advance: called in this process with the amount of work done since the last call.

    Raises:
        GanError: a process was killed, or cannot be started.
        Exception: the error of the first failed item, in the order of the items. Items in progress are finished first.
    """
    num = min(len(items), processors(), MOST)
    if num < 2:
        for item in items:
            work(item, advance)
        return
    crew: dict[Connection, subprocess.Popen] = {}
    try:
        for _ in range(num):
            pipe, process = start()
            crew[pipe] = process
            pipe.send((work, current_naming()))
        hand_out(list(crew), items, advance)
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        raise GanError(
            "a process that prepared data was ended from outside, perhaps for want of memory: run again, what was "
            "finished is kept"
        ) from error
    finally:
        for pipe, process in crew.items():
            pipe.close()
            process.terminate()
        for process in crew.values():
            process.wait()


def processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start() -> tuple[Connection, subprocess.Popen]:
    """Start a worker process and return this end of its pipe, and the process.

    Raises:
        GanError: the system cannot start another process.
    """
    ours, theirs = Pipe()
    code = f"import sys; sys.path[:] = {sys.path!r}; from gan_core.runtime.pool import serve; serve({theirs.fileno()})"
    # Ctrl-C reaches all processes of a terminal. Only the parent handles it and ends the workers, which start with
    # SIGINT blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    except OSError as error:
        raise GanError(f"no process can be started ({error.strerror}): end some others, or raise ulimit -u") from error
    finally:
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return ours, process


def hand_out(pipes: list[Connection], items: Sequence[T], advance: Advance) -> None:
    """Hand items to the workers until all are done or one fails; raise the error of the first failed item."""
    waiting = deque(enumerate(items))
    busy: dict[Connection, int] = {}
    failed: dict[int, Exception] = {}

    def give(pipe: Connection) -> None:
        busy[pipe], item = waiting.popleft()
        pipe.send(item)

    for pipe in pipes:
        give(pipe)
    while busy:
        ready = wait(list(busy))
        for pipe in [pipe for pipe in busy if pipe in ready]:
            message = pipe.recv()
            if isinstance(message, int):
                advance(message)
                continue
            number = busy.pop(pipe)
            if message is not None:
                failed[number] = message
            if waiting and not failed:
                give(pipe)
    if failed:
        raise failed[min(failed)]


def serve(handle: int) -> None:
    """The worker's main loop: receive the work function and then items through a pipe, until the pipe is closed.

    For each item it sends integers (progress), and at the end None or the error.
    """
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the other end is closed
        pipe = Connection(handle)
        work, writing = pipe.recv()
        while True:
            item = pipe.recv()
            try:
                with naming_options(writing):
                    work(item, pipe.send)
            except (GanError, OSError, MemoryError) as error:
                pipe.send(error)
            except Exception as error:  # other errors may not be picklable
                pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
            else:
                pipe.send(None)
