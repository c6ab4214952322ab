"""Several processes under torchrun that train as one: the batch is shared out, and every gradient is the whole batch's.

Each process draws the randomness of the whole batch and keeps its own rows, judges those, and gathers the verdicts, so
that losses see every sample, as in one process, whether they are means, controllers or compare samples. What a
process has after `backward()` is its rows' part of the gradient; one flat sum makes it whole. There is no wrapper:
without torchrun, everything here returns what it was given.
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

PATIENCE = timedelta(hours=2)  # to wait for another process: longer than rank 0 takes to score samples


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
    """Join the processes that torchrun started, if it did, and part from them at the end.

    Raises:
        GanError: another process ended before this one was done with it.
        UsageError: torchrun would restart processes on several machines.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield
        return
    machines, allowed = (int(os.environ.get(name, "0")) for name in ("GROUP_WORLD_SIZE", "TORCHELASTIC_MAX_RESTARTS"))
    if machines > 1 and allowed:
        # each machine's torchrun counts the restarts of its own processes only: they would wait for each other
        raise UsageError(
            f"{named('max_restarts')} of torchrun is for one machine: leave it out, and go on with {named('resume')}"
        )
    store, number, count = next(rendezvous("env://", timeout=PATIENCE))
    # Processes that torchrun starts again find the store of those before, and in it where those listened.
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=distributed.PrefixStore(f"start {restarts()}", store), rank=number, world_size=count, timeout=PATIENCE,
    )  # fmt: skip
    try:
        yield
        with contextlib.suppress(RuntimeError):  # it need not wait for one that has ended
            distributed.barrier()  # nobody hangs up while another one still listens
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error).lower():
            raise GanError(
                f"another process of this run has ended, for a reason that it gave: run again with {named('resume')}"
            ) from error
        raise
    finally:
        distributed.destroy_process_group()


def restarts() -> int:
    """How often torchrun has started these processes again, after one had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def local_device(device: torch.device) -> torch.device:
    """The device of this process: of several GPUs on a machine one for each process."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def wire() -> str:
    """The device that messages between the processes leave from."""
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"


def largest(number: int) -> int:
    """The largest of the numbers that the processes give."""
    if size() == 1:
        return number
    found = torch.tensor(number, device=wire())
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)


def to_first(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The rows of all processes, in their order, in the first one; {} in the others.

    arrays: (N, ...) each, N of this process; () where it has none, but the first one must have some. All arrays of a
        name have the same type and shape, but for N.
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
    """The arrays of which each process sent its rows, one array after the other, as bytes (B,)."""
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
    """Refuse a batch that cannot be shared out evenly, and taken in so many parts by each process.

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
    """This process's `num` rows of what `draw` gives for the whole batch: (num, *shape).

    draw: torch.rand or alike, called with the whole batch's shape.
    """
    return draw(num * size(), *shape, **how)[own(num * size())]


def gathered(x: Tensor) -> Tensor:
    """The rows of all processes, (B, ...) -> (size * B, ...). Gradients reach the rows of this one.

    Every process computes the same loss of the gathered rows, so the part of its own rows is all that is needed.
    """
    return x if size() == 1 else Gathered.apply(x)


class Gathered(torch.autograd.Function):
    """See `gathered`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(size())]
        distributed.all_gather(rows, x.contiguous())
        return torch.cat(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient[own(len(gradient))]


def add_up(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their sums over all processes, in one message."""
    if size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
