"""Several processes that train one splat, each with a GPU and a photo of its own: data-parallel.

`torchrun --nproc-per-node N -m spaceport_gaussian` starts them. Each process holds the whole splat, renders
another photo in each iteration, and all take the same step by the sum of their gradients. So a run of several
processes is the run of one with batches of photos: every policy works, a checkpoint is one process's.

gsplat's distributed mode (Grendel-GS, Zhao et al. 2024) shards the Gaussians instead. It pays where a splat
is too large for one GPU; ours stay under a million Gaussians, whose gradients are 236 MB. It has no absolute
gradients ("AbsGrad is not supported in distributed mode", gsplat 1.5.3), which our densification goes by, and
every policy that looks at all Gaussians would need a version of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

import torch
import torch.distributed
from torch import Tensor

T = TypeVar("T")

# How long the others may work on something alone, such as seeding, before one that waits takes them for dead.
PATIENCE = timedelta(minutes=10)


class Team(Protocol):
    """The processes that train one splat. All of them must make the same calls in the same order."""

    rank: int
    size: int

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and tells of progress."""
        ...

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Put the sums over all processes in place of each process's own values."""
        ...

    def align(self, tensors: Sequence[Tensor]) -> None:
        """Put the first process's values in place of the others'."""
        ...

    def as_first(self, make: Callable[[], T]) -> T:
        """What `make`, called there alone, returns in the first process: plain values, tensors on the CPU."""
        ...

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process; none goes on before all have come here."""
        ...


@dataclass(frozen=True)
class Alone:
    """A team of one."""

    rank: int = 0
    size: int = 1
    is_first: bool = True

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        pass

    def align(self, tensors: Sequence[Tensor]) -> None:
        pass

    def as_first(self, make: Callable[[], T]) -> T:
        return make()

    def any(self, flag: bool) -> bool:
        return flag


ALONE = Alone()


class Processes:
    """A team of processes that `torchrun` started on one machine.

    Tensors go from GPU to GPU by NCCL, or by gloo where there is none; flags and plain values go by gloo,
    which does not wait for the GPU.
    """

    def __init__(self) -> None:
        self.rank = torch.distributed.get_rank()
        self.size = torch.distributed.get_world_size()
        self._plain = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        # In one message: most of a splat's tensors are too small to be worth one.
        together = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(together)
        sums = together.split([tensor.numel() for tensor in tensors])
        for tensor, summed in zip(tensors, sums, strict=True):
            tensor.copy_(summed.view_as(tensor))

    def align(self, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            torch.distributed.broadcast(tensor, src=0)

    def as_first(self, make: Callable[[], T]) -> T:
        made = [make() if self.is_first else None]
        torch.distributed.broadcast_object_list(made, src=0, group=self._plain)
        return made[0]  # type: ignore[return-value]

    def any(self, flag: bool) -> bool:
        flags = torch.tensor([flag], dtype=torch.int32)
        torch.distributed.all_reduce(flags, op=torch.distributed.ReduceOp.MAX, group=self._plain)
        return bool(flags.item())

    def leave(self) -> None:
        """End the connections. Threads that gloo still has when Python ends would abort the process."""
        del self._plain  # what is still referred to is not ended
        torch.distributed.destroy_process_group()


def is_one_of_several(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `torchrun` started this process as one of several."""
    return int(environ.get("WORLD_SIZE", "1")) > 1


def is_first(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is the first of several, or alone."""
    return int(environ.get("RANK", "0")) == 0


def own_device() -> torch.device:
    """The GPU of this process, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def joined(device: torch.device) -> Iterator[Team]:
    """The team of this process, for as long as the context lasts."""
    if not is_one_of_several():
        yield Alone()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=PATIENCE)
    team = Processes()
    try:
        yield team
    finally:
        team.leave()


def torchrun_command(gpus: int, program: str) -> list[str]:
    """What starts `program` (a module) once for each of `gpus`, after `python -m`."""
    return ["torch.distributed.run", "--standalone", "--nproc-per-node", str(gpus), "-m", program]
