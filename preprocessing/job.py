"""What a preparation makes, told by one hash: two that differ make something else."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

from models.body.identity import body_identity
from preprocessing.annotators.results import folder_of, results_name
from preprocessing.manifest import SCHEMA
from preprocessing.places import is_uri
from preprocessing.sample_files import SCHEMA_VERSION
from preprocessing.scan_video import file_version
from preprocessing.settings import PrepareConfig
from preprocessing.sources import Source


def job_hash(sources: list[Source], config: PrepareConfig) -> str:
    """What decides the output: the sources, by name and, if they are local, size (wherever they lie), the settings, the
    body, other files that are used, and the schemas."""
    sizes = ["" if is_uri(source.place) else file_version(source.place).partition(":")[0] for source in sources]
    named = [[asdict(source) | {"place": ""}, size] for source, size in zip(sources, sizes, strict=True)]
    body = body_identity(config.estimate_body.body)
    decisive = [SCHEMA_VERSION, SCHEMA.names, asdict(config), named, body, files_used(sources, config)]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def files_used(sources: list[Source], config: PrepareConfig) -> list[tuple[str, int]]:
    """Names of the files beside videos and body that decide what is made, and what tells their contents: the checksum
    that an archive has of its own, or the size; -1 of one that is not there."""
    files = set()
    if config.mask_people.annotator == "sam2":
        files.add(Path(config.mask_people.sam2.checkpoint))
    if not config.track_people.follows:
        folder = Path(folder_of(config.track_people)[0])
        files |= {folder / results_name(source.place, config.track_people) for source in sources}
    return [(file.name, _told_by(file)) for file in sorted(files)]


def _told_by(file: Path) -> int:
    if not file.is_file():
        return -1
    try:
        with zipfile.ZipFile(file) as archive:
            return zlib.crc32(repr([(member.filename, member.CRC) for member in archive.infolist()]).encode())
    except zipfile.BadZipFile:
        return file.stat().st_size
