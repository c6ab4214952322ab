"""How a step runs: its precision, and whether it is compiled. The only file that knows of either."""

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from gan_core.errors import UsageError
from gan_core.pool import processors

PRECISIONS = ("fp32", "tf32", "bf16", "auto")


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        UsageError: torch has no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"--device {name} cannot be used here: choose cpu, or see `doctor` for what there is"
        ) from error
    return device


def use_threads(threads: int) -> None:
    """Let torch use so many CPU threads; 0 for as many as this process may run on, shared with others of torchrun."""
    torch.set_num_threads(threads or max(1, processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def has_bf16(device: torch.device) -> bool:
    """Whether arithmetic in bfloat16 is the processor's own, and so faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@dataclass
class Engine:
    """Wraps the function that computes a step's loss.

    precision: fp32; tf32 (matrix products of CUDA in TensorFloat-32); bf16 (autocast; slopes and sums stay wide);
        auto, bf16 where the processor has it, else fp32.
    compile: by torch.compile, one graph a step; where that fails the step runs uncompiled, after one sentence.
    """

    device: torch.device
    precision: str = "fp32"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision == "auto":
            self.precision = "bf16" if has_bf16(self.device) else "fp32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision == "tf32"

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which networks run."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, to be called as before."""

        def cast(*args: Any) -> Any:
            with self.autocast():
                return function(*args)

        return self._compiled(cast) if self.compile else cast

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # The step's own random numbers, not the compiler's: compiled and eager draw the same.
        compiled = torch.compile(function, fullgraph=True, options={"fallback_random": True})

        def run(*args: Any) -> Any:
            nonlocal compiled
            if compiled is function:
                return function(*args)
            try:
                return compiled(*args)
            except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                reason = str(error).strip().splitlines()[0][:200]
                print(f"--compile is not possible here, going on without it: {reason}", file=sys.stderr)
                compiled = function
                return function(*args)

        return run
