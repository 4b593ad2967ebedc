"""Tiles cover a frame, are blended where they overlap, and are exact for a network that sees no neighbours."""

import pytest
import torch

from models.vae import VAEConfig, VideoVAE
from models.vae.tiling import _ramp, _spans, decode_tiled, encode_tiled

BLOCKS_ALONE = VAEConfig(
    channels=(8, 16), encoder_blocks=1, decoder_blocks=1, space_patch=4, time_patch=4, space_strides=(2,),
    time_strides=(1,), norm_groups=4, linear_path=True,
)  # fmt: skip
"""Untrained, it is its linear path, which treats every 8×8 pixels alone."""


@pytest.mark.parametrize(("side", "tile", "overlap"), [(5, 8, 2), (8, 8, 2), (9, 8, 2), (40, 8, 4), (23, 8, 0)])
def test_slopes_of_neighbours_sum_to_one_but_at_a_moved_last_tile(side: int, tile: int, overlap: int) -> None:
    spans = list(_spans(side, tile, overlap))
    assert spans[0][0] == 0
    assert spans[-1][1] == side
    weight = torch.zeros(side)
    for begin, end in spans:
        weight[begin:end] += _ramp(end - begin, begin > 0, end < side, overlap, 1)
    assert (weight > 0).all()
    regular = spans[-1][0] if len(spans) > 1 else side
    torch.testing.assert_close(weight[:regular], torch.ones(regular))


@torch.no_grad()
def test_tiles_are_exact_where_blocks_are_alone() -> None:
    vae, video = VideoVAE(BLOCKS_ALONE).eval(), torch.rand(1, 3, 5, 40, 56) * 2 - 1
    whole, tiled = vae.encode(video), encode_tiled(vae, video, 16, 8)
    torch.testing.assert_close(tiled.mean, whole.mean)
    torch.testing.assert_close(tiled.logvar, whole.logvar)
    torch.testing.assert_close(decode_tiled(vae, whole.mean, 16, 8), vae.decode(whole.mean))


@torch.no_grad()
def test_a_frame_no_larger_than_a_tile_is_not_cut() -> None:
    config = VAEConfig(channels=(8, 8, 16, 16), encoder_blocks=1, decoder_blocks=1, norm_groups=4)
    vae, video = VideoVAE(config).eval(), torch.rand(1, 3, 5, 24, 32) * 2 - 1
    whole = vae.encode(video).mean
    assert torch.equal(encode_tiled(vae, video, 32, 8).mean, whole)
    assert torch.equal(decode_tiled(vae, whole, 32, 8), vae.decode(whole))


@pytest.mark.parametrize(("tile", "overlap"), [(20, 8), (32, 4), (32, 24), (0, 0), (32, -8)])
def test_sizes_are_checked(tile: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=f"tiles of {tile} pixels that overlap by {overlap}"):
        encode_tiled(VideoVAE(BLOCKS_ALONE), torch.zeros(1, 3, 1, 32, 32), tile, overlap)


def test_a_frame_that_blocks_do_not_fill_is_refused() -> None:
    with pytest.raises(ValueError, match=r"16×20 pixels: height and width must be multiples of 8"):
        encode_tiled(VideoVAE(BLOCKS_ALONE), torch.zeros(1, 3, 1, 16, 20), 16, 8)
