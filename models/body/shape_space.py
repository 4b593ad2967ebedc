"""From sampled adults to what a body file holds: mean, shape directions in standard deviations, joint regressor.

Shapes: ``S`` sampled adults, ``V`` vertices, ``J`` joints, ``K`` = 10 betas.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

NUM_BETAS = 10


def principal_directions(
    vertices: Float[Tensor, "S V 3"],
) -> tuple[Float[Tensor, "V 3"], Float[Tensor, "K V 3"], Float[Tensor, "S K"]]:
    """Mean adult, principal directions scaled to one standard deviation, and the adults' betas.

    Positive betas stretch the body upwards, so that the signs do not depend on the linear algebra library.
    """
    template = vertices.mean(dim=0)
    offsets = rearrange(vertices - template, "s v c -> s (v c)")
    scores, scale, basis = torch.linalg.svd(offsets, full_matrices=False)
    directions = rearrange(basis[:NUM_BETAS], "k (v c) -> k v c", c=3)
    sign = einsum(directions[..., 1], template[:, 1], "k v, v -> k").sign()
    deviation = scale[:NUM_BETAS] / (len(vertices) - 1) ** 0.5
    directions = directions * (sign * deviation)[:, None, None]
    return template, directions, scores[:, :NUM_BETAS] * sign * scale[:NUM_BETAS] / deviation


def regress_joints(
    template: Float[Tensor, "V 3"],
    directions: Float[Tensor, "K V 3"],
    joints: Float[Tensor, "S J 3"],
    betas: Float[Tensor, "S K"],
    num_vertices: int = 800,
    tolerance_m: float = 3e-4,
) -> Float[Tensor, "J V"]:
    """Joints as sums of nearby vertices, with weights that add up to one.

    The joints' own mean and shape directions follow from least squares over the adults. Each row is then the smallest
    change of a uniform average over the nearest vertices that reproduces them to about ``tolerance_m``; exact rows
    would fit noise with large weights of either sign.
    """
    design = torch.cat([torch.ones_like(betas[:, :1]), betas], dim=1)
    wanted = torch.linalg.lstsq(design, rearrange(joints, "s j c -> s (j c)")).solution
    basis = torch.cat([template[None], directions])

    regressor = torch.zeros(joints.shape[1], len(template), dtype=template.dtype)
    for row, target in zip(regressor, rearrange(wanted, "k (j c) -> j k 1 c", c=3), strict=True):
        near = (template - target[0]).norm(dim=-1).argsort()[:num_vertices]
        offsets = rearrange(basis[:, near] - target, "k v c -> (k c) v") / tolerance_m
        rows = torch.cat([offsets, torch.full_like(offsets[:1], 1e4)])  # the last one keeps the sum at one
        uniform = torch.full_like(offsets[0], 1 / num_vertices)
        missing = torch.cat([-offsets @ uniform, torch.zeros_like(uniform[:1])])
        damped = rows @ rows.mT + num_vertices * torch.eye(len(rows), dtype=rows.dtype)
        row[near] = uniform + rows.mT @ torch.linalg.solve(damped, missing)
    return regressor
