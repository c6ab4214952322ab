"""Work that falls into parts, done by several processes at once.

The processes are interpreters started afresh: one with threads cannot be forked safely, and `multiprocessing` would
run the user's own script again. Each waits at a pipe of its own for the next part; where the process that started it
has ended, however that happened, the pipe is closed, and it ends too.
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

MOST = 8  # processes: beyond that the disk, or the process that gathers what they did, is what one waits for

T = TypeVar("T")
Advance = Callable[[int], None]


def do_all(work: Callable[[T, Advance], None], items: Sequence[T], advance: Advance) -> None:
    """Do `work(item, advance)` for all items: in this process if there is one item or one processor, else in several.

    Args:
        work: what is done to an item; it, the items and its errors are pickled for the way between the processes. It
            calls its second argument to say how much more is done, several times a second.
        items: begun in this order.
        advance: is told how much more is done, in this process.

    Raises:
        GanError: a process was ended from outside, or cannot be started.
        Exception: what `work` raised first in the order of the items; those begun by then are finished first.
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
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start() -> tuple[Connection, subprocess.Popen]:
    """A process that serves, and this end of its pipe.

    Raises:
        GanError: the system has no place for another process.
    """
    ours, theirs = Pipe()
    code = f"import sys; sys.path[:] = {sys.path!r}; from gan_core.runtime.pool import serve; serve({theirs.fileno()})"
    # Ctrl-C goes to all processes of a terminal. It is for this one, which ends the others: they begin with it blocked.
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
    """Give the items to the processes at the other ends, one after the other, until all are done or one fails."""
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
    """Do the work that comes through a pipe, for each item that follows, until the pipe is closed.

    Numbers go back while it is done, and at the end None, or what it raised.
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
            except Exception as error:  # which may not travel as it is
                pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
            else:
                pipe.send(None)
