"""Which Gaussians have children, and what these are like. Pure torch: the same on CPU and CUDA."""

from __future__ import annotations

import torch
from torch import Tensor

from spaceport_gaussian.splat import Splat


def draw_by_score(score: Tensor, room: int, generator: torch.Generator) -> Tensor:
    """Up to `room` different indices drawn with odds by `score`, ascending; none with a score of 0.

    A race: each takes an exponential time at the rate of its score, the first ones in are drawn (Efraimidis
    and Spirakis 2006). `torch.multinomial` does the same, but refuses more than 2²⁴ candidates.
    """
    count = min(room, int((score > 0).sum()))
    if count <= 0:
        return torch.empty(0, dtype=torch.long, device=score.device)
    time = torch.empty(score.shape).exponential_(generator=generator).clamp_(min=1e-30)
    return (score / time.to(score.device)).topk(count).indices.sort().values


def halves(splat: Splat, parents: Tensor) -> dict[str, Tensor]:
    """Each of `parents` (P,) cut across its longest axis: the parameters of 2 P Gaussians.

    A Gaussian of deviation σ/2 at ±(√3/2) σ has, with its twin, the parent's variance: σ²/4 + 3σ²/4.
    """
    chosen = {name: tensor[parents] for name, tensor in splat.tensors.items()}
    longest = chosen["log_scales"].argmax(dim=1, keepdim=True)
    sigma = chosen["log_scales"].gather(1, longest).exp()
    axis = rotation_matrices(chosen["quats"]).gather(2, longest[:, None].expand(-1, 3, 1)).squeeze(2)
    offset = axis * sigma * 0.75**0.5
    halved = chosen["log_scales"].scatter_add(1, longest, torch.full_like(sigma, 0.5).log())
    born = {name: torch.cat([tensor, tensor]) for name, tensor in chosen.items()}
    born["means"] = torch.cat([chosen["means"] + offset, chosen["means"] - offset])
    born["log_scales"] = torch.cat([halved, halved])
    return born


def rotation_matrices(quats: Tensor) -> Tensor:
    """(N, 3, 3) from (N, 4) w x y z of any length; the columns are the Gaussians' own axes."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).reshape(-1, 3, 3)


def samples(splat: Splat, parents: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Two smaller Gaussians drawn from each parent, as 3DGS splits."""
    born = {name: torch.cat([tensor[parents]] * 2) for name, tensor in splat.tensors.items()}
    noise = torch.randn(born["means"].shape, generator=generator).to(parents.device)
    local = (noise * born["log_scales"].exp())[..., None]
    born["means"] = born["means"] + (rotation_matrices(born["quats"]) @ local).squeeze(-1)
    born["log_scales"] = born["log_scales"] - torch.tensor(1.6).log().item()  # 3DGS: φ = 1.6
    return born


def alive(splat: Splat, *, min_opacity: float, max_scale: float) -> Tensor:
    """(N,) those at least as opaque as `min_opacity` and no larger than `max_scale`, metres."""
    return (splat.opacities >= min_opacity) & (splat.scales.amax(dim=1) <= max_scale)


def staying(living: Tensor, parents: Tensor) -> Tensor:
    """The indices of those of `living` (N, bool) that are not among `parents`, ascending."""
    stay = living.clone()
    stay[parents] = False
    return stay.nonzero().squeeze(1)
