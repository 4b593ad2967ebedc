"""From videos and annotations of the user's own to shards: the bodies and cameras that the file holds."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datamodules.shards import Shards
from models.body import load_body
from pipelines.prepare import DEFAULTS, main, parse
from preprocessing.annotators.own_people import read_own
from preprocessing.annotators.sam2_masks import SAM2Masks
from preprocessing.executor import StageFailed
from preprocessing.job import job_hash
from preprocessing.manifest import read_manifest, read_rejects
from preprocessing.prepare_clip import Clip, PrepareClip
from preprocessing.rendering.bodies import render_bodies
from preprocessing.sample import STILL_CAMERA, Bodies, Cameras, Sample
from preprocessing.sample_files import decode
from preprocessing.scan_video import file_version
from preprocessing.sources import Source, find_sources
from preprocessing.video import write_video
from preprocessing.window import Window
from tests.limits import no_limits
from tests.sam2_factory import write_sam2

SIZE, FRAMES = (240, 320), 13


def scene() -> tuple[Bodies, Cameras]:
    """Two people who stand in the world, y up, before a camera that turns and comes nearer while its lens zooms."""
    x = np.array([-0.6, 0.6])[:, None] + 0.01 * np.arange(FRAMES)
    translation = np.stack([x, np.zeros_like(x), np.zeros_like(x)], axis=-1).astype(np.float32)
    pose = np.zeros((2, FRAMES, 24, 3), np.float32)
    pose[:, :, 0, 1] = [[0.3], [-0.4]]
    pose[:, :, 16:18, 2] = np.float32([-1.2, 1.2])  # arms down
    valid = np.ones((2, FRAMES), bool)
    valid[1, 5] = False
    world_to_camera = np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1))
    for f in range(FRAMES):
        world_to_camera[f, :3, :3] = Rotation.from_euler("yx", [0.01 * f, np.pi]).as_matrix()
        world_to_camera[f, :3, 3] = (0, 0.1, 5 - 0.05 * f)
    intrinsics = np.tile(np.float32([[300, 0, 160], [0, 300, 120], [0, 0, 1]]), (FRAMES, 1, 1))
    intrinsics[:, [0, 1], [0, 1]] += 2 * np.arange(FRAMES, dtype=np.float32)[:, None]
    betas = np.random.default_rng(0).normal(size=(2, 10)).astype(np.float32)
    return Bodies(betas, pose, translation, valid.astype(np.float32), valid), Cameras(intrinsics, world_to_camera)


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder with ``videos``, and what is to be said of ``stand.mp4``."""
    folder, (bodies, cameras) = tmp_path_factory.mktemp("npz"), scene()
    _, masks = render_bodies(load_body("open"), bodies, cameras, SIZE)
    video = np.random.default_rng(0).integers(90, 160, (FRAMES, *SIZE, 3)).astype(np.uint8)
    whose = np.zeros((FRAMES, *SIZE), np.uint8)
    for number, (mask, colour) in enumerate(zip(masks, ((200, 30, 20), (10, 40, 220)), strict=True), start=1):
        video[mask] = colour
        whose[mask] = number
    for name in ("videos", "annotations"):
        (folder / name).mkdir()
    write_video(folder / "videos" / "stand.mp4", video, 24.0)
    arrays = {name: getattr(bodies, name) for name in ("betas", "pose", "translation", "valid")}
    return folder, arrays | vars(cameras) | {"whose": whose}


def words(folder: Path, *more: str) -> list[str]:
    return [
        f"--videos={folder / 'videos'}",
        f"--config={DEFAULTS.parent / 'npz.yaml'}",
        f"--track_people.npz.folder={folder / 'annotations'}",
        "--split_scenes.num_frames=13",
        "--split_scenes.min_frames=13",
        *no_limits("filter_clips"),
        "--annotate_side=256",
        "--max_side=160",
        *more,
    ]


def annotate(folder: Path, arrays: dict[str, np.ndarray] | None) -> None:
    """Put the file beside the video."""
    path = folder / "annotations" / "stand.npz"
    path.unlink(missing_ok=True)
    if arrays is not None:
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def prepared(folder: Path, arrays: dict[str, np.ndarray] | None, *more: str) -> Sample | str:
    """The clip that comes of these annotations, or why none does."""
    annotate(folder, arrays)
    video = str(folder / "videos" / "stand.mp4")
    config = parse([*words(folder, *more), "--out=unused"])[2]
    clip = Clip(Source("stand.mp4", video, "CC0-1.0"), "0" * 64, file_version(video), SIZE, Window(0, FRAMES, 1, 24.0))
    sam2 = partial(SAM2Masks, config.mask_people.sam2) if config.mask_people.annotator == "sam2" else None
    try:
        packed = PrepareClip(config, sam2)(clip).packed
    except StageFailed as failed:
        return failed.failure.reason
    return decode(packed.row.key, packed.files)


def test_bodies_cameras_and_masks_are_those_of_the_file(annotated, tmp_path):
    (folder, arrays), (bodies, cameras), out = annotated, scene(), tmp_path / "out"
    annotate(folder, arrays)
    main([*words(folder), f"--out={out}"])
    assert read_rejects(out) == []
    sample = decode(*Shards(out, read_manifest(out)[0].split).read(0))
    np.testing.assert_array_equal(sample.bodies.pose, bodies.pose)
    np.testing.assert_array_equal(sample.bodies.translation, bodies.translation)
    np.testing.assert_array_equal(sample.bodies.betas, bodies.betas)
    np.testing.assert_array_equal(sample.bodies.valid, bodies.valid)
    np.testing.assert_array_equal(sample.cameras.world_to_camera, cameras.world_to_camera)
    np.testing.assert_allclose(sample.cameras.intrinsics[:, :2], cameras.intrinsics[:, :2] / 2, rtol=1e-6)
    assert sample.has_camera
    scores = sample.meta["scores"]
    assert scores["mask_iou"] > 0.9
    assert scores["found_share"] == pytest.approx(12 / 13)
    assert (scores["num_people"], scores["id_switches"]) == (2, 0)
    assert scores["joint_acceleration"] < 0.01  # in the world, where nobody moves
    assert scores["camera_turn"] == pytest.approx(np.degrees(0.01), rel=0.01)
    assert sample.meta["annotators"]["body"] == sample.meta["annotators"]["camera"] == "the user's own"


