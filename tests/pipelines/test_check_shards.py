"""A whole folder is proved; every kind of damage is found, all at once, and named."""

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import webdataset as wds

from models.body.identity import body_identity
from models.body.open_body import ensure_open_body
from pipelines import synthesize
from pipelines.check_shards import check_shards
from preprocessing.check_shards import CheckPixels, CheckShard, check_manifest, list_shards
from preprocessing.manifest import read_manifest, split_of, write_manifest
from preprocessing.sample import Sample, out_of_range
from preprocessing.sample_files import decode
from preprocessing.stages.write_shards import ShardConfig, ShardSet, pack_clip
from tests.shard_factory import make_sample, write_shards

NO_BODIES = CheckPixels(rendered=0, min_iou=0.3, body=None)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_shards(tmp_path, [("train", make_sample(i, num_frames=5, background=i == 1)) for i in range(4)])


def found(folder: Path, check: CheckPixels = NO_BODIES) -> list[tuple[str, str]]:
    """Kind and place of all damage."""
    listed = list_shards(folder)
    damage = [*check_manifest(folder, listed), *(one for shard in listed for one in CheckShard(check)(shard))]
    return [(one.kind, one.where) for one in damage]


def test_whole_shards_are_proved(shards: Path) -> None:
    assert found(shards) == []


def test_a_flipped_byte_is_found(shards: Path) -> None:
    path = shards / "train-000000.tar"
    with tarfile.open(path) as tar:
        member = next(m for m in tar if m.name.endswith(".mp4") and "background" not in m.name)
    data = bytearray(path.read_bytes())
    data[member.offset_data + member.size // 2] ^= 1
    path.write_bytes(data)
    assert ("other bytes", f"{path.name} {member.name.split('.')[0]}") in found(shards)


def test_tars_cut_missing_and_exchanged_are_found_together(shards: Path) -> None:
    path, keys = shards / "train-000000.tar", [row.key for row in read_manifest(shards)]
    with tarfile.open(path) as tar:
        cut = next(m.offset for m in tar if m.name.startswith(keys[2]))
    path.write_bytes(path.read_bytes()[:cut])
    (shards / "train-000001.tar").rename(shards / "train-000009.tar")
    assert found(shards) == [
        ("unknown shard", "train-000009.tar"),
        ("missing clip", f"{path.name} {keys[2]}"),
        ("missing shard", "train-000001.tar"),
    ]
    (shards / "train-000009.tar").replace(path)
    assert ("unknown clip", f"{path.name} {keys[3]}") in found(shards)
    path.write_bytes(path.read_bytes()[:700])
    assert "missing clip" in dict(found(shards))


def test_rows_that_contradict_each_other_or_the_clip_are_found(shards: Path) -> None:
    rows = read_manifest(shards)
    others = {"num_frames": 9, "licence": "mine", "source": "b.mp4", "start_frame": 5, "origin": "o", "mask_iou": 0.99}
    write_manifest(shards, [replace(rows[0], **others), *rows[1:]], "test")
    assert found(shards) == [("other than in the manifest", f"{rows[0].shard} {rows[0].key}")] * len(others)
    write_manifest(shards, [replace(row, split="test") for row in rows], "test")
    assert found(shards) == [("other split", f"{row.shard} {row.key}") for row in rows]
    write_manifest(shards, [replace(rows[0], offset=512), *rows[1:]], "test")
    assert found(shards) == [("other place", f"{rows[0].shard} {rows[0].key}")]
    write_manifest(shards, [*rows, replace(rows[1], split="val")], "test")
    assert ("doubled key", f"{rows[1].shard} {rows[1].key}") in found(shards)
    assert ("source in two splits", f"{rows[1].shard} {rows[1].key}") in found(shards)


def test_a_group_in_two_splits_and_a_split_that_is_not_the_hashes_are_found(tmp_path: Path) -> None:
    shares = {"train": 0.5, "val": 0.5, "test": 0.0}
    clips = []
    for number, (group, right) in enumerate((("", True), ("one", True), ("one", True), ("other", False), ("", False))):
        sample = make_sample(number, num_frames=5)
        sample.meta |= {"group": group, "source_sha256": f"{number}" * 64}
        split = split_of(group or sample.meta["source_sha256"], shares)
        clips.append((split if right else {"train": "val", "val": "train"}[split], sample))
    write_shards(tmp_path / "s", clips)
    rows = {row.key: row for row in read_manifest(tmp_path / "s")}
    assert [rows[sample.key].group for _, sample in clips] == ["", "one", "one", "other", ""]
    by_hash = CheckPixels(rendered=0, min_iou=0.3, body=None, split_shares=shares)
    wrong = [("other than in the manifest", f"{rows[s.key].shard} {s.key}") for _, s in clips[3:]]
    assert sorted(found(tmp_path / "s", by_hash)) == sorted(wrong)
    assert found(tmp_path / "s") == []
    apart = [("train", clips[1][1]), ("val", clips[2][1])]
    kinds = [kind for kind, _ in found(write_shards(tmp_path / "apart", apart))]
    assert kinds == ["group in two splits"]


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("rotation of more than 4 π", lambda s: s.bodies.pose.__setitem__((0, 0, 3), 9)),
        ("shape coefficient", lambda s: s.bodies.betas.__setitem__((0, 0), -11)),
        ("confidence", lambda s: s.bodies.confidence.__setitem__((0, 1), 1.5)),
        ("valid in no frame", lambda s: s.bodies.valid.__setitem__(0, False)),
        ("focal length", lambda s: s.cameras.intrinsics.__setitem__((2, 1, 1), -3)),
        ("do not end in", lambda s: s.cameras.intrinsics.__setitem__((2, 2), [0, 0, 0])),
        ("no rigid motion", lambda s: s.cameras.world_to_camera.__setitem__((1, 0, 0), -1)),
    ],
)
def test_numbers_that_cannot_be_are_named(what: str, spoil: Callable[[Sample], None]) -> None:
    sample = make_sample(0, num_frames=5)
    assert list(out_of_range(sample.bodies, sample.cameras, 8.0)) == []
    spoil(sample)
    (said,) = out_of_range(sample.bodies, sample.cameras, 8.0)
    assert what in said


