"""PSNR over chosen pixels, and that it is the evaluation's."""

import pytest
import torch

from models.vae.psnr import psnr
from pipelines.metrics import image


def test_psnr_counts_only_the_pixels_asked_for() -> None:
    target = torch.zeros(1, 3, 1, 4, 4)
    video = target.clone()
    video[..., :2] += 0.2
    where = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    where[..., :2] = True
    assert psnr(video, target, where).item() == pytest.approx(20, abs=1e-4)  # 10 log10(4 / 0.04)
    assert psnr(video, target, torch.ones_like(where)).item() == pytest.approx(20 + 3.0103, abs=1e-3)


def test_psnr_is_the_mean_over_frames_that_have_such_pixels() -> None:
    target = torch.zeros(2, 3, 3, 8, 8)
    video = target.clone()
    for frame, error in enumerate((0.2, 0.02, 2.0)):  # 20 and 40 dB, and what nobody asks for
        video[:, :, frame] += error
    where = torch.ones(2, 3, 8, 8, dtype=torch.bool)
    where[:, 2] = False
    assert psnr(video, target, where).item() == pytest.approx(30, abs=1e-3)
    where[1, 1] = False  # the second clip: 20 dB
    assert psnr(video, target, where).item() == pytest.approx(25, abs=1e-3)
    where[1] = False
    assert psnr(video, target, where).item() == pytest.approx(30, abs=1e-3)


def test_psnr_of_all_pixels_is_that_of_the_evaluation() -> None:
    video, target = torch.rand(2, 3, 5, 16, 16) * 2.4 - 1.2, torch.rand(2, 3, 5, 16, 16) * 2 - 1
    video[:, :, 0] = target[:, :, 0]  # at most 100 dB
    video[:, :, 1] = 0.99 * target[:, :, 1]
    everywhere = torch.ones(2, 5, 16, 16, dtype=torch.bool)
    assert psnr(video, target, everywhere).item() == pytest.approx(image.psnr(video, target).mean().item(), abs=1e-3)
