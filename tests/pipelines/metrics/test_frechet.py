"""Fréchet distances against closed forms, and FVD's plumbing with a small network of I3D's interface."""

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import _compute_fid

from pipelines.metrics.frechet import VideoFeatures, frechet_distance, fvd, i3d_input, rank_warning


class NoI3D(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=[1, 2, 3, 4])


def with_moments(n: int, mean: np.ndarray, covariance: np.ndarray, seed: int = 0) -> np.ndarray:
    """n numbers whose sample mean and covariance are exactly these."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ np.linalg.cholesky(covariance).T + mean


def test_gaussians_of_one_shape_are_apart_by_their_means() -> None:
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    first, second = (with_moments(50, np.array(mean), covariance, i) for i, mean in enumerate(([0.0, 0], [3.0, 4])))
    assert frechet_distance(first, second) == pytest.approx(25)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_gaussians_of_one_mean_and_other_spreads() -> None:
    """Independent axes: the sum of the squared differences of the deviations."""
    deviations = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.5])
    first, second = (with_moments(40, np.zeros(3), np.diag(d**2), i) for i, d in enumerate(deviations))
    assert frechet_distance(first, second) == pytest.approx(1 + 0 + 6.25)


@pytest.mark.parametrize("n", [300, 20])
def test_it_is_torchmetrics_and_scipys(n: int) -> None:
    """With full rank, and with fewer features than dimensions."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(n, 32)), rng.normal(size=(n, 32)) @ rng.normal(size=(32, 32)) / 5 + 0.3
    mean_1, mean_2, cov_1, cov_2 = first.mean(0), second.mean(0), np.cov(first.T), np.cov(second.T)
    theirs = _compute_fid(*(torch.from_numpy(x) for x in (mean_1, cov_1, mean_2, cov_2))).item()
    assert frechet_distance(first, second) == pytest.approx(theirs, rel=1e-4)
    if n > 32:
        root = scipy.linalg.sqrtm(cov_1 @ cov_2).real
        expected = np.square(mean_1 - mean_2).sum() + np.trace(cov_1 + cov_2 - 2 * root)
        assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_the_interval_holds_the_distance_and_shrinks() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for n in (30, 480):
        true = rng.normal(size=(n, 4))
        result = fvd(true, true + rng.normal(0.5, 0.2, size=(n, 4)))
        assert result["clips"] == n
        assert result["low"] < result["mean"] < result["high"]
        widths.append(result["high"] - result["low"])
    assert widths[1] < widths[0] / 2


def test_too_few_clips_for_the_rank_are_told() -> None:
    assert rank_warning(401, 400) is None
    assert "400 features have rank 99" in (rank_warning(100, 400) or "")


def test_what_i3d_is_given() -> None:
    video = torch.linspace(-1, 1, 60).expand(1, 3, 20, 40, 60).contiguous() * 1.5
    x = i3d_input(video)
    assert x.shape == (1, 3, 16, 224, 224)  # 40×60 → 224×336, and its middle 224 columns
    assert x.abs().max() <= 1
    middle = torch.nn.functional.interpolate(video[:, :, 0].clamp(-1, 1), (224, 336), mode="bilinear")[..., 56:-56]
    torch.testing.assert_close(x[:, :, 3], middle)
    assert i3d_input(torch.rand(1, 3, 10, 300, 224)).shape == (1, 3, 10, 224, 224)


def test_features_are_the_networks(small_i3d: Path) -> None:
    video = torch.rand(2, 3, 17, 32, 32) * 2 - 1
    found = VideoFeatures(small_i3d)(video)
    network = torch.jit.load(str(small_i3d))
    expected = network(i3d_input(video), rescale=False, resize=False, return_features=True)
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5)


def test_mistakes_are_named(tmp_path: Path, small_i3d: Path) -> None:
    with pytest.raises(ValueError, match=r"no I3D network at nowhere: download i3d_torchscript\.pt from https"):
        VideoFeatures("nowhere")
    (tmp_path / "text.pt").write_text("no program")
    with pytest.raises(ValueError, match="is no TorchScript file"):
        VideoFeatures(tmp_path / "text.pt")
    torch.jit.script(NoI3D()).save(str(tmp_path / "other.pt"))
    with pytest.raises(ValueError, match="does not take a video with rescale, resize and return_features"):
        VideoFeatures(tmp_path / "other.pt")(torch.zeros(1, 3, 10, 8, 8))
    with pytest.raises(ValueError, match="10 frames or more, not 9"):
        VideoFeatures(small_i3d)(torch.zeros(1, 3, 9, 8, 8))
    with pytest.raises(ValueError, match="2 clips or more, not 1"):
        frechet_distance(np.zeros((1, 3)), np.zeros((1, 3)))