def test_a_clip_that_does_not_say_where_it_is_from_is_one_damage(shards: Path) -> None:
    packed = pack_clip(make_sample(9, num_frames=5), "val")
    told = json.loads(packed.files["json"])
    del told["source"]
    with ShardSet(shards / "silent", ShardConfig(9, 1e9)) as silent:
        silent.write(replace(packed, files=packed.files | {"json": json.dumps(told).encode()}))
    write_manifest(shards / "silent", silent.rows, "test")
    assert [kind for kind, _ in found(shards / "silent")] == ["other bytes", "unreadable clip"]


def test_a_clip_that_cannot_be_decoded_is_one_damage(shards: Path) -> None:
    packed = pack_clip(make_sample(9, num_frames=5), "val")
    files = packed.files | {"json": json.dumps({"schema_version": 0, "fps": 8}).encode()}
    with ShardSet(shards / "old", ShardConfig(9, 1e9)) as old:
        old.write(replace(packed, files=files))
    write_manifest(shards / "old", old.rows, "test")
    assert [kind for kind, _ in found(shards / "old")] == ["other bytes", "unreadable clip"]


def test_a_body_beside_its_mask_is_found(tmp_path: Path) -> None:
    synthesize.main(["--set", "tiny", "--count", "1", "--size", "64", "--num_frames", "5", "--out", str(tmp_path)])
    drawn = CheckPixels(rendered=1, min_iou=0.6, body=None)
    assert found(tmp_path, drawn) == []
    (shard,) = list_shards(tmp_path)
    (raw,) = wds.WebDataset([str(shard.path)], shardshuffle=False)
    sample = decode(raw["__key__"], {name: data for name, data in raw.items() if not name.startswith("__")})
    sample.bodies.translation[..., 0] += 1.0
    moved = pack_clip(sample, shard.rows[0].split)
    with ShardSet(tmp_path / "moved", ShardConfig(9, 1e9)) as out:
        out.write(moved)
    write_manifest(tmp_path / "moved", out.rows, "test")
    assert [kind for kind, _ in found(tmp_path / "moved", drawn)] == ["body beside its mask"]
    assert found(tmp_path / "moved") == []


def test_bodies_are_drawn_with_the_one_that_they_are_of(tmp_path: Path) -> None:
    """Synthetic clips on a file of the user's own; that it is the open body's makes no difference."""
    own, out = tmp_path / "MINE.npz", str(tmp_path / "out")
    own.write_bytes(ensure_open_body().read_bytes())
    words = ["--set", "tiny", "--count", "1", "--size", "64", "--num_frames", "5", "--out", out]
    synthesize.main([*words, "--body", str(own), "--licence", "mine"])
    (row,) = read_manifest(tmp_path / "out")
    assert row.body == body_identity(own)
    check_shards(out, rendered=1, body=str(own))
    with pytest.raises(
        ValueError, match=rf"out are of {row.body}, and --body .BODY=.*. is open: set it to the path of"
    ):
        check_shards(out, rendered=1)
    check_shards(out, rendered=0)
    write_manifest(tmp_path / "out", [replace(row, body="")], "test")
    with pytest.raises(SystemExit):  # the sample says it, too
        check_shards(out, rendered=0)


def test_the_command_lists_all_and_ends_with_status_one(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_shards(str(shards), rendered=0)
    assert f"{shards} is whole: 4 clips in 2 shards" in capsys.readouterr().out
    (shards / "train-000001.tar").unlink()
    np.save(shards / "more.npy", np.zeros(1))
    with pytest.raises(SystemExit) as ended:
        check_shards(str(shards), rendered=0)
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "missing shard: train-000001.tar: listed in the manifest with 1 clips" in said
    assert "is damaged (4 clips in 2 shards): 1 × missing shard" in said
