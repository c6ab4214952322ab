"""How a step runs: its precision and its compilation. No other file deals with either."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gan_core.errors import named
from gan_core.runtime.device import has_bf16

Terms = dict[str, Tensor]

Pytree = Any  # nested dicts and tuples with tensors in them


@dataclass
class Engine:
    """Wraps the function that computes a step's loss.

    precision: fp32; tf32 (CUDA matrix products in TensorFloat-32); bf16 (autocast; gradient norms and sums stay in
        float32); auto (bf16 if the hardware computes in it, else fp32).
    compile: compile each step into one graph with torch.compile. If that fails, print one sentence and run eagerly.
    cuda_graphs: record the kernels of a step once and replay them. Random numbers still depend on the step's seed,
        because a replay reads the generator's state. Without CUDA, print one sentence and ignore the option.
    """

    device: torch.device
    precision: str = "fp32"
    compile: bool = False
    cuda_graphs: bool = False

    def __post_init__(self) -> None:
        if self.precision == "auto":
            self.precision = "bf16" if has_bf16(self.device) else "fp32"
        if self.cuda_graphs and self.device.type != "cuda":
            print(f"{named('cuda_graphs')} needs an NVIDIA GPU and does nothing on {self.device}", file=sys.stderr)
            self.cuda_graphs = False
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision == "tf32"

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which networks run."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def differentiated(
        self, net: nn.Module, function: Callable[..., tuple[Tensor, Pytree]], beside: Sequence[nn.Module] = ()
    ) -> Callable[..., Pytree]:
        """Turn a loss function into a function that accumulates the loss's gradients in a network.

        The returned function takes the arguments of `function`, adds the loss's gradients to `.grad` of the network's
        parameters, and returns the auxiliary result, detached.

        net: the network whose parameters receive gradients.
        function: computes (loss, auxiliary result); the loss is a scalar.
        beside: the other networks that `function` calls.
        """

        def eager(*args: Any) -> Pytree:
            with self.autocast():
                loss, rest = function(*args)
            loss.backward()
            return tree_map(Tensor.detach, rest)

        if not (self.compile or self.cuda_graphs):
            return eager
        return self._compiled(Step(nn.ModuleList([net, *beside]), function), eager)

    def _compiled(self, step: "Step", eager: Callable[..., Pytree]) -> Callable[..., Pytree]:
        """Compile the loss and its gradients into one graph, so that the compiler can fuse forward and backward.

        The graph returns the new values of the networks' buffers, such as batch norm's running statistics.
        """
        net = step.nets[0]

        def both(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], *args: Any
        ) -> tuple[dict[str, Tensor], dict[str, Tensor], Pytree]:
            def loss_of(parameters: dict[str, Tensor]) -> tuple[Tensor, Pytree]:
                state = {f"nets.0.{name}": value for name, value in parameters.items()}
                kept = {name: value.clone() for name, value in buffers.items()}
                with self.autocast():
                    loss, rest = functional_call(step, state | kept, args)
                return loss, (kept, rest)

            gradients, (kept, rest) = torch.func.grad(loss_of, has_aux=True)(parameters)
            # Give each gradient its parameter's memory layout, which fused optimisers assume.
            gradients = {name: torch.empty_like(parameters[name]).copy_(value) for name, value in gradients.items()}
            # Clone, because a returned view would be recomputed from its base.
            return gradients, kept, tree_map(Tensor.clone, rest)

        # torch.compile counts recompilations per code object and keeps its size guards: give each step its own copy.
        both.__code__ = both.__code__.replace()
        compiled, possible = torch.compile(both, fullgraph=True, dynamic=False, **self._compiler()), True
        learning = {name: value for name, value in net.named_parameters() if value.requires_grad}
        buffers = dict(step.named_buffers())

        def run(*args: Any) -> Pytree:
            nonlocal possible
            if not possible:
                return eager(*args)
            parameters = {name: value.detach() for name, value in learning.items()}
            try:
                gradients, kept, rest = compiled(parameters, buffers, *args)
            except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                option = named("compile") if self.compile else named("cuda_graphs")
                print(f"{option} is not possible here, going on without it: {first_line(error)}", file=sys.stderr)
                possible = False
                return eager(*args)
            if buffers:
                torch._foreach_copy_(list(buffers.values()), [kept[name] for name in buffers])
            if self.cuda_graphs:  # the next replay overwrites these tensors
                gradients, rest = tree_map(Tensor.clone, (gradients, rest))
            for name, value in learning.items():
                value.grad = gradients[name] if value.grad is None else value.grad + gradients[name]
            return rest

        return run

    def _compiler(self) -> dict[str, Any]:
        """The keyword arguments of torch.compile that select the backend and its options."""
        if not self.compile:
            return {"backend": "cudagraphs"}
        # fallback_random: compiled steps draw the same random numbers as eager ones.
        return {"options": {"fallback_random": True, "triton.cudagraphs": self.cuda_graphs}}


class Step(nn.Module):
    """A module that holds a function and its networks, so that functional_call can replace their parameters."""

    def __init__(self, nets: nn.ModuleList, function: Callable[..., Any]) -> None:
        super().__init__()
        self.nets, self.function = nets, function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def first_line(error: Exception) -> str:
    """A compiler error in one line of at most 200 characters: its first line (the backend) and the next (the cause)."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:200]


def tree_map(change: Callable[[Tensor], Tensor], tree: Pytree) -> Pytree:
    """Apply `change` to every tensor of a pytree of dicts and tuples."""
    if isinstance(tree, dict):
        return {name: tree_map(change, part) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(tree_map(change, part) for part in tree)
    return change(tree)


def together(parts: list[Pytree]) -> Pytree:
    """Merge pytrees of the same structure: scalars are averaged, other tensors are concatenated along their rows."""
    first = parts[0]
    if isinstance(first, dict):
        return {name: together([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple):
        return tuple(together(list(of_one)) for of_one in zip(*parts, strict=True))
    return torch.cat(parts) if first.ndim else torch.stack(parts).mean()
