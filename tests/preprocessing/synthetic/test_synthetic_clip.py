from dataclasses import replace

import numpy as np
import pytest

from models.body import BodyModel
from preprocessing.sample import Sample, check
from preprocessing.sample_files import decode, encode
from preprocessing.synthetic.clip import ClipSettings, synthesize

TINY = ClipSettings("tiny", size=32, num_frames=5, fps=4.0)


def arrays(clip: Sample) -> dict[str, np.ndarray]:
    assert clip.background is not None
    return (
        {"video": clip.video, "background": clip.background, "masks": clip.masks}
        | vars(clip.bodies)
        | vars(clip.cameras)
    )


def test_the_same_numbers_give_the_same_clip(body: BodyModel) -> None:
    first, again = synthesize(body, TINY, 3), synthesize(body, TINY, 3)
    assert first.key == again.key
    assert first.meta == again.meta
    for name, value in arrays(first).items():
        np.testing.assert_array_equal(value, arrays(again)[name], err_msg=name)


def test_index_seed_and_split_each_change_person_motion_and_camera(body: BodyModel) -> None:
    clips = [
        synthesize(body, TINY, 3),
        synthesize(body, TINY, 4),
        synthesize(body, replace(TINY, seed=1), 3),
        synthesize(body, replace(TINY, split="test"), 3),
    ]
    assert len({clip.key for clip in clips}) == 4
    for name in ("betas", "pose", "world_to_camera", "video"):
        assert len({arrays(clip)[name].tobytes() for clip in clips}) == 4, name


def test_a_smaller_picture_shows_the_same_person_and_motion(body: BodyModel) -> None:
    small, large = synthesize(body, TINY, 5), synthesize(body, replace(TINY, size=64), 5)
    for name, value in vars(small.bodies).items():
        np.testing.assert_array_equal(value, getattr(large.bodies, name))
    assert small.key != large.key


def test_samples_keep_the_schema(clips: list[Sample]) -> None:
    for clip in clips:
        check(clip)
        assert clip.meta["licence"] == "CC0-1.0"
        assert clip.meta["body"] == "open"
        assert clip.meta["source"].startswith("synthetic:tiny-v1-train-64px")
        for name in ("betas", "pose", "translation", "confidence"):
            assert getattr(clip.bodies, name).dtype == np.float32
        assert clip.cameras.intrinsics.dtype == clip.cameras.world_to_camera.dtype == np.float32
    stored = decode(clips[0].key, encode(clips[0]))
    np.testing.assert_array_equal(stored.bodies.pose, clips[0].bodies.pose)
    np.testing.assert_array_equal(stored.masks, clips[0].masks)
    assert np.abs(stored.video.astype(int) - clips[0].video).mean() < 8


def test_people_are_in_the_picture_and_large(clips: list[Sample]) -> None:
    for clip in clips:
        edge = np.ones(clip.masks.shape[2:], bool)
        edge[1:-1, 1:-1] = False
        assert not clip.masks[..., edge].any()
        tall = clip.masks[0].any(axis=2).sum(axis=1).max() / clip.masks.shape[2]
        assert 0.45 < tall < 0.9


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"size": 60}, "60"),
        ({"num_frames": 16}, "use 13 or 17"),
        ({"fps": 0.0}, "fps"),
        ({"seed": -1}, "-1"),
        ({"split": "dev"}, "train, val, test"),
    ],
)
def test_settings_no_clip_can_have_are_refused(wrong: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ClipSettings(**wrong)
