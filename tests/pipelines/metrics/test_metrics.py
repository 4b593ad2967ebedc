import math

import pytest
import torch

from datamodules.clips import to_pixels
from pipelines.metrics.image import MAX_PSNR_DB, psnr, ssim
from pipelines.metrics.silhouette import iou, silhouette, silhouette_iou
from tests.shard_factory import make_sample


def constant(*values: float) -> torch.Tensor:
    """A batch of clips of 2 frames, each of one value."""
    return torch.tensor(values)[:, None, None, None, None].expand(-1, 3, 2, 16, 16).clone()


def test_psnr_of_a_constant_error_is_its_closed_form():
    video, target = constant(0.5, 0.0, 0.3), constant(0.3, 0.02, 0.3)
    expected = torch.tensor([20 * math.log10(2 / 0.2), 20 * math.log10(2 / 0.02), MAX_PSNR_DB])
    torch.testing.assert_close(psnr(video, target), expected, rtol=1e-4, atol=1e-3)


def test_psnr_is_the_mean_over_frames():
    video, target = constant(0.0), constant(0.0)
    video[:, :, 0], video[:, :, 1] = 0.2, 0.02
    torch.testing.assert_close(psnr(video, target), torch.tensor([30.0]), rtol=1e-4, atol=1e-3)


def test_ssim_of_constants_is_its_closed_form():
    a, b, c1 = 0.5, 0.2, (0.01 * 2) ** 2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    torch.testing.assert_close(
        ssim(constant(a, a), constant(b, a)), torch.tensor([expected, 1.0]), rtol=1e-4, atol=1e-4
    )


def test_ssim_has_no_value_in_frames_below_its_window():
    assert ssim(torch.zeros(1, 3, 1, 11, 11), torch.zeros(1, 3, 1, 11, 11)).item() == 1
    with pytest.raises(ValueError, match=r"11 pixels or more, not \(10, 16\)"):
        ssim(torch.zeros(1, 3, 1, 10, 16), torch.zeros(1, 3, 1, 10, 16))


def test_ssim_falls_with_noise_and_psnr_follows_its_variance():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(1, 3, 2, 64, 64, generator=generator) - 0.5
    noise = torch.randn(target.shape, generator=generator)
    scores = [ssim(target + s * noise, target).item() for s in (0.0, 0.05, 0.2)]
    assert scores[0] == pytest.approx(1, abs=1e-5)
    assert scores[0] > scores[1] > scores[2]
    assert psnr(target + 0.05 * noise, target).item() == pytest.approx(20 * math.log10(2 / 0.05), abs=0.1)


def test_what_lies_outside_the_range_is_clipped():
    torch.testing.assert_close(psnr(constant(3.0), constant(1.0)), torch.tensor([MAX_PSNR_DB]))


def test_iou_of_half_overlapping_rectangles_is_a_third():
    first, second = torch.zeros(2, 1, 4, 8, dtype=torch.bool), torch.zeros(2, 1, 4, 8, dtype=torch.bool)
    first[0, :, :, 0:4], second[0, :, :, 2:6] = True, True
    torch.testing.assert_close(iou(first, second), torch.tensor([1 / 3, 1.0]))


def test_silhouettes_found_by_subtraction_match_the_true_masks():
    for number in range(3):
        sample = make_sample(number, people=2)
        video, background = to_pixels(sample.video), to_pixels(sample.background)
        masks = torch.from_numpy(sample.masks)[None]
        assert silhouette_iou(video, background, masks).item() == pytest.approx(1)
        noisy = video + 0.02 * torch.randn(video.shape, generator=torch.Generator().manual_seed(0))
        assert silhouette_iou(noisy, background, masks).item() > 0.97
        moved = silhouette_iou(video.roll(6, dims=-1), background.roll(6, dims=-1), masks).item()
        assert 0.2 < moved < 0.6
        assert silhouette_iou(background, background, masks).item() == 0


def test_shadows_are_not_people():
    sample = make_sample(0)
    background = to_pixels(sample.background)
    shadow = background.clone()
    shadow[..., :20] = 0.65 * (background[..., :20] + 1) - 1
    masks = torch.from_numpy(sample.masks)[None]
    assert silhouette_iou(shadow, background, torch.zeros_like(masks)).item() == 1
    person = shadow.clone()
    person[:, 0, :, 10:30, 5:15] = 0.9
    assert silhouette(person, background)[:, :, 10:30, 5:15].all()
