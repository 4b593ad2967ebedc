"""Clips of a network that has learned nothing, and conditions exchanged between the clips of a batch."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from models.batch import BodyBatch
from pipelines.evaluation.shuffle import shuffled_camera, shuffled_motion
from pipelines.generate import clip
from preprocessing.manifest import read_manifest
from preprocessing.video import decode_frames, read_metadata


def bodies(clips: int) -> BodyBatch:
    return BodyBatch(
        points=torch.randn(clips, 1, 5, 7, 3),
        rest_points=torch.randn(clips, 1, 7, 3),
        person_mask=torch.ones(clips, 1, dtype=torch.bool),
        intrinsics=torch.eye(3).expand(clips, 5, 3, 3),
        world_to_camera=torch.eye(4).expand(clips, 5, 4, 4),
        image_size=(16, 16),
    )


def test_another_clips_motion_begins_where_the_own_one_did():
    own = bodies(3)
    shuffled = shuffled_motion(own)
    torch.testing.assert_close(shuffled.points[:, :, 0].mean(dim=2), own.points[:, :, 0].mean(dim=2))
    moves = own.points - own.points[:, :, :1]
    torch.testing.assert_close(shuffled.points - shuffled.points[:, :, :1], moves.roll(1, dims=0))


def test_conditions_are_exchanged_exactly_under_autocast():
    own = replace(
        bodies(3), world_to_camera=torch.eye(4).repeat(3, 5, 1, 1) + 0.01 * torch.arange(3)[:, None, None, None]
    )
    with torch.autocast("cpu", torch.bfloat16):
        changed = shuffled_motion(own).points, shuffled_camera(own).world_to_camera
    for ours, exact in zip(changed, (shuffled_motion(own).points, shuffled_camera(own).world_to_camera), strict=True):
        torch.testing.assert_close(ours, exact, rtol=0, atol=0)


def test_one_clip_has_no_other_motion():
    with pytest.raises(ValueError, match="two clips"):
        shuffled_motion(bodies(1))


def test_people_and_pictures_of_them_are_exchanged_along_with_their_motion():
    points, rest, maps = torch.randn(2, 2, 5, 7, 3), torch.randn(2, 2, 7, 3), torch.zeros(2, 4, 5, 16, 16)
    maps[0, :, :, 2:6, 3:7], maps[1, :, :, 8:12, 9:13] = 1, 1
    mask = torch.tensor([[True, False], [True, True]])
    shuffled = shuffled_motion(replace(bodies(2), points=points, rest_points=rest, person_mask=mask, maps=maps))
    assert shuffled.person_mask.tolist() == [[True, True], [True, False]]
    assert torch.equal(shuffled.rest_points, rest.flip(0))
    assert torch.equal(shuffled.maps, maps)  # equal squares, each moved to where the own one was
    first = [points[0, :1, 0].mean(dim=(0, 1)), shuffled.points[0, :, 0].mean(dim=(0, 1))]
    torch.testing.assert_close(first[1], first[0])


def test_another_clips_camera_path_begins_at_the_own_camera():
    own = bodies(2)
    cameras = torch.eye(4).repeat(2, 5, 1, 1)
    cameras[0, :, 0, 3] = 7
    cameras[1, :, 2, 3] = torch.linspace(3, 4, 5)
    moved = shuffled_camera(replace(own, world_to_camera=cameras)).world_to_camera
    torch.testing.assert_close(moved[:, 0], cameras[:, 0])
    torch.testing.assert_close(moved[0, :, 2, 3], torch.linspace(0, 1, 5))
    torch.testing.assert_close(moved[1, :, :3, 3], cameras[1, :1, :3, 3].expand(5, -1))


@pytest.mark.parametrize("options", [{}, {"control": "normals"}], ids=["isa", "control net"])
def test_two_people_from_pictures_of_their_own_in_a_clip_longer_than_a_window(
    options, people_shards, make_dit, vae_checkpoint, tmp_path
):
    keys = [f"{people_shards}#{row.key}" for row in read_manifest(people_shards)[:3]]
    motion, camera = tmp_path / "m.npz", "orbit"
    turn = np.zeros((2, 21, 24, 3), np.float32)
    turn[..., 0, 0] = np.pi  # from y up to the camera's axes
    place = np.tile(np.float32([[[-0.4, 0, 0]], [[0.4, 0, 0]]]), (1, 21, 1))
    np.savez(motion, pose=turn, translation=place, fps=np.array(8.0))
    checkpoint, out = make_dit(**options), tmp_path / "o" / "two people.mp4"
    made = {"checkpoint": str(checkpoint), "vae": str(vae_checkpoint), "steps": 2, "window": 13, "overlap": 8}
    clip(keys[:2], str(motion), str(out), camera, **made)
    video = decode_frames(out.read_bytes())
    assert video.shape == (21, 32, 32, 3)
    assert np.asarray(Image.open(out.with_suffix(".png"))).shape[0] == 4 * 32  # two references, bodies, result
    recipe = json.loads(out.with_suffix(".json").read_text())
    assert recipe["generated"] is True
    assert recipe["checkpoint_sha256"] in read_metadata(out)["comment"]

    again, other = tmp_path / "again.mp4", tmp_path / "other.mp4"
    clip(keys[:2], str(motion), str(again), camera, **made)
    assert np.array_equal(video, decode_frames(again.read_bytes()))
    clip([keys[0], keys[2]], str(motion), str(other), camera, **made)
    assert not np.array_equal(video, decode_frames(other.read_bytes()))
    clip(keys[:2], str(motion), str(other), camera, guidance_interval=(0.0, 0.9), **made)
    assert not np.array_equal(video, decode_frames(other.read_bytes()))


def test_a_motion_of_more_people_than_are_shown_is_refused(people_shards, make_dit, vae_checkpoint, tmp_path):
    key = f"{people_shards}#{read_manifest(people_shards)[0].key}"
    np.savez(tmp_path / "m.npz", pose=np.zeros((3, 5, 24, 3)), translation=np.zeros((3, 5, 3)), fps=np.array(8.0))
    with pytest.raises(ValueError, match="moves 3 people, the references show 2"):
        clip(key, str(tmp_path / "m.npz"), "o.mp4", checkpoint=str(make_dit()), vae=str(vae_checkpoint))


def test_a_clip_must_be_named_as_one():
    with pytest.raises(ValueError, match=r"outputs/shards: .* ends in .mp4"):
        clip("a.png", "walk.npz", "outputs/shards")
