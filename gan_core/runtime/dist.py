"""Data-parallel training under torchrun: each process takes some rows of the batch, gradients are the whole batch's.

Each process draws the random numbers of the whole batch and keeps its own rows. It judges these rows, then gathers the
verdicts of all processes, so that every loss sees the whole batch as in a single process, even a loss that compares
samples or keeps a controller. After `backward()` a process holds its rows' contribution to the gradient; one all-reduce
sums the contributions. There is no wrapper module: without torchrun, the functions here return their input.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as distributed
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from gan_core.errors import GanError, UsageError, named

PATIENCE = timedelta(hours=2)  # timeout of a collective: longer than rank 0 takes to score samples


_alone = False


def size() -> int:
    """The number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() and not _alone else 1


def rank() -> int:
    """The number of this process; the first one, 0, writes."""
    return distributed.get_rank() if distributed.is_initialized() and not _alone else 0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Compute as if this were the only process: `size()` is 1 and nothing is gathered.

    For what every process computes from the whole batch.
    """
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


@contextlib.contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Initialise the process group if torchrun started this process; destroy it on exit.

    Raises:
        GanError: another process ended while this one still needed it.
        UsageError: torchrun would restart processes on several machines.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield
        return
    machines, allowed = (int(os.environ.get(name, "0")) for name in ("GROUP_WORLD_SIZE", "TORCHELASTIC_MAX_RESTARTS"))
    if machines > 1 and allowed:
        # Each machine's torchrun counts only its own processes' restarts, so the processes would wait for each other.
        raise UsageError(
            f"{named('max_restarts')} of torchrun is for one machine: leave it out, and go on with {named('resume')}"
        )
    store, number, count = next(rendezvous("env://", timeout=PATIENCE))
    # Restarted processes find the store of the previous start and its stale addresses, hence a prefix per start.
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=distributed.PrefixStore(f"start {restarts()}", store), rank=number, world_size=count, timeout=PATIENCE,
    )  # fmt: skip
    try:
        yield
        with contextlib.suppress(RuntimeError):  # a process that has already ended need not be waited for
            distributed.barrier()  # no process may leave the group while another one still needs it
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error).lower():
            raise GanError(
                f"another process of this run has ended, for a reason that it gave: run again with {named('resume')}"
            ) from error
        raise
    finally:
        distributed.destroy_process_group()


def restarts() -> int:
    """How often torchrun has restarted these processes after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def local_device(device: torch.device) -> torch.device:
    """The device of this process: under torchrun, the GPU whose index is the local rank."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def wire() -> str:
    """The device for collective operations: CUDA for NCCL, CPU for Gloo."""
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"


def largest(number: int) -> int:
    """The maximum of a number over all processes."""
    if size() == 1:
        return number
    found = torch.tensor(number, device=wire())
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)


def to_first(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gather the rows of all processes on rank 0, in order of rank; the other ranks get {}.

    arrays: by name, (N, ...) each, where N may differ between processes. A process without rows passes {}, except
        rank 0, which must have rows. Arrays of one name agree in dtype and in all dimensions but the first.
    """
    if size() == 1:
        return arrays
    device = wire()
    mine = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
    lengths = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(size())]
    distributed.all_gather(lengths, torch.tensor([len(mine)], device=device))
    longest = max(int(length) for length in lengths)
    sent = torch.zeros(longest, dtype=torch.uint8, device=device)
    sent[: len(mine)] = torch.frombuffer(bytearray(mine), dtype=torch.uint8) if mine else 0
    received = [torch.empty_like(sent) for _ in range(size())] if rank() == 0 else None
    distributed.gather(sent, received)
    if received is None:
        return {}
    shares = [part.cpu().numpy()[: int(length)] for part, length in zip(received, lengths, strict=True)]
    return joined_shares(arrays, shares)


def joined_shares(like: dict[str, np.ndarray], shares: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Decode the arrays of all processes and concatenate them by name.

    like: arrays with the names, dtypes and row shapes. shares: one uint8 array (B,) per process, which holds the rows
        of its arrays one array after the other.
    """
    row = {name: array.dtype.itemsize * int(np.prod(array.shape[1:])) for name, array in like.items()}
    found: dict[str, list[np.ndarray]] = {name: [] for name in like}
    for share in shares:
        num, start = len(share) // sum(row.values()), 0
        for name, array in like.items():
            part = share[start : start + num * row[name]]
            found[name].append(part.view(array.dtype).reshape(num, *array.shape[1:]))
            start += num * row[name]
    return {name: np.concatenate(parts) for name, parts in found.items()}


def check_batch(batch_size: int, parts: int = 1) -> None:
    """Refuse a batch that does not divide evenly into `parts` micro-batches on every process.

    Raises:
        UsageError: the message names the remedy.
    """
    if batch_size % (size() * parts):
        among = " and ".join(
            [f"among {size()} processes"] * (size() > 1)
            + [f"in the {parts} parts of {named('accumulate')}"] * (parts > 1)
        )
        raise UsageError(
            f"{named('batch_size', batch_size)} does not divide evenly {among}: give a multiple of {size() * parts}"
        )


def own(num: int) -> slice:
    """This process's rows of a batch of `num`."""
    each = num // size()
    return slice(rank() * each, (rank() + 1) * each)


def drawn(draw: Callable[..., Tensor], num: int, *shape: int, **how: Any) -> Tensor:
    """Draw random numbers for the whole batch and return this process's rows: (num, *shape).

    draw: torch.rand, torch.randn or a similar function; it is called with the whole batch's shape.
    """
    return draw(num * size(), *shape, **how)[own(num * size())]


def gathered(x: Tensor) -> Tensor:
    """Gather the rows of all processes: (B, ...) -> (size * B, ...). Gradients flow to this process's rows only.

    Every process computes the same loss from the gathered rows, so each needs the gradient of its own rows only.
    """
    return x if size() == 1 else Gathered.apply(x)


class Gathered(torch.autograd.Function):
    """The autograd function of `gathered`: all-gather forward, this process's rows of the gradient backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(size())]
        distributed.all_gather(rows, x.contiguous())
        return torch.cat(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient[own(len(gradient))]


def add_up(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their sums over all processes, with a single all-reduce."""
    if size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
