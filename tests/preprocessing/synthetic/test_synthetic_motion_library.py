"""Recordings written here in every format come back as the motion that they were made from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from models.body import BodyModel
from preprocessing.manifest import SPLITS, read_manifest, write_manifest
from preprocessing.sample import Bodies, Cameras, Sample
from preprocessing.stages.write_shards import ShardConfig, ShardSet, pack_clip
from preprocessing.synthetic.motion.library import floor, open_library, resample
from preprocessing.synthetic.motion.performance import perform
from preprocessing.synthetic.motion.plan import Performance
from preprocessing.synthetic.motion.quality import foot_contact
from preprocessing.synthetic.motion.recordings import Recording, read_recording, read_shard_clip

ALL = {"train": 1.0, "val": 0.0, "test": 0.0}
BETAS = np.zeros(10, np.float32)
RATE, SECONDS = 120, 2
FPS, NUM_FRAMES = 15.0, 31  # every eighth frame of the recording


@pytest.fixture(scope="module")
def walked(body: BodyModel) -> Performance:
    return perform(np.random.default_rng(2), body, BETAS, RATE * SECONDS + 1, float(RATE), "walk")


def rotations(vectors: np.ndarray) -> np.ndarray:
    """Axis-angle to matrices by the exponential map."""
    x, y, z = torch.as_tensor(vectors).double().unbind(-1)
    o = torch.zeros_like(x)
    return torch.linalg.matrix_exp(torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))).numpy()


def in_other_axes(motion: Performance, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose (F×72) and translation in a world whose axes are the rows of ``axes``, seen in ours; and 1 m off."""
    pose = motion.pose.astype(np.float64).copy()
    pose[:, 0] = Rotation.from_matrix(axes @ rotations(pose[:, 0])).as_rotvec()
    return pose.reshape(len(pose), 72), motion.translation @ axes.T + [3.0, -1.0, 0.5]


Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # x, backwards, up
Y_DOWN = np.diag([1.0, -1.0, -1.0])


def write_amass(path: Path, motion: Performance) -> None:
    pose, trans = in_other_axes(motion, Z_UP)
    poses = np.concatenate([pose[:, :66], np.full((len(pose), 90), 0.2)], axis=1)
    np.savez(path, poses=poses, trans=trans, betas=np.zeros(16), gender="neutral", mocap_framerate=float(RATE))


def write_split_amass(path: Path, motion: Performance) -> None:
    pose, trans = in_other_axes(motion, Z_UP)
    np.savez(
        path,
        root_orient=pose[:, :3],
        pose_body=pose[:, 3:66],
        pose_hand=pose[:, :6],
        trans=trans,
        mocap_frame_rate=np.array(RATE),
    )


def write_surreal(path: Path, motion: Performance) -> None:
    pose, trans = in_other_axes(motion, Z_UP)
    np.savez(path, pose_01_02=pose, trans_01_02=trans)


def write_own(path: Path, motion: Performance) -> None:
    np.savez(path, pose=motion.pose, translation=motion.translation + np.float32(2.0), fps=float(RATE))


WRITERS = [write_amass, write_split_amass, write_surreal, write_own]


def joints(body: BodyModel, motion: Performance, step: int = 1) -> np.ndarray:
    pose, translation = torch.as_tensor(motion.pose[::step]), torch.as_tensor(motion.translation[::step])
    return body.joints(torch.as_tensor(BETAS).expand(len(pose), -1), pose, translation).double().numpy()


