"""The record: what is encoded is decoded, whole or in part; what breaks the schema gets neither in nor out."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from preprocessing.sample import Sample, SampleError, make_key
from preprocessing.sample_files import SCHEMA_VERSION, decode, encode
from tests.shard_factory import make_sample


def assert_same(a: Sample, b: Sample) -> None:
    for part in ("bodies", "cameras"):
        for name, value in vars(getattr(a, part)).items():
            np.testing.assert_array_equal(value, getattr(getattr(b, part), name), err_msg=name)
    np.testing.assert_array_equal(a.masks, b.masks)
    assert np.abs(a.video.astype(int) - b.video).mean() < 3  # H.264
    assert (a.key, a.fps, a.meta, a.num_people) == (b.key, b.fps, b.meta, b.num_people)


@pytest.mark.parametrize("people", [1, 3])
def test_decode_undoes_encode(people: int) -> None:
    sample = make_sample(1, people=people)
    files = encode(sample)
    assert set(files) == {"mp4", "mask.npz", "body.npz", "camera.npz", "json", "background.mp4"}
    assert_same(decode(sample.key, files), sample)


def test_background_is_optional() -> None:
    sample = make_sample(1, background=False)
    files = encode(sample)
    assert "background.mp4" not in files
    assert decode(sample.key, files).background is None


def test_heads_carry_expressions_through_a_shard_and_its_windows() -> None:
    sample = make_sample(1, people=2, head=True)
    files = encode(sample)
    assert_same(decode(sample.key, files), sample)
    window = decode(sample.key, files, start=3, num_frames=5)
    np.testing.assert_array_equal(window.bodies.expression, sample.bodies.expression[:, 3:8])
    sample.bodies.expression = None  # a face at rest
    assert decode(sample.key, encode(sample)).bodies.expression is None


def test_bodies_without_expressions_are_stored_as_they_always_were() -> None:
    with np.load(io.BytesIO(encode(make_sample(1))["body.npz"])) as stored:
        assert stored.files == ["betas", "pose", "translation", "confidence", "valid"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pose": np.zeros((1, 9, 7, 3), np.float32)}, r"pose has 7 joints, expected 24 \(SMPL\) or 5 \(FLAME\)"),
        ({"expression": np.zeros((1, 8, 43), np.float32)}, r"expression has shape \(1, 8, 43\), expected \(1, 9, 43\)"),
        ({"expression": np.full((1, 9, 2), np.nan, np.float32)}, "expression holds 18 values that are not finite"),
        ({"pose": np.zeros((1, 9, 24, 3), np.float32)}, "expression is given for a body of 24 joints: only heads"),
    ],
)
def test_heads_that_break_the_schema_are_refused(changes: dict[str, np.ndarray], message: str) -> None:
    sample = make_sample(1, head=True)
    for name, value in changes.items():
        setattr(sample.bodies, name, value)
    with pytest.raises(SampleError, match=message):
        encode(sample)


def test_same_sample_same_bytes() -> None:
    assert encode(make_sample(4)) == encode(make_sample(4))


def test_a_window_is_that_part_of_the_clip() -> None:
    sample = make_sample(2, num_frames=17, people=2)
    files = encode(sample)
    whole, window = decode(sample.key, files), decode(sample.key, files, start=4, num_frames=9)
    np.testing.assert_array_equal(window.video, whole.video[4:13])
    np.testing.assert_array_equal(window.background, whole.background[4:13])
    np.testing.assert_array_equal(window.masks, whole.masks[:, 4:13])
    for name in ("pose", "translation", "confidence", "valid"):
        np.testing.assert_array_equal(getattr(window.bodies, name), getattr(whole.bodies, name)[:, 4:13])
    np.testing.assert_array_equal(window.cameras.intrinsics, whole.cameras.intrinsics[4:13])
    for start, length in ((-1, 5), (9, 9), (3, 0)):
        with pytest.raises(SampleError, match="it has 17"):
            decode(sample.key, files, start, length)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    sample = make_sample(1)
    sample.bodies.pose[0, 3, 5, 1] = value
    with pytest.raises(SampleError, match=f"{sample.key}.*pose holds 1 values that are not finite"):
        encode(sample)
    sample = replace(make_sample(1), meta={"scores": {"mask_iou": value}})
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(sample)


def test_shapes_that_disagree_are_refused() -> None:
    sample = make_sample(1)
    sample.masks = sample.masks[:, :-1]
    with pytest.raises(SampleError, match=r"masks has shape \(1, 8, 48, 64\), expected \(1, 9, 48, 64\)"):
        encode(sample)


@pytest.mark.parametrize("name", ["mp4", "mask.npz", "body.npz", "camera.npz", "json"])
def test_a_missing_file_is_named(name: str) -> None:
    sample = make_sample(1)
    files = encode(sample)
    del files[name]
    with pytest.raises(SampleError, match=rf"{sample.key}.*no {name} among"):
        decode(sample.key, files)


def test_a_missing_array_is_named() -> None:
    sample = make_sample(1)
    files = encode(sample)
    buffer = io.BytesIO()
    np.savez(buffer, intrinsics=sample.cameras.intrinsics)
    files["camera.npz"] = buffer.getvalue()
    with pytest.raises(SampleError, match=rf"{sample.key}.*camera.npz.*world_to_camera"):
        decode(sample.key, files)


def test_a_damaged_video_is_named() -> None:
    sample = make_sample(1)
    files = encode(sample)
    files["mp4"] = files["mp4"][:100]
    with pytest.raises(SampleError, match=rf"{sample.key}.*mp4 cannot be read"):
        decode(sample.key, files)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"PK" + data[5:]])
def test_a_damaged_archive_is_named(damage) -> None:  # type: ignore[no-untyped-def]
    sample = make_sample(1)
    files = encode(sample)
    files["body.npz"] = damage(files["body.npz"])
    with pytest.raises(SampleError, match=rf"{sample.key}.*body.npz"):
        decode(sample.key, files)


def test_a_mask_that_does_not_fill_its_shape_is_refused() -> None:
    sample = make_sample(1)
    files = encode(sample)
    buffer = io.BytesIO()
    np.savez(buffer, masks=np.packbits(sample.masks)[:-5], shape=np.array(sample.masks.shape))
    with pytest.raises(SampleError, match="too few or many"):  # numpy would pad it with zeros
        decode(sample.key, {**files, "mask.npz": buffer.getvalue()})


def test_damaged_json_is_named() -> None:
    sample = make_sample(1)
    files = {**encode(sample), "json": b'{"schema_version": 1, "fps"'}
    with pytest.raises(SampleError, match=rf"{sample.key}.*json"):
        decode(sample.key, files)


def test_a_pickle_in_an_archive_is_not_loaded() -> None:
    sample = make_sample(1)
    files = encode(sample)
    buffer = io.BytesIO()
    np.savez(buffer, betas=np.array([{"a": 1}], object))
    files["body.npz"] = buffer.getvalue()
    with pytest.raises(SampleError, match=r"body\.npz"):
        decode(sample.key, files)


def test_another_schema_version_is_refused() -> None:
    sample = make_sample(1)
    files = encode(sample)
    meta = json.loads(files["json"])
    assert meta["schema_version"] == SCHEMA_VERSION
    files["json"] = json.dumps({**meta, "schema_version": SCHEMA_VERSION + 1}).encode()
    with pytest.raises(SampleError, match=f"schema version {SCHEMA_VERSION + 1}, this code reads {SCHEMA_VERSION}"):
        decode(sample.key, files)


def test_keys() -> None:
    assert make_key("0af3", 65, 130) == "0af3_00000065_00000130"
    with pytest.raises(ValueError, match=r"'a\.b'"):
        make_key("a.b", 0, 1)
    with pytest.raises(SampleError, match="a dot or a slash"):
        encode(replace(make_sample(1), key="a.b"))
