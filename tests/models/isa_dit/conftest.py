from collections.abc import Callable

import pytest
import torch

from models.batch import BodyBatch, Conditions, ReferenceBatch
from models.isa_dit import ISADiT, ISADiTConfig

BATCH, LATENTS, FRAMES, SIDE, POINTS = 2, 3, 9, 4, 10


def make_body(people: int, frames: int) -> BodyBatch:
    """People three metres before a camera at the origin, points spread over a metre."""
    points = torch.randn(BATCH, people, frames, POINTS, 3) * torch.tensor([0.5, 0.5, 0.2]) + torch.tensor([0, 0, 3.0])
    intrinsics = torch.tensor([[40.0, 0, 16], [0, 40, 16], [0, 0, 1]]).expand(BATCH, frames, 3, 3).clone()
    world_to_camera = torch.eye(4).expand(BATCH, frames, 4, 4).clone()
    world_to_camera[:, :, 0, 3] = torch.linspace(0, 0.3, frames)
    return BodyBatch(
        points=points,
        rest_points=torch.randn(BATCH, people, POINTS, 3),
        person_mask=torch.ones(BATCH, people, dtype=torch.bool),
        intrinsics=intrinsics,
        world_to_camera=world_to_camera,
        image_size=(SIDE * 8, SIDE * 8),
    )


@pytest.fixture
def make_conditions() -> Callable[..., Conditions]:
    def make(people: int = 1, pictures: int = 1) -> Conditions:
        torch.manual_seed(1)
        keep = torch.ones(BATCH, dtype=torch.bool)
        latents, tokens = torch.randn(BATCH, pictures, 16, SIDE, SIDE), torch.randn(BATCH, pictures, 5, 64)
        shown = torch.arange(people)[:, None] % pictures == torch.arange(pictures)
        reference = ReferenceBatch(latents, tokens, make_body(people, pictures), shown.expand(BATCH, -1, -1))
        background = torch.randn(BATCH, 16, LATENTS, SIDE, SIDE)
        return Conditions(background, reference, make_body(people, FRAMES), keep, keep, keep)

    return make


@pytest.fixture(params=[True, False], ids=["merged", "every frame"])
def tiny(request) -> ISADiT:
    """A network whose zero-initialised layers are not zero, so that everything reaches the output."""
    torch.manual_seed(0)
    sizes = {"width": 32, "body_width": 24, "depth": 2, "heads": 2, "body_heads": 2, "num_frequencies": 4}
    network = ISADiT(ISADiTConfig(**sizes, merge_frames=request.param)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network
