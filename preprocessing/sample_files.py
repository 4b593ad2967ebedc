"""A clip as files of a shard, and back: the only code that knows their suffixes and formats.

A shard holds each clip as files that share its key (``webdataset``'s convention):

=================== ==================================================================================================
``.mp4``            the clip: H.264, square pixels, constant frame rate
``.mask.npz``       ``masks``: bit-packed P×F×H×W booleans and their shape; lossless
``.background.mp4`` optional: the same camera with nobody in the picture
``.body.npz``       ``betas`` P×10, ``pose`` P×F×J×3, ``translation`` P×F×3, ``confidence`` P×F, ``valid`` P×F; for
                    heads also ``expression`` P×F×E
``.camera.npz``     ``intrinsics`` F×3×3 (pixels of the clip), ``world_to_camera`` F×4×4 (OpenCV axes, metres)
``.geometry.npz``   optional: ``depth`` F×H×W, ``normals`` F×H×W×3 and ``parts`` F×H×W of what is seen (``Geometry``)
``.json``           schema version, source, licence, fps, quality scores, annotators and their versions
=================== ==================================================================================================
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib

import numpy as np

from preprocessing.places import VideoError
from preprocessing.sample import Bodies, Cameras, FrameArray, Geometry, Presence, Sample, SampleError, check
from preprocessing.video import decode_frames, encode_frames

SCHEMA_VERSION = 1


def encode(sample: Sample) -> dict[str, bytes]:
    """Suffix (without the leading dot) → bytes, for a tar. The same sample gives the same bytes.

    Raises:
        SampleError: if shapes disagree or a number is not finite.
    """
    check(sample)
    bodies, cameras = sample.bodies, sample.cameras
    expression = {} if bodies.expression is None else {"expression": bodies.expression.astype(np.float32)}
    files = {
        "mp4": encode_frames(sample.video, sample.fps),
        "mask.npz": _npz(masks=np.packbits(sample.masks, axis=None), shape=np.array(sample.masks.shape, np.int64)),
        "body.npz": _npz(
            betas=bodies.betas.astype(np.float32),
            pose=bodies.pose.astype(np.float32),
            translation=bodies.translation.astype(np.float32),
            confidence=bodies.confidence.astype(np.float32),
            valid=bodies.valid.astype(bool),
            **expression,
        ),
        "camera.npz": _npz(
            intrinsics=cameras.intrinsics.astype(np.float32),
            world_to_camera=cameras.world_to_camera.astype(np.float32),
        ),
        "json": json.dumps(
            {"schema_version": SCHEMA_VERSION, "fps": sample.fps, **sample.meta}, sort_keys=True, allow_nan=False
        ).encode(),
    }
    if sample.background is not None:
        files["background.mp4"] = encode_frames(sample.background, sample.fps)
    if (seen := sample.geometry) is not None:
        files["geometry.npz"] = _npz(
            depth=seen.depth.astype(np.float16), normals=np.round(127 * seen.normals).astype(np.int8), parts=seen.parts
        )
    return files


def decode(key: str, files: dict[str, bytes], start: int = 0, num_frames: int | None = None) -> Sample:
    """The sample behind ``files``, or the window of ``num_frames`` frames of it that begins at ``start``.

    Only the window's frames are decoded.

    Raises:
        SampleError: if a file is missing or of another schema version, or what it holds does not fit together.
    """
    missing = {"mp4", "mask.npz", "body.npz", "camera.npz", "json"} - files.keys()
    if missing:
        raise SampleError(f"sample {key!r}: no {', '.join(sorted(missing))} among {', '.join(sorted(files))}")
    try:
        meta = json.loads(files["json"])
    except ValueError as error:
        raise SampleError(f"sample {key!r}: json cannot be read ({error})") from error
    if (version := meta.pop("schema_version", None)) != SCHEMA_VERSION:
        raise SampleError(f"sample {key!r}: schema version {version}, this code reads {SCHEMA_VERSION}: rebuild it")
    fps = float(meta.pop("fps"))
    bodies = decode_bodies(key, files)
    camera = _load_npz(key, files, "camera.npz", "intrinsics", "world_to_camera")
    mask = _load_npz(key, files, "mask.npz", "masks", "shape")
    total = camera["intrinsics"].shape[0]
    stop = total if num_frames is None else start + num_frames
    if not 0 <= start < stop <= total:
        raise SampleError(f"sample {key!r}: frames {start}…{stop} asked for, it has {total}")
    window = slice(start, stop)
    shape = tuple(mask["shape"])
    if mask["masks"].size != -(-int(np.prod(shape)) // 8):
        raise SampleError(f"sample {key!r}: mask.npz holds {mask['masks'].size} bytes, too few or many for {shape}")
    masks = np.unpackbits(mask["masks"], count=int(np.prod(shape))).reshape(shape).astype(bool)
    sample = Sample(
        key=key,
        video=_load_video(key, files, "mp4", start, stop),
        masks=masks[:, window],
        bodies=bodies.take(window),
        cameras=Cameras(**camera).take(window),
        fps=fps,
        background=_load_video(key, files, "background.mp4", start, stop) if "background.mp4" in files else None,
        presence=Presence.of(masks),
        meta=meta,
    )
    check(sample)
    return sample


def decode_bodies(key: str, files: dict[str, bytes]) -> Bodies:
    """The bodies behind ``files``, of all frames. Raises ``SampleError`` if they cannot be read."""
    arrays = "betas", "pose", "translation", "confidence", "valid"
    return Bodies(**_load_npz(key, files, "body.npz", *arrays, optional=("expression",)))


def decode_geometry(key: str, files: dict[str, bytes]) -> Geometry:
    """The geometry behind ``files``, of all frames. Raises ``SampleError`` if it was not stored or cannot be read."""
    if "geometry.npz" not in files:
        raise SampleError(f"sample {key!r} has no geometry.npz: make the set again with --geometry")
    arrays = _load_npz(key, files, "geometry.npz", "depth", "normals", "parts")
    return Geometry(arrays["depth"].astype(np.float32), arrays["normals"].astype(np.float32) / 127, arrays["parts"])


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # zip members carry the fixed date 1980-01-01: equal arrays, equal bytes
    return buffer.getvalue()


def _load_video(key: str, files: dict[str, bytes], name: str, start: int, stop: int) -> FrameArray:
    try:
        return decode_frames(files[name], start, stop)
    except VideoError as error:
        raise SampleError(f"sample {key!r}: {name} cannot be read ({error})") from error


def _load_npz(
    key: str, files: dict[str, bytes], name: str, *arrays: str, optional: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(files[name]), allow_pickle=False) as archive:
            return {array: archive[array] for array in (*arrays, *(a for a in optional if a in archive.files))}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise SampleError(f"sample {key!r}: {name} cannot be read ({error})") from error