def assert_same_motion(body: BodyModel, imported: Performance, original: Performance, step: int) -> None:
    """But for where it begins and which way it faces."""
    wanted, found = joints(body, original, step), joints(body, imported)
    between = rotations(imported.pose[0, 0]) @ rotations(original.pose[0, 0]).T
    np.testing.assert_allclose(between[1], [0, 1, 0], atol=1e-5)
    wanted = (wanted - wanted[0, 0] * [1, 0, 1]) @ between.T
    np.testing.assert_allclose(found[:, :22], wanted[:, :22], atol=3e-3)  # metres; the floor is measured anew
    np.testing.assert_allclose(found[0, 0, [0, 2]], 0, atol=1e-6)


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_motion_back(
    body: BodyModel, walked: Performance, tmp_path: Path, write: Callable[[Path, Performance], None]
) -> None:
    write(tmp_path / "motion.npz", walked)
    library = open_library(tmp_path / "motion.npz", "train", ALL)
    imported = library.perform(np.random.default_rng(0), body, BETAS, NUM_FRAMES, FPS)
    assert_same_motion(body, imported, walked, RATE // int(FPS))
    if write is write_amass:
        assert not imported.pose[:, 22:].any()
    assert imported.pose.dtype == imported.translation.dtype == np.float32


def test_rotations_between_frames_are_slerped_at_the_true_rate() -> None:
    rng = np.random.default_rng(0)
    pose, path = rng.normal(size=(6, 24, 3)), rng.normal(size=(6, 3))
    time = np.array([0.0, 0.013, 0.05, 0.0999])
    found, moved = resample(Recording("r", pose, path, 50.0), time)
    for joint in (0, 5, 23):
        wanted = Slerp(np.arange(6) / 50, Rotation.from_rotvec(pose[:, joint]))(time).as_matrix()
        np.testing.assert_allclose(Rotation.from_rotvec(found[:, joint]).as_matrix(), wanted, atol=1e-9)
    for axis in range(3):
        np.testing.assert_allclose(moved[:, axis], np.interp(time, np.arange(6) / 50, path[:, axis]), atol=1e-12)


def test_windows_lie_anywhere_and_repeat_with_the_generator(
    body: BodyModel, walked: Performance, tmp_path: Path
) -> None:
    write_own(tmp_path / "motion.npz", walked)
    library = open_library(tmp_path, "train", ALL)
    first, again, other = (library.perform(np.random.default_rng(s), body, BETAS, 9, FPS) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.pose, again.pose)
    np.testing.assert_array_equal(first.translation, again.translation)
    assert np.abs(first.pose[0, 1:] - other.pose[0, 1:]).max() > 0.05


def test_a_motion_that_floats_or_sinks_is_put_on_the_ground(
    body: BodyModel, walked: Performance, tmp_path: Path
) -> None:
    for number, off in enumerate((0.3, -0.1, np.linspace(0, 0.08, len(walked.pose)))):
        shifted = walked.translation.copy()
        shifted[:, 1] += off
        np.savez(tmp_path / f"{number}.npz", pose=walked.pose, translation=shifted, fps=float(RATE))
        library = open_library(tmp_path / f"{number}.npz", "train", ALL)
        imported = library.perform(np.random.default_rng(0), body, BETAS, NUM_FRAMES, FPS)
        lowest = foot_contact(body, BETAS, imported.pose, imported.translation, FPS).lowest_m
        assert lowest.min() > -0.002
        assert np.median(lowest) < 0.03
    jumped = perform(np.random.default_rng(1), body, BETAS, 121, 60.0, "jump")
    np.savez(tmp_path / "jump.npz", pose=jumped.pose, translation=jumped.translation, fps=60.0)
    imported = open_library(tmp_path / "jump.npz", "train", ALL).perform(
        np.random.default_rng(0), body, BETAS, NUM_FRAMES, FPS
    )
    before, after = (foot_contact(body, BETAS, p.pose, p.translation, f).lowest_m
                     for p, f in ((jumped, 60.0), (imported, FPS)))  # fmt: skip
    assert abs(after.max() - before.max()) < 0.03  # jumps stay jumps


def test_the_floor_is_smooth_and_never_above_the_feet() -> None:
    lowest = 0.05 + np.maximum(0, np.sin(np.linspace(0, 12, 60))) * 0.3
    under = floor(lowest, 16.0)
    assert (under <= lowest + 1e-12).all()
    np.testing.assert_allclose(under, 0.05, atol=0.02)


def test_no_file_is_in_two_splits(walked: Performance, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number % 3}").mkdir(exist_ok=True)
        write_own(tmp_path / f"{number % 3}" / f"{number}.npz", walked)
    np.savez(tmp_path / "shape.npz", betas=np.zeros(16))  # as AMASS has it beside the motions of a subject
    shares = {"train": 0.4, "val": 0.3, "test": 0.3}
    found = {split: {entry.path for entry in open_library(tmp_path, split, shares).entries} for split in SPLITS}
    assert sum(map(len, found.values())) == len(set().union(*found.values())) == 12
    pose, trans = np.zeros((3, 72)), np.zeros((3, 3))
    arrays = {f"{kind}_{subject:02d}_{take:02d}": array for subject in range(12) for take in (1, 2)
              for kind, array in (("pose", pose), ("trans", trans))}  # fmt: skip
    np.savez(tmp_path / "smpl_data.npz", **arrays)
    subjects = [
        {entry.sequence[:2] for entry in open_library(tmp_path / "smpl_data.npz", split, shares).entries}
        for split in SPLITS
    ]
    assert sum(map(len, subjects)) == len(set().union(*subjects)) == 12


def shards(folder: Path, walked: Performance) -> None:
    """One clip at 15 fps of a camera's world (y down); the person is lost in frame 40, and later not sure."""
    pose, trans = in_other_axes(walked, Y_DOWN)
    frames, size = 31, 16
    pose, trans = pose[::8].reshape(1, frames, 24, 3), trans[None, ::8]
    valid, confidence = np.ones((1, frames), bool), np.full((1, frames), 0.9)
    valid[0, 20], confidence[0, 26:] = False, 0.2
    sample = Sample(
        key="0123abcd_00000000_00000031", video=np.zeros((frames, size, size, 3), np.uint8),
        masks=np.zeros((1, frames, size, size), bool),
        bodies=Bodies(np.zeros((1, 10)), pose, trans, confidence, valid),
        cameras=Cameras(np.tile(np.eye(3), (frames, 1, 1)), np.tile(np.eye(4), (frames, 1, 1))), fps=FPS,
        meta={"source": "video.mp4", "licence": "CC0-1.0", "scores": {}},
    )  # fmt: skip
    with ShardSet(folder, ShardConfig(10, 1e9)) as out:
        out.write(pack_clip(sample, "val"))
    write_manifest(folder, out.rows, "test")


def test_prepared_videos_give_the_stretches_in_which_somebody_is_surely_seen(
    body: BodyModel, walked: Performance, tmp_path: Path
) -> None:
    shards(tmp_path, walked)
    [row] = read_manifest(tmp_path)
    stretches = read_shard_clip(tmp_path, row)
    assert [len(stretch.pose) for stretch in stretches] == [20, 5]
    library = open_library(tmp_path, "val")
    imported = library.perform(np.random.default_rng(0), body, BETAS, 20, FPS)
    start = Performance("walk", walked.pose[: 8 * 20], walked.translation[: 8 * 20])
    assert_same_motion(body, imported, start, 8)
    with pytest.raises(ValueError, match=r"no motions in split 'train'"):
        open_library(tmp_path, "train")
    with pytest.raises(ValueError, match=r"0123abcd.*lasts 1\.27 s.*needs 2\.00 s"):
        library.perform(np.random.default_rng(0), body, BETAS, 31, FPS)
    (tmp_path / row.shard).unlink()
    with pytest.raises(ValueError, match=r"val-000000.tar.*cannot be read"):
        read_shard_clip(tmp_path, row)


GOOD = {"poses": np.zeros((9, 156)), "trans": np.zeros((9, 3)), "mocap_framerate": 60.0}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"poses": np.full((9, 156), np.nan)}, "poses of 9 frames hold NaN"),
        ({"trans": np.full((9, 3), np.inf)}, "translations of 9 frames hold NaN or infinity"),
        ({"poses": np.zeros((9, 63))}, r"\(9, 63\), expected F×66"),
        ({"poses": np.zeros((9, 2, 78))}, r"\(9, 2, 78\)"),
        ({"trans": np.zeros((8, 3))}, "expected 9×3"),
        ({"poses": np.zeros((1, 156)), "trans": np.zeros((1, 3))}, "1 frames are no motion"),
        ({"mocap_framerate": None}, "mocap_framerate or mocap_frame_rate"),
        ({"mocap_framerate": 0.0}, "from 1 to 1000"),
        ({"poses": None}, "no array root_orient"),
        ({"trans": None}, "a motion has poses and trans"),
        ({"poses": np.array([{"a": 1}], object)}, "cannot be read as numbers"),
        ({"poses": np.array([["a"]])}, "cannot be read as numbers"),
        ({"poses": None, "root_orient": np.zeros((9, 3)), "pose_body": np.zeros((8, 63))}, r"pose_body \(8, 63\)"),
        ({"pose": np.zeros((2, 9, 24, 3)), "translation": np.zeros((2, 9, 3))}, "one person a file"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, change: dict, says: str) -> None:
    arrays = {name: value for name, value in (GOOD | change).items() if value is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=rf"bad\.npz.*{says}"):
        read_recording(tmp_path / "bad.npz")


def test_files_that_are_no_archives_and_folders_without_motions_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.npz: cannot be read as \.npz"):
        open_library(tmp_path, "train", ALL)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match="single array"):
        read_recording(tmp_path / "one.npy")
    with pytest.raises(ValueError, match="no such file"):
        open_library(tmp_path / "nowhere", "train")
    with pytest.raises(ValueError, match="train, val, test"):
        open_library(tmp_path, "dev")


def test_a_recording_shorter_than_the_clip_is_named(body: BodyModel, tmp_path: Path) -> None:
    np.savez(tmp_path / "short.npz", **GOOD)
    with pytest.raises(ValueError, match=r"short\.npz: lasts 0\.13 s, a clip of 17 frames at 8 fps needs 2\.00 s"):
        open_library(tmp_path, "train", ALL).perform(np.random.default_rng(0), body, BETAS, 17, 8.0)
