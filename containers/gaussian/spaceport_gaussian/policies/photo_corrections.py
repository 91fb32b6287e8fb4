"""What is learnt of each training photo beside the splat: used while training, never delivered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from spaceport_gaussian.distributed import Team
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat


class PhotoCorrection(Protocol):
    """A policy that explains a photo by more than the splat; values are one tensor for each photo."""

    def neutral(self) -> Tensor:
        """The values that change nothing, to which the mean over all photos is held."""
        ...

    def rate_at(self, progress: float) -> float:
        """Adam's rate when the share `progress` (0..1) of the budget is spent."""
        ...

    def moved(self, splat: Splat, photo: Photo, values: Tensor, extent: float) -> Splat:
        """The splat as it stands before the camera of `photo`; `extent` of the scene in metres."""
        ...

    def developed(self, image: Tensor, values: Tensor) -> Tensor:
        """The render (H, W, 3) as the photo would have it."""
        ...

    def sizes(self, values: Tensor, extent: float) -> dict[str, float]:
        """How far all photos' `values` are from neutral, root mean squares by name. Waits for the device."""
        ...


class PhotoCorrections:
    """The values of a run's corrections, with an Adam of their own.

    After each step the values' mean over the photos is put back to neutral. What all photos have in common
    belongs into the splat: else it drifts there and back, and views without corrections, held-out ones
    and the user's, drift away (seen with exposures: from 18.5 to 15.8 dB).

    Args:
        policies: none: nothing is corrected, and nothing done.
        photos: how many there are to train on.
        batch: by how many of them a step is taken; rates are √batch times as high, as the splat's.
        extent: of the scene, metres.
    """

    def __init__(
        self,
        policies: Sequence[PhotoCorrection],
        *,
        photos: int,
        batch: int,
        extent: float,
        device: torch.device,
    ) -> None:
        self._policies = tuple(policies)
        self._photos = photos
        self._extent = extent
        self._per_batch = batch**0.5
        self._neutral = [policy.neutral().to(device) for policy in policies]
        self._values = [
            neutral.expand(photos, *neutral.shape).clone().requires_grad_(True) for neutral in self._neutral
        ]
        groups = [{"params": [values]} for values in self._values]
        self._adam = torch.optim.Adam(groups, fused=True) if groups else None

    def moved(self, splat: Splat, photo: Photo, index: int) -> Splat:
        """The splat as it stands before the camera of `photo`, the `index`-th to train on."""
        for policy, values in zip(self._policies, self._values, strict=True):
            splat = policy.moved(splat, photo, values[index], self._extent)
        return splat

    def developed(self, image: Tensor, index: int) -> Tensor:
        """The render (H, W, 3) as the `index`-th photo would have it."""
        for policy, values in zip(self._policies, self._values, strict=True):
            image = policy.developed(image, values[index])
        return image

    def gather(self, team: Team) -> None:
        """Take the gradients of all processes' photos. Their sum: Adam does not mind a factor."""
        if self._adam is not None:
            team.add_up([values.grad for values in self._values if values.grad is not None])

    @torch.no_grad()
    def step(self, progress: float) -> None:
        """Take one step by the gradients of the last backward pass, and clear them."""
        if self._adam is None:
            return
        for group, policy in zip(self._adam.param_groups, self._policies, strict=True):
            group["lr"] = policy.rate_at(progress) * self._per_batch
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        for values, neutral in zip(self._values, self._neutral, strict=True):
            values.sub_(values.mean(dim=0) - neutral)

    def forget_gradients(self) -> None:
        """Clear those of a backward pass that no step will be taken by."""
        if self._adam is not None:
            self._adam.zero_grad(set_to_none=True)

    def sizes(self) -> dict[str, float]:
        """How far the photos are from neutral, by name. Waits for the device."""
        found: dict[str, float] = {}
        for policy, values in zip(self._policies, self._values, strict=True):
            found |= policy.sizes(values.detach(), self._extent)
        return found

    def state_dict(self) -> dict[str, Any]:
        return {
            "photos": self._photos,
            "values": [values.detach() for values in self._values],
            "adam": None if self._adam is None else self._adam.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        for values, saved in zip(self._values, state["values"], strict=True):
            values.copy_(saved)
        if self._adam is not None:
            self._adam.load_state_dict(state["adam"])
