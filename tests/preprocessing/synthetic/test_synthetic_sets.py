from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from models.body import BodyModel, load_body
from preprocessing.executor import StageFailed
from preprocessing.manifest import SPLITS
from preprocessing.sample import NUM_HEAD_JOINTS, check
from preprocessing.sample_files import decode, decode_geometry, encode
from preprocessing.synthetic.clip import ClipSettings, synthesize
from preprocessing.synthetic.own import Own, deal, find_assets
from preprocessing.synthetic.scene.hdri import read_panorama
from preprocessing.synthetic.sets import PEOPLE, PLACES, POOL, SETS


def settings(name: str, **more) -> ClipSettings:
    return ClipSettings(name, **{"size": 64, "num_frames": 5, "fps": 4.0, **more})


def test_splits_share_nobody_and_nowhere() -> None:
    for pool in (PEOPLE, PLACES):
        assert set(pool) == set(SPLITS)
        for one, other in combinations(pool.values(), 2):
            assert not set(one) & set(other)
        assert max(max(numbers) for numbers in pool.values()) < POOL  # nor do two seeds


def test_clips_are_drawn_from_the_pools_of_their_split(body: BodyModel) -> None:
    for split in SPLITS:
        for seed in (0, 3):
            meta = synthesize(body, settings("tiny", split=split, seed=seed), 1).meta
            assert all(number - seed * POOL in PEOPLE[split] for number in meta["people"])
            assert meta["place"] - seed * POOL in PLACES[split]


@pytest.mark.parametrize("name", [name for name, recipe in SETS.items() if not recipe.faces])
def test_every_set_keeps_what_its_recipe_says(body: BodyModel, name: str) -> None:
    recipe = SETS[name]
    for index in range(3):
        clip = synthesize(body, settings(name), index)
        check(clip)
        assert clip.meta["split"] == recipe.split
        assert clip.num_people in recipe.people
        assert len(set(clip.meta["people"])) == clip.num_people
        assert clip.meta["scores"]["in_frame"] >= recipe.in_frame
        moves = np.ptp(clip.cameras.world_to_camera, axis=0).max() > 0
        assert moves == (clip.meta["camera"] != "static")
        assert moves or recipe.moving < 1
        assert not moves or recipe.moving > 0
        assert clip.background is not None
        if clip.num_people > 1:
            assert clip.meta["scores"]["apart_m"] > 0.05


