import pytest
import torch
from torch import Tensor

from models.body import BodyModel, load_body


@pytest.fixture(scope="session")
def body() -> BodyModel:
    """The open body; built at the first run on a machine (a minute or two)."""
    return load_body("open")


@pytest.fixture
def random_parameters():
    """Betas, pose and translation with any batch shape."""

    def draw(*batch: int) -> tuple[Tensor, Tensor, Tensor]:
        return torch.randn(*batch, 10), 0.4 * torch.randn(*batch, 24, 3), torch.randn(*batch, 3)

    return draw
