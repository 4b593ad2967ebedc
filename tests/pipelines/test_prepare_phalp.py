"""From videos and the results of 4D-Humans to shards: its bodies over its masks, whatever the size that is stored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as coco
from scipy.spatial.transform import Rotation

from datamodules.shards import Shards
from models.body import load_body
from models.body.identity import body_identity
from models.body.open_body import ensure_open_body
from models.geometry import project
from pipelines.prepare import DEFAULTS, default_settings, main
from preprocessing.annotators.phalp_tracks import intrinsics_of
from preprocessing.annotators.results import require_own_results
from preprocessing.manifest import read_manifest, read_rejects
from preprocessing.rendering.bodies import render_bodies
from preprocessing.sample import Bodies, Cameras
from preprocessing.sample_files import decode
from preprocessing.video import write_video
from tests.limits import no_limits
from tests.phalp_factory import FOCAL_OF_LONGER_SIDE, write_results

SIZE, FRAMES = (240, 320), 9
NUMBERS = (7, 3)
"""Of the tracks: the one on the right has the smaller number."""


def walkers() -> Bodies:
    """Two upright people who walk side by side, tens of metres away, as PHALP places them."""
    x = np.array([-0.8, 0.8])[:, None] + 0.02 * np.arange(FRAMES)
    translation = np.stack([x, np.full_like(x, 0.1), np.full_like(x, 50.0)], axis=-1).astype(np.float32)
    pose = np.zeros((2, FRAMES, 24, 3), np.float32)
    pose[:, :, 0] = Rotation.from_euler("xy", [np.pi, 0.3]).as_rotvec()
    pose[:, :, 16:18, 2] = np.float32([-1.2, 1.2])  # arms down
    sure = np.ones((2, FRAMES), np.float32)
    return Bodies(np.zeros((2, 10), np.float32), pose, translation, sure, sure.astype(bool))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bodies]:
    """A folder with ``videos`` and ``results``."""
    folder, bodies = tmp_path_factory.mktemp("phalp"), walkers()
    cameras = Cameras(
        np.repeat(intrinsics_of(SIZE)[None], FRAMES, 0), np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1))
    )
    _, masks = render_bodies(load_body("open"), bodies, cameras, SIZE)
    video = np.random.default_rng(0).integers(90, 160, (FRAMES, *SIZE, 3)).astype(np.uint8)
    for mask, colour in zip(masks, ((200, 30, 20), (10, 40, 220)), strict=True):
        video[mask] = colour
    for name in ("videos", "results"):
        (folder / name).mkdir()
    for name, shown in (("walk", video), ("unknown", video[:, ::-1]), ("small", video[:, :120]), ("long", video[::-1])):
        write_video(folder / "videos" / f"{name}.mp4", shown, 24.0)
    frames = {}
    for f in range(FRAMES):
        path = f"outputs/_DEMO/walk/img/{f + 1:06d}.jpg"
        frames[path] = frame = {"time": f, "frame_path": path, "shot": 0, "tracked_ids": []}
        for person in (1, 0):
            if (f, person) == (4, 1):
                continue  # lost for a frame
            frame["tracked_ids"].append(NUMBERS[person])
            for name, value in entry(bodies, masks, f, person).items():
                frame.setdefault(name, []).append(value)
    for name in ("walk", "small"):
        write_results(folder / "results" / f"demo_{name}.pkl", frames)
    last = f"outputs/_DEMO/walk/img/{FRAMES + 1:06d}.jpg"
    write_results(folder / "results" / "demo_long.pkl", frames | {last: frames[path] | {"time": FRAMES}})
    return folder, bodies


def entry(bodies: Bodies, masks: np.ndarray, f: int, person: int) -> dict[str, object]:
    """What PHALP says of a person in a frame."""
    rotations = Rotation.from_rotvec(bodies.pose[person, f]).as_matrix()
    y, x = np.nonzero(masks[person, f])
    rle = coco.encode(np.asfortranarray(masks[person, f].astype(np.uint8)))
    return {
        "tid": NUMBERS[person],
        "tracked_time": 0,
        "bbox": np.array([x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1], float),
        "conf": 0.9,
        "size": list(SIZE),
        "smpl": {"betas": bodies.betas[person], "global_orient": rotations[:1], "body_pose": rotations[1:]},
        "camera": bodies.translation[person, f],
        "mask": [{"size": rle["size"], "counts": rle["counts"].decode()}],
    }


def words(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        f"--videos={folder / 'videos'}",
        f"--out={out}",
        f"--config={DEFAULTS.parent / 'phalp.yaml'}",
        f"--track_people.phalp.results={folder / 'results'}",
        f"--estimate_body.body={ensure_open_body()}",
        "--split_scenes.num_frames=9",
        "--split_scenes.min_frames=9",
        *no_limits("filter_clips"),
        "--reject_copies=false",
        *more,
    ]


def test_bodies_and_masks_are_those_of_4d_humans(made: tuple[Path, Bodies], tmp_path: Path) -> None:
    assert intrinsics_of(SIZE)[0, 0] == FOCAL_OF_LONGER_SIDE * 320
    (folder, bodies), out = made, tmp_path / "out"
    main(words(folder, out, "--annotate_side=256", "--max_side=160"))
    assert not [r for r in read_rejects(out) if r.source == "walk.mp4"]
    (row,) = read_manifest(out)
    sample = decode(*Shards(out, row.split).read(0))
    assert row.body == sample.meta["body"] == body_identity(ensure_open_body())
    assert sample.video.shape == (FRAMES, 120, 160, 3)
    assert sample.masks.shape[0] == 2
    np.testing.assert_allclose(sample.bodies.pose[0], bodies.pose[0], atol=1e-5)  # the left one first
    np.testing.assert_allclose(sample.bodies.translation, bodies.translation, atol=1e-4)  # the gap is bridged
    assert sample.bodies.valid.tolist() == [[True] * FRAMES, [f != 4 for f in range(FRAMES)]]
    assert not sample.masks[1, 4].any()
    hips, _ = project(
        torch.from_numpy(bodies.translation).transpose(0, 1),
        torch.from_numpy(sample.cameras.intrinsics),
        torch.from_numpy(sample.cameras.world_to_camera),
    )
    in_video, _ = project(
        torch.from_numpy(bodies.translation[:, 0]), torch.from_numpy(intrinsics_of(SIZE)), torch.eye(4)
    )
    torch.testing.assert_close(hips[0], in_video / 2, rtol=0, atol=0.51)  # half a pixel where a side is cut
    scores = sample.meta["scores"]
    assert scores["mask_iou"] > 0.9
    assert scores["found_share"] == pytest.approx(8 / 9)
    assert (scores["num_people"], scores["longest_gap"], scores["id_switches"]) == (2, 1, 0)
    assert scores["focal"] == pytest.approx(FOCAL_OF_LONGER_SIDE, rel=1e-3)
    assert "reprojection_error" not in scores
    assert sample.meta["annotators"]["body"] == "4D-Humans"
    rejects = {reject.source: reject.reason for reject in read_rejects(out)}
    assert rejects.keys() == {"unknown.mp4", "small.mp4", "long.mp4"}
    assert "demo_long.pkl ends with frame 9, the video has 9: is it another's" in rejects["long.mp4"]
    assert "demo_unknown.pkl: run 4D-Humans on the video" in rejects["unknown.mp4"]
    assert "demo_small.pkl is of pictures of (240, 320) (H, W), the video's have (120, 320)" in rejects["small.mp4"]


def test_one_who_is_lost_for_too_long_is_a_stray(made: tuple[Path, Bodies], tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(words(made[0], out, "--track_people.max_gap_frames=0", "--track_people.max_stray_share=1"))
    assert not [r for r in read_rejects(out) if r.source == "walk.mp4"]
    (row,) = read_manifest(out)
    scores = decode(*Shards(out, row.split).read(0)).meta["scores"]
    assert (scores["num_people"], scores["found_share"]) == (1, 1)
    assert scores["stray_share"] == pytest.approx(8 / 9)


def test_videos_of_one_name_do_not_share_results() -> None:
    phalp = default_settings().track_people
    phalp.annotator = "phalp"
    require_own_results(["a/walk.mp4", "b/run.mp4", "a/walk.mp4"], phalp)  # two parts of one
    with pytest.raises(ValueError, match=r"a/walk.mp4 and b/walk.one.mov have the same results, demo_walk.pkl"):
        require_own_results(["a/walk.mp4", "b/walk.one.mov"], phalp)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("--estimate_body.body=open", "4D-Humans estimates SMPL bodies: give estimate_body.body"),
        ("--estimate_body.body=nowhere.pkl", "no body file at nowhere.pkl"),
        ("--track_people.phalp.results=nowhere", "'nowhere', which is no folder"),
        ("--track_people.annotator=hmr3", "track_people.annotator is 'hmr3', it must be one of mediapipe, phalp"),
    ],
)
def test_what_every_clip_would_miss_is_told_at_once(
    made: tuple[Path, Bodies], tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, message: str
) -> None:
    with pytest.raises(SystemExit):
        main(words(made[0], tmp_path / "out", wrong))
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True