def test_mask_shows_the_clips_of_camera_before_black(body: BodyModel) -> None:
    for index in range(2):
        seen, alone = (synthesize(body, settings(name), index) for name in ("camera", "mask"))
        assert alone.background is not None
        assert not alone.background.any()
        np.testing.assert_array_equal(seen.bodies.pose, alone.bodies.pose)
        np.testing.assert_array_equal(seen.cameras.world_to_camera, alone.cameras.world_to_camera)
        np.testing.assert_array_equal(seen.masks, alone.masks)  # what hides people hides them here too
        near = cv2.dilate(alone.masks[0, 0].astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
        assert not alone.video[0][~near].any()
        assert seen.key != alone.key


def test_faces_have_expressions_and_fill_the_picture() -> None:
    head = load_body("open-head")
    for index in range(2):
        clip = synthesize(head, settings("face"), index)
        check(clip)
        assert clip.bodies.pose.shape[2] == NUM_HEAD_JOINTS
        assert clip.bodies.expression is not None
        assert np.abs(np.diff(clip.bodies.expression, axis=1)).max() > 0.05
        assert 0.15 < clip.masks.mean() < 0.9
        np.testing.assert_array_equal(decode(clip.key, encode(clip)).bodies.expression, clip.bodies.expression)
    assert synthesize(head, settings("face"), 0).key == synthesize(head, settings("face"), 0).key


def test_a_body_of_the_wrong_kind_is_refused(body: BodyModel) -> None:
    with pytest.raises(ValueError, match="open-head"):
        synthesize(body, settings("face"), 0)
    with pytest.raises(ValueError, match=r"whole bodies.*open"):
        synthesize(load_body("open-head"), settings("train"), 0)


def test_an_unknown_set_is_named() -> None:
    with pytest.raises(ValueError, match=r"dance.*train, tiny"):
        ClipSettings("dance")


def test_geometry_is_stored_where_it_is_asked_for(body: BodyModel) -> None:
    clip = synthesize(body, settings("tiny", geometry=True), 0)
    files = encode(clip)
    maps = decode_geometry(clip.key, files)
    assert clip.geometry is not None
    np.testing.assert_allclose(maps.depth, clip.geometry.depth, rtol=1e-3)
    np.testing.assert_allclose(maps.normals, clip.geometry.normals, atol=1 / 127)
    np.testing.assert_array_equal(maps.parts > 0, clip.masks.any(axis=0))
    with pytest.raises(ValueError, match="--geometry"):
        decode_geometry(clip.key, {})


def write_motions(folder: Path, count: int = 40, seconds: float = 3.0) -> None:
    """AMASS files in which somebody stands and raises an arm."""
    frames = int(60 * seconds)
    for number in range(count):
        poses = np.zeros((frames, 156))
        poses[:, 3 * 16 + 2] = np.linspace(-1.2, 0.5, frames)
        poses[:, 0] = np.pi / 2  # AMASS has z up
        np.savez(
            folder / f"motion{number}.npz", poses=poses, trans=np.tile([0.0, 0, 0.95], (frames, 1)),
            betas=np.zeros(16), gender="neutral", mocap_framerate=60.0,
        )  # fmt: skip


def test_a_users_own_files_are_used(body: BodyModel, tmp_path: Path) -> None:
    motions, panoramas, textures = (tmp_path / name for name in ("motions", "panoramas", "textures"))
    for folder in (motions, panoramas, textures):
        folder.mkdir()
    write_motions(motions)
    for number in range(30):
        picture = np.full((32, 64, 3), [10 * number % 255, 100, 200], np.uint8)
        Image.fromarray(picture).save(panoramas / f"sky{number}.png")
        Image.fromarray(np.full((16, 16, 3), [250, 5 * number, 5], np.uint8)).save(textures / f"person{number}.png")
    own = Own(str(motions), str(panoramas), str(textures), licence="mine")
    assets = {split: find_assets(own, body, split) for split in ("train", "test")}
    assert assets["train"].atlases is not None
    assert assets["test"].atlases is not None
    for files in ("panoramas", "atlases"):
        train, test = (
            set(getattr(assets[split], files) if files == "panoramas" else assets[split].atlases.paths)
            for split in assets
        )
        assert train
        assert test
        assert not train & test
    clip = synthesize(body, settings("tiny"), 0, assets["train"])
    assert clip.meta["motions"][0].startswith("motion")
    assert clip.meta["licence"] == "mine"
    assert clip.meta["panorama"].startswith("sky")
    assert clip.key != synthesize(body, settings("tiny"), 0).key
    skins = clip.video[clip.masks[0]].astype(float)
    assert (skins[:, 0] > skins[:, 2] + 20).mean() > 0.9  # all of them red
    again = synthesize(body, settings("tiny"), 0, find_assets(own, body, "train"))
    np.testing.assert_array_equal(again.video, clip.video)
    sky = read_panorama(panoramas / "sky0.png")[0].picture[0, 0]
    assert sky[2] == pytest.approx(200 / 255)

    names = {own.fingerprint(), Own().fingerprint(), Own(motions=str(motions), licence="mine").fingerprint()}
    (motions / "motion0.npz").unlink()
    assert len({*names, own.fingerprint()}) == 4


def test_a_recording_too_short_costs_the_clip_and_says_why(body: BodyModel, tmp_path: Path) -> None:
    write_motions(tmp_path, seconds=0.5)
    assets = find_assets(Own(motions=str(tmp_path), licence="mine"), body, "train")
    with pytest.raises(StageFailed) as failed:
        synthesize(body, settings("tiny"), 0, assets)
    assert failed.value.failure.stage == "own_files"
    assert "0.48 s" in failed.value.failure.reason


def test_folders_with_nothing_in_them_are_refused(body: BodyModel, tmp_path: Path) -> None:
    for own in (
        Own(motions=str(tmp_path), licence="mine"),
        Own(panoramas=str(tmp_path), licence="mine"),
        Own(textures=str(tmp_path), licence="mine"),
    ):
        with pytest.raises(ValueError, match=str(tmp_path)):
            find_assets(own, body, "train")
    with pytest.raises(ValueError, match=r"none of the 1 files.*test"):
        deal([tmp_path / "a.hdr"], "test")


def test_what_a_user_brings_is_checked_before_anything_is_made(tmp_path: Path) -> None:
    for given, says in (
        ({"motions": "nowhere"}, r"--motions nowhere: there is no such"),
        ({"textures": str(tmp_path)}, "--licence"),
        ({"uv_template": str(tmp_path), "licence": "x"}, "--textures"),
    ):
        with pytest.raises(ValueError, match=says):
            Own(**given)
    own = Own(motions=str(tmp_path), licence="x")
    for name in ("face", "multi"):
        with pytest.raises(ValueError, match="--motions is of no use"):
            own.check(SETS[name])
    own.check(SETS["train"])


def test_a_broken_panorama_costs_the_clip_and_says_why(body: BodyModel, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"sky{number}.png").write_bytes(b"no picture")
    assets = find_assets(Own(panoramas=str(tmp_path), licence="x"), body, "train")
    with pytest.raises(StageFailed, match="cannot be read"):
        synthesize(body, settings("tiny"), 0, assets)


def test_a_head_without_named_actions_is_refused() -> None:
    head = load_body("open-head")
    head.expression_names = [f"expression{number}" for number in range(43)]
    with pytest.raises(ValueError, match="no names"):
        synthesize(head, settings("face"), 0)
