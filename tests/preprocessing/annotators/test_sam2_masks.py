"""SAM 2's smallest network, with weights as they are initialised: the same masks as by its own reading of files."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from preprocessing.annotators.sam2_masks import SAM2Config, SAM2Masks, choose_prompts
from preprocessing.executor.outcome import MachineUnfit
from tests.sam2_factory import write_sam2

SIDE, FRAMES = 128, 6
"""Pixels that the network sees. Frames."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_sam2(tmp_path_factory.mktemp("sam2"), SIDE)


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of frames as SAM 2 reads it itself."""
    folder = tmp_path_factory.mktemp("frames")
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, 10, 14, 3)).astype(np.uint8)
    for number, picture in enumerate(noise):
        Image.fromarray(picture).resize((84, 60)).save(folder / f"{number:05d}.jpg")
    return folder


@pytest.fixture
def frames(jpegs: Path) -> np.ndarray:
    return np.stack([np.array(Image.open(path)) for path in sorted(jpegs.iterdir())])


def boxes_of(*people: tuple[int, int, int, int], frames: int = FRAMES) -> np.ndarray:
    return np.repeat(np.array(people, np.float32)[:, None], frames, axis=1)


def test_masks_are_those_of_sam2_reading_files(checkpoint, jpegs, frames):
    masks = SAM2Masks(SAM2Config(checkpoint, prompt_every=4, image_size=SIDE))
    boxes = boxes_of((5, 5, 30, 50), (50, 10, 80, 55))
    likely = masks(frames, boxes)
    state = masks.predictor.init_state(str(jpegs))
    for person, prompted in enumerate([[0, 4], [0, 4]]):
        for frame in prompted:
            masks.predictor.add_new_points_or_box(state, frame, person, box=boxes[person, frame])
    expected = np.zeros_like(likely)
    for frame, _, logits in masks.predictor.propagate_in_video(state):
        expected[:, frame] = (255 * logits[:, 0].sigmoid()).round().byte().numpy()
    assert likely.shape == (2, FRAMES, 60, 84)
    assert len(np.unique(likely)) > 2
    np.testing.assert_array_equal(likely, expected)


def test_people_may_come_later(checkpoint, frames):
    masks = SAM2Masks(SAM2Config(checkpoint, prompt_every=4, image_size=SIDE))
    boxes = boxes_of((5, 5, 30, 50), (50, 10, 80, 55))
    boxes[1, :2] = np.nan
    both = masks(frames, boxes)
    boxes[:, :2] = np.nan
    assert not masks(frames, boxes)[:, :2].any()
    assert both[:, 2:].any(axis=(1, 2, 3)).all()


def test_what_is_kept_does_not_grow_with_the_clip_and_changes_nothing(checkpoint, frames, monkeypatch):
    masks = SAM2Masks(SAM2Config(checkpoint, prompt_every=100, image_size=SIDE))
    masks.predictor.num_maskmem, masks.predictor.max_obj_ptrs_in_encoder = 2, 3
    long = np.concatenate([frames, frames[::-1]])
    boxes = boxes_of((5, 5, 30, 50), frames=len(long))
    kept = []
    forget = masks._forget

    def watched(state, frame, step):
        forget(state, frame, step)
        kept.append(len(state["output_dict_per_obj"][0]["non_cond_frame_outputs"]))

    monkeypatch.setattr(masks, "_forget", watched)
    bounded = masks(long, boxes)
    assert max(kept) == kept[-1] == 3
    monkeypatch.setattr(masks, "_forget", lambda state, frame, step: None)
    np.testing.assert_array_equal(bounded, masks(long, boxes))


def test_people_who_begin_entangled_are_followed_backwards(checkpoint, frames, monkeypatch):
    """Only where they have parted can they be prompted; they are seen long before. Nothing kept grows for it."""
    masks = SAM2Masks(SAM2Config(checkpoint, prompt_every=5, image_size=SIDE))
    masks.predictor.num_maskmem, masks.predictor.max_obj_ptrs_in_encoder = 2, 2
    long = np.concatenate([frames, frames[::-1]])
    boxes = boxes_of((5, 5, 30, 50), (50, 10, 80, 55), (60, 5, 84, 20), frames=len(long))
    boxes[1, :8] = boxes[0, :8] + 1
    boxes[:, 0] = np.nan
    boxes[2, :4] = np.nan
    assert choose_prompts(boxes, 5) == [[8, 10], [8, 10], [4, 5]]
    kept = []
    forget = masks._forget

    def watched(state, frame, step):
        forget(state, frame, step)
        kept.append((frame, len(state["output_dict_per_obj"][0]["non_cond_frame_outputs"])))

    monkeypatch.setattr(masks, "_forget", watched)
    bounded = masks(long, boxes)
    assert [frame for frame, _ in kept] == [*range(8, 0, -1), *range(4, 12)]
    assert max(count for _, count in kept) == 2
    assert bounded[:, 1:].any(axis=(2, 3)).all()
    assert not bounded[:, 0].any()
    monkeypatch.setattr(masks, "_forget", lambda state, frame, step: None)
    np.testing.assert_array_equal(bounded, masks(long, boxes))
    state = masks._start(long)
    for person, prompted in enumerate(choose_prompts(boxes, 5)):
        for frame in prompted:
            masks.predictor.add_new_points_or_box(state, frame, person, box=boxes[person, frame])
    masks._remember_prompts(state)
    backwards = masks.predictor.propagate_in_video(state, 8, reverse=True)
    expected = {frame: (255 * logits[:2, 0].sigmoid()).round().byte().numpy() for frame, _, logits in backwards}
    np.testing.assert_array_equal(bounded[:2, 1:8], np.stack([expected[f] for f in range(1, 8)], axis=1))


def test_too_little_memory_is_no_fault_of_the_clip(checkpoint, frames, monkeypatch):
    masks = SAM2Masks(SAM2Config(checkpoint, image_size=SIDE))

    def fault(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.\nSee the documentation")

    monkeypatch.setattr(masks.predictor, "add_new_points_or_box", fault)
    with pytest.raises(MachineUnfit, match=r"^SAM 2: CUDA out of memory.* 1 GiB\.: let fewer share a GPU"):
        masks(frames, boxes_of((5, 5, 30, 50)))


def test_a_fault_of_the_gpu_ends_the_process(checkpoint, frames, monkeypatch):
    """After it nothing works there, so that another process must take over."""
    masks = SAM2Masks(SAM2Config(checkpoint, image_size=SIDE))

    def fault(*_: object, **__: object) -> None:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(masks.predictor, "add_new_points_or_box", fault)
    with pytest.raises(SystemExit, match="SAM 2: CUDA error"):
        masks(frames, boxes_of((5, 5, 30, 50)))


def test_prompts_are_where_others_overlap_least():
    boxes = boxes_of((0, 0, 10, 20), (100, 0, 110, 20), frames=12)
    boxes[1, :3] = np.nan
    boxes[0, 4:8] = (96, 0, 106, 20)
    boxes[0, 6] = (88, 0, 98, 20)
    boxes[0, 8:], boxes[1, 8:] = (50, 0, 60, 20), (51, 0, 61, 20)
    assert choose_prompts(boxes, 4) == [[0, 6], [3, 6]]
    assert choose_prompts(boxes[:1], 5) == [[0, 5, 10]]
    assert choose_prompts(np.stack([boxes[0, 8:], boxes[1, 8:]]), 4) == [[0], [0]]  # hidden throughout
    with pytest.raises(ValueError, match=r"people \[1\] are seen in no frame"):
        choose_prompts(boxes[:, :3], 4)


def test_weights_that_are_not_there_or_not_these_are_told_about(tmp_path, checkpoint):
    with pytest.raises(ValueError, match=r"download sam2.1_hiera_tiny.pt from https:.* mask_people.sam2.checkpoint"):
        SAM2Masks(SAM2Config())
    missing = tmp_path / "sam2.1_hiera_large.pt"
    with pytest.raises(ValueError, match=r"no SAM 2 weights at .*large.pt'.*download sam2.1_hiera_large.pt"):
        SAM2Masks(SAM2Config(str(missing)))
    (tmp_path / "mine.pt").write_bytes(Path(checkpoint).read_bytes())
    with pytest.raises(ValueError, match=r"mine.pt is none of sam2.1_hiera_base_plus.pt, .*: keep its name"):
        SAM2Masks(SAM2Config(str(tmp_path / "mine.pt")))
    (tmp_path / "sam2.1_hiera_small.pt").write_bytes(Path(checkpoint).read_bytes())
    with pytest.raises(ValueError, match=r"small.pt is damaged, or of another SAM 2 .*: download it again"):
        SAM2Masks(SAM2Config(str(tmp_path / "sam2.1_hiera_small.pt"), image_size=SIDE))
    for settings, message in (({"image_size": 100}, "multiple of 64"), ({"prompt_every": 0}, "at least 1")):
        with pytest.raises(ValueError, match=message):
            SAM2Config(**settings)


@pytest.mark.skipif("ISA4D_SAM2" not in os.environ, reason="ISA4D_SAM2 is the place of a SAM 2 checkpoint")
def test_real_weights_find_the_person(real_videos):
    from preprocessing.annotators.follow_people import follow_people
    from preprocessing.annotators.mediapipe_pose import MediaPipePose
    from preprocessing.annotators.pose import PoseLandmarks
    from preprocessing.video import read_frames

    frames = read_frames(real_videos / "bedroom.mp4", 130, 139, size=(360, 640))
    stretches = follow_people(frames, MediaPipePose())[:2]
    people = [PoseLandmarks.of(stretch, len(frames), (360, 640)) for stretch in stretches]
    likely = SAM2Masks(SAM2Config(os.environ["ISA4D_SAM2"]))(frames, np.stack([p.boxes() for p in people]))
    for person, mask in zip(people, likely > 127, strict=True):
        theirs = person.segmentation > 127
        assert (mask & theirs).sum() > 0.7 * (mask | theirs).sum()
