"""What users name on the command line of ``generate``, right and wrong."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from models.body import load_body
from models.geometry import project
from pipelines.generation import estimation, scene
from pipelines.generation.scene import Motion
from preprocessing.annotators.follow_people import follow_people
from preprocessing.annotators.mediapipe_pose import MediaPipePose
from preprocessing.rendering.bodies import render_bodies
from preprocessing.sample import Bodies
from preprocessing.video import read_frames, write_video
from tests.shard_factory import make_sample, small_shards, write_shards

SIZE = (48, 64)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_shards(tmp_path_factory.mktemp("shards"))


def write_motion(path: Path, frames: int = 7, **changes: np.ndarray) -> str:
    arrays = {"pose": np.zeros((frames, 24, 3)), "translation": np.zeros((frames, 3)), "fps": np.array(8.0)}
    np.savez(path, **(arrays | changes))
    return str(path)


def test_a_clip_is_found_by_the_beginning_of_its_key(shards):
    whole = make_sample(6)
    found = scene.read_clip(f"{shards}#{whole.key[:8]}", SIZE)
    assert found.key == whole.key
    np.testing.assert_allclose(found.bodies.pose, whole.bodies.pose)


@pytest.mark.parametrize(("key", "message"), [("nobody", "no clip begins with"), ("clip", "8 clips begin with")])
def test_unknown_and_ambiguous_keys_are_refused(shards, key, message):
    with pytest.raises(ValueError, match=message):
        scene.read_clip(f"{shards}#{key}", SIZE)


def test_a_motion_file_is_cut_to_whole_latents(tmp_path):
    motion = scene.read_motion(write_motion(tmp_path / "m.npz", frames=7), SIZE)
    assert motion.bodies.pose.shape == (1, 5, 24, 3)
    assert (motion.cameras, motion.fps) == (None, 8.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pose": np.zeros((7, 23, 3))}, "expected P×F×24×3"),
        ({"translation": np.full((7, 3), np.nan)}, "NaN"),
    ],
)
def test_broken_motions_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        scene.read_motion(write_motion(tmp_path / "m.npz", **changes), SIZE)


def test_a_head_moves_with_its_expressions(tmp_path):
    face = np.random.default_rng(0).random((6, 43)).astype(np.float32)
    motion = {"pose": np.zeros((6, 5, 3)), "translation": np.zeros((6, 3)), "fps": 8.0}
    np.savez(tmp_path / "m.npz", **motion, expression=face)
    bodies = scene.read_motion(str(tmp_path / "m.npz"), SIZE).bodies
    assert bodies.pose.shape == (1, 5, 5, 3)
    np.testing.assert_array_equal(bodies.expression[0], face[:5])
    np.savez(tmp_path / "m.npz", **motion)
    assert scene.read_motion(str(tmp_path / "m.npz"), SIZE).bodies.expression is None
    np.savez(tmp_path / "m.npz", **motion | {"pose": np.zeros((6, 24, 3))}, expression=face)
    with pytest.raises(ValueError, match=r"expression \(1, 6, 43\) with pose \(1, 6, 24, 3\)"):
        scene.read_motion(str(tmp_path / "m.npz"), SIZE)


def test_a_camera_of_its_own_choice_is_filled_by_the_head():
    zero = np.zeros((1, 5), np.float32)
    still = np.zeros((1, 5, 5, 3), np.float32)
    bodies = Bodies(np.zeros((1, 10), np.float32), still, np.zeros((1, 5, 3), np.float32), zero, zero > 0)
    cameras = scene.choose_cameras("own", Motion(bodies, None, 8.0), SIZE, "open-head")
    chin_and_crown = torch.tensor([[0.0, 0.06, 0.12], [0.0, 0.28, 0.03]])
    pixels, _ = project(
        chin_and_crown, torch.from_numpy(cameras.intrinsics[0]), torch.from_numpy(cameras.world_to_camera[0])
    )
    assert 0.5 < (pixels[0, 1] - pixels[1, 1]) / SIZE[0] < 0.8


def test_a_motion_without_an_array_or_file_is_refused(tmp_path):
    np.savez(tmp_path / "m.npz", pose=np.zeros((5, 24, 3)))
    with pytest.raises(ValueError, match="no array translation, fps"):
        scene.read_motion(str(tmp_path / "m.npz"), SIZE)
    with pytest.raises(ValueError, match=r"none\.txt: a motion is FOLDER#KEY, an \.npz, or a video that ends in \.3g2"):
        scene.read_motion("none.txt", SIZE)
    with pytest.raises(ValueError, match="is a head"):
        scene.read_motion("none.mp4", SIZE, "open-head")
    with pytest.raises(ValueError, match=r"none\.npz"):
        scene.read_motion(str(tmp_path / "none.npz"), SIZE)


def test_the_motion_of_a_real_video_is_estimated(real_videos, tmp_path):
    """Two shots; the longer one counts, and the body lies over the person in the picture."""
    shot = read_frames(real_videos / "default_juggle.mp4", 0, 22, step=2, size=(270, 480))
    other = np.full((7, 270, 480, 3), (200, 40, 40), np.uint8)
    write_video(tmp_path / "v.mp4", np.concatenate([other, shot]), fps=12.0)
    motion = scene.read_motion(str(tmp_path / "v.mp4"), (72, 128))
    assert motion.fps == 12
    assert motion.bodies.pose.shape == (1, 9, 24, 3)
    assert motion.cameras.intrinsics[0, 0, 2] == pytest.approx(64)
    _, drawn = render_bodies(load_body("open"), motion.bodies, motion.cameras, (72, 128))
    juggler = follow_people(shot[:9], MediaPipePose())[0]
    annotated = [juggler[frame].segmentation >= 128 for frame in range(9)]
    seen = np.stack([cv2.resize(mask.astype(np.float32), (128, 72)) for mask in annotated]) > 0.5
    assert (drawn & seen).sum() / (drawn | seen).sum() > 0.6
    write_video(tmp_path / "empty.mp4", np.full((20, 64, 64, 3), 90, np.uint8), fps=25.0)
    with pytest.raises(ValueError, match=r"empty\.mp4, the shot from 0\.0 to 0\.8 s: no person: none found"):
        scene.read_motion(str(tmp_path / "empty.mp4"), SIZE)


def test_a_motion_of_too_many_frames_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(estimation, "MOST_FRAMES", 10)
    write_video(tmp_path / "v.mp4", np.full((21, 64, 64, 3), 90, np.uint8), fps=50.0)
    with pytest.raises(ValueError, match=r"the shot from 0\.0 to 0\.4 s: 11 frames, at most 10"):
        scene.read_motion(str(tmp_path / "v.mp4"), SIZE)


def person_at(x: float, z: float, frames: int = 5) -> Motion:
    zero = np.zeros((1, frames), np.float32)
    translation = np.tile(np.float32([x, 0, z]), (1, frames, 1))
    bodies = Bodies(
        np.zeros((1, 10), np.float32), np.zeros((1, frames, 24, 3), np.float32), translation, zero, zero > 0
    )
    return Motion(bodies, None, 8.0)


def test_a_camera_of_its_own_choice_sees_the_whole_body():
    motion = person_at(1.0, 2.0)
    cameras = scene.choose_cameras("own", motion, SIZE, "open")
    around = torch.tensor([[1.0, y, 2.0] for y in np.linspace(-0.85, 0.75, 9)], dtype=torch.float32)
    pixels, depth = project(
        around, torch.from_numpy(cameras.intrinsics[0]), torch.from_numpy(cameras.world_to_camera[0])
    )
    assert (depth > 0.5).all()
    assert (pixels >= 0).all()
    assert (pixels <= torch.tensor([SIZE[1], SIZE[0]])).all()
    assert pixels[0, 1] > pixels[-1, 1]  # y up in the world, down in the picture


def test_orbit_keeps_its_distance_and_looks_at_the_people():
    motion = person_at(1.0, 2.0)
    still = scene.choose_cameras("static", motion, SIZE, "open")
    orbit = scene.choose_cameras("orbit", motion, SIZE, "open")
    np.testing.assert_allclose(orbit.world_to_camera[0], still.world_to_camera[0], atol=1e-5)
    centre = np.array([1.0, 0, 2.0, 1.0])
    seen = orbit.world_to_camera @ centre
    np.testing.assert_allclose(seen, np.tile(seen[0], (5, 1)), atol=1e-4)  # the centre stays where it was in the camera
    facing = orbit.world_to_camera[:, 2, :3]
    angle = np.degrees(np.arccos(np.clip(facing[0] @ facing[-1], -1, 1)))
    assert angle == pytest.approx(scene.ORBIT_DEGREES, abs=3)


def test_cameras_from_a_file_are_scaled_to_the_picture(tmp_path):
    intrinsics = np.tile(np.diag([100.0, 100, 1]), (5, 1, 1))
    np.savez(
        tmp_path / "c.npz", intrinsics=intrinsics, world_to_camera=np.tile(np.eye(4), (5, 1, 1)), image_size=(96, 128)
    )
    cameras = scene.choose_cameras(str(tmp_path / "c.npz"), person_at(0, 3), SIZE, "open")
    assert cameras.intrinsics[0, 0, 0] == pytest.approx(50)


def test_unknown_cameras_are_refused():
    with pytest.raises(ValueError, match="own, static, orbit"):
        scene.choose_cameras("fly", person_at(0, 3), SIZE, "open")


def test_backgrounds_come_from_clips_and_pictures(shards, tmp_path):
    clip = make_sample(2)
    found = np.stack(list(scene.read_background(f"{shards}#{clip.key}", 5, SIZE)))
    np.testing.assert_allclose(found.astype(float), clip.background[:5], atol=12)
    Image.fromarray(np.full((96, 128, 3), 77, np.uint8)).save(tmp_path / "b.png")
    held = list(scene.read_background(str(tmp_path / "b.png"), 3, SIZE))
    assert [picture.shape for picture in held] == 3 * [(*SIZE, 3)]
    assert all((picture == 77).all() for picture in held)
    with pytest.raises(ValueError, match="9 frames for a motion of 13"):
        list(scene.read_background(f"{shards}#{clip.key}", 13, SIZE))


def test_a_background_video_is_read_as_it_is_needed(tmp_path):
    levels = 20 * np.arange(1, 8, dtype=np.uint8)
    write_video(tmp_path / "b.mp4", np.tile(levels[:, None, None, None], (1, 96, 64, 3)), fps=8.0)
    frames = scene.read_background(str(tmp_path / "b.mp4"), 5, SIZE)
    first = next(frames)
    assert first.shape == (*SIZE, 3)
    found = [first, *frames]
    np.testing.assert_allclose([frame.mean() for frame in found], levels[:5], atol=2)
    with pytest.raises(ValueError, match="7 frames for a motion of 9"):
        list(scene.read_background(str(tmp_path / "b.mp4"), 9, SIZE))


def test_references_and_motions_are_of_the_body_that_is_generated(tmp_path):
    sample = make_sample(0)
    sample.meta["body"] = "open-head"
    folder = write_shards(tmp_path / "s", [("test", sample)])
    assert scene.read_reference(f"{folder}#{sample.key}", SIZE, "open-head").key == sample.key
    with pytest.raises(ValueError, match=r"are of open-head, and --body is open: set it to open-head"):
        scene.read_reference(f"{folder}#{sample.key}", SIZE, "open")
    with pytest.raises(ValueError, match=r"are of open-head, and --body is open: set it to open-head"):
        scene.read_motion(f"{folder}#{sample.key}", SIZE, "open")


def test_a_picture_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        scene.read_reference(str(tmp_path / "a.png"), SIZE, "open")


def test_everyone_in_a_picture_comes_from_left_to_right(real_videos, tmp_path):
    picture = read_frames(real_videos / "bedroom.mp4", 160, 161, size=(360, 640))[0]
    Image.fromarray(picture).save(tmp_path / "children.png")
    both = scene.read_reference(str(tmp_path / "children.png"), (72, 128), "open", people=2)
    assert both.masks.shape == (2, 1, 72, 128)
    hips = both.bodies.translation[:, 0] @ both.cameras.intrinsics[0].T
    boy, girl = hips[:, 0] / hips[:, 2]
    assert boy < 25
    assert 45 < girl < 70
    square = scene.read_reference(str(tmp_path / "children.png"), (72, 72), "open", people=2)
    np.testing.assert_array_equal(square.masks.sum((2, 3)), both.masks.sum((2, 3)))  # nobody is cut
    (girl_alone,) = scene.read_reference(str(tmp_path / "children.png"), (72, 128), "open").masks[:, 0]
    larger = both.masks[:, 0].sum(axis=(1, 2)).argmax()
    assert (girl_alone & both.masks[larger, 0]).sum() > 0.9 * girl_alone.sum()
    with pytest.raises(ValueError, match=r"children\.png: 3 people are asked for, 2 found; give a picture that shows"):
        scene.read_reference(str(tmp_path / "children.png"), (72, 128), "open", people=3)


def test_people_who_do_not_fit_are_told_about(capsys):
    sample = make_sample(3, people=2)
    scene._framed("wide.png", sample, (48, 64))
    assert not capsys.readouterr().err
    masks = np.zeros_like(sample.masks)
    masks[0, ..., :16], masks[1, ..., 40:] = True, True
    scene._framed("wide.png", replace(sample, masks=masks), (48, 24))
    assert capsys.readouterr().err == "wide.png: 0% and 100% of its people fall outside the network's 48×24 pixels\n"
