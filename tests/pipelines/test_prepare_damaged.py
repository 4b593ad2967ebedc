"""Whatever comes in, the run ends, and each input is a sample or refused with a reason that is true."""

import os
import re
from pathlib import Path

from pipelines.prepare import main
from preprocessing.manifest import read_manifest, read_rejects
from preprocessing.video import read_frames
from tests.damaged_videos import damaged_videos

SIZE = (72, 128)
FRAMES = 9
OURS = r"\w+(Error|Exception|Warning)\b|\.py, line"
"""What a reason looks like that nobody foresaw."""


def test_two_hundred_damaged_inputs(real_videos: Path, tmp_path: Path) -> None:
    frames = read_frames(real_videos / "cloth_magic.mp4", 0, FRAMES, size=SIZE)
    expected = damaged_videos(tmp_path / "videos", frames)
    assert len(expected) >= 200
    (tmp_path / "videos" / "folder.mp4").mkdir()
    (tmp_path / "videos" / "nowhere.mp4").symlink_to(tmp_path / "gone.mp4")
    os.mkfifo(tmp_path / "videos" / "pipe.mp4")
    expected |= {"nowhere.mp4": "No such file or directory", "pipe.mp4": "it is no file"}
    shape = ["--split_scenes.num_frames=9", "--split_scenes.min_frames=9", "--max_side=64", "--annotate_side=128"]
    main(
        [f"--videos={tmp_path / 'videos'}", f"--out={tmp_path / 'out'}", "--workers=2", "--reject_copies=false", *shape]
    )
    reasons: dict[str, str] = {}
    for reject in reversed(read_rejects(tmp_path / "out")):
        reasons[reject.source] = reject.reason
    accepted = {row.source for row in read_manifest(tmp_path / "out")}
    assert accepted | reasons.keys() == expected.keys()
    wrong = {
        name: (reasons.get(name, "accepted"), reason)
        for name, reason in expected.items()
        if (reason is not None and not re.search(reason, reasons.get(name, "accepted")))
        or re.search(OURS, reasons.get(name, ""))
    }
    assert not wrong
