"""Long clips go in and out of the autoencoder a few frames at a time."""

import numpy as np
import pytest
import torch

from models.timeline import TEMPORAL_FACTOR, num_frames
from pipelines.generation.animator import ENCODED_AT_ONCE, Animator

SHORT, LONG = num_frames(3), num_frames(2 * ENCODED_AT_ONCE + 3)


@pytest.fixture
def animator(make_dit, vae_checkpoint):
    return Animator(str(make_dit()), str(vae_checkpoint), "fp32", "cpu")


def noise(frames: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, 32, 32, 3), dtype=np.uint8)


def test_frames_are_asked_for_as_they_are_needed(animator, monkeypatch):
    asked, most, video = 0, 0, noise(LONG)
    encode_next = animator.vae._encode_next

    def one_by_one():
        nonlocal asked
        for frame in video:
            asked += 1
            yield frame

    def encoded(chunk, stream):
        nonlocal asked, most
        most, asked = max(most, asked), 0
        return encode_next(chunk, stream)

    monkeypatch.setattr(animator.vae, "_encode_next", encoded)
    streamed = animator.encode(one_by_one())
    assert most <= TEMPORAL_FACTOR * ENCODED_AT_ONCE < LONG
    whole = animator.vae.encode(torch.from_numpy(video).permute(3, 0, 1, 2)[None] / 127.5 - 1).mean
    torch.testing.assert_close(streamed, animator.info.normalise(whole), atol=1e-4, rtol=1e-4)


def test_a_clip_that_does_not_end_with_a_latent_is_refused(animator):
    with pytest.raises(ValueError, match="1 \\+ T frames"):
        animator.encode(noise(SHORT + 1))
    with pytest.raises(ValueError, match="multiple of 4 frames"):
        animator.encode(noise(LONG + 1))