def test_a_camera_that_is_not_told_stands_still(annotated):
    folder, arrays = annotated
    still = {name: array for name, array in arrays.items() if name not in ("world_to_camera", "valid")}
    still["pose"] = still["pose"].copy()
    still["pose"][:, :, 0] = Rotation.from_euler("x", np.pi).as_rotvec()
    still["translation"] = still["translation"] + np.float32([0, 0, 5])
    still["intrinsics"] = still["intrinsics"][0]
    sample = prepared(folder, still, *no_limits("filter_bodies"))
    assert isinstance(sample, Sample)
    assert not sample.has_camera
    assert sample.meta["annotators"]["camera"] == STILL_CAMERA
    assert (sample.cameras.world_to_camera == np.eye(4)).all()


def test_without_masks_sam2_makes_them(annotated, tmp_path):
    folder, arrays = annotated
    bare = {name: array for name, array in arrays.items() if name != "whose"}
    assert "stand.npz: no array whose, and masks are not those of SAM 2" in prepared(folder, bare)
    weights = write_sam2(tmp_path, 64)
    sam2 = ["--mask_people.annotator=sam2", f"--mask_people.sam2.checkpoint={weights}"]
    limits = ["--mask_people.sam2.image_size=64", "--mask_people.threshold=0"]
    sample = prepared(folder, bare, *sam2, *limits, *no_limits("filter_bodies", "verify_clip"))
    assert isinstance(sample, Sample)
    assert sample.meta["annotators"]["masks"].startswith("sam2")


def test_a_video_without_a_file_is_rejected_for_that(annotated):
    (annotated[0] / "annotations" / "other.npz").touch()
    reason = prepared(annotated[0], None)
    assert "stand.npz: annotate the video, or give another track_people.npz.folder" in reason


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pose": np.zeros((2, 13, 22, 3))}, r"pose has shape \(2, 13, 22, 3\), expected \(2, 13, 24, 3\)"),
        ({"pose": np.zeros((13, 24, 3))}, "pose has shape .*expected P×V×24×3"),
        ({"translation": np.zeros((2, 12, 3))}, r"translation has shape \(2, 12, 3\)"),
        ({"betas": np.full((2, 10), np.nan)}, "betas holds NaN or infinity"),
        ({"intrinsics": np.eye(4)}, "intrinsics has shape"),
        ({"whose": np.zeros((13, 8, 8))}, "whose has shape .* whole numbers"),
        ({"whose": np.full((13, 240, 320), 3)}, "whose is 3 in frame 0: 0 is nobody, and there are 2 people"),
        ({"whose": np.full((13, 240, 320), -1)}, "whose is -1 in frame 0"),
        ({"pose": np.full((2, 13, 24, 3), 1e300)}, "a rotation of more than 4 π"),
        ({"world_to_camera": np.tile(2 * np.eye(4), (13, 1, 1))}, "world_to_camera that is no rigid motion"),
        ({"whose": np.array(["a"], object)}, "whose must be an array of numbers"),
        ({"valid": np.full((2, 13), "yes")}, "valid must be an array of numbers"),
        ({"names": np.array(["a"], object)}, None),
    ],
)
def test_what_a_file_cannot_say_is_named(annotated, tmp_path, wrong, message):
    np.savez(tmp_path / "a.npz", **(annotated[1] | wrong))
    if message is None:  # a pickle is not read; the rest is
        assert read_own(tmp_path / "a.npz").whose is not None
        return
    with pytest.raises(ValueError, match=message):
        read_own(tmp_path / "a.npz")


def test_nobody_in_a_window_is_told(annotated):
    folder, arrays = annotated
    alone = arrays | {"valid": arrays["valid"] & [[True], [False]]}
    assert "somebody who is valid in no frame" in prepared(folder, alone)
    moved = arrays | {"translation": arrays["translation"] + np.float32([0, 0, 50])}  # behind the camera
    assert prepared(folder, moved) == "no person: none found in any frame"


def test_other_numbers_make_another_job(annotated):
    config, jobs = parse([*words(annotated[0]), "--out=unused"])[2], set()
    sources, _ = find_sources(annotated[0] / "videos", config.sources)
    for pose in (0.0, 0.1):
        annotate(annotated[0], annotated[1] | {"pose": np.full((2, FRAMES, 24, 3), pose)})
        jobs.add(job_hash(sources, config))
    assert len(jobs) == 2


def test_a_file_of_another_video_is_told(annotated):
    folder, arrays = annotated
    per_frame = ("pose", "translation", "valid", "intrinsics", "world_to_camera", "whose")
    for frames, told in ((9, "of 9 frames, frames 0…13 are asked for"), (14, "of 14 frames, the video has 13")):
        taken = {
            name: np.take(arrays[name], np.arange(frames) % FRAMES, axis=int(name in ("pose", "translation", "valid")))
            for name in per_frame
        }
        assert told in prepared(folder, arrays | taken)
    small = arrays | {"whose": arrays["whose"][:, ::2, ::2]}
    assert "whose is of pictures of (120, 160) (H, W)" in prepared(folder, small)
