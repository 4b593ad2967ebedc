"""The preview shows each clip and each reject, needs no other file, and lets nobody's file name become markup."""

import re
from dataclasses import replace
from pathlib import Path

from preprocessing.manifest import Reject
from preprocessing.preview_page import _SCRIPT, Card, write_preview
from preprocessing.stages.write_shards import pack_clip
from tests.shard_factory import make_sample

REJECTS = [
    Reject("<script>alert(1)</script>", "track_people", "no person", {"found_share": 0.25}, 0, 65),
    Reject("b.mp4", "filter_clips", "too dark"),
]


def page(folder: Path, scores: dict[str, float], **changes: object) -> str:
    told = {"source": "<b>.mp4", "shard": "val-000000.tar", **changes}
    row = replace(pack_clip(make_sample(0, num_frames=5), "val").row, **told)
    write_preview(folder, [Card(row, scores, b"jpeg")], REJECTS, num_clips=3)
    return (folder / "preview.html").read_text()


def test_the_page_is_self_contained_and_escapes(tmp_path: Path) -> None:
    text = page(tmp_path, {"mask_iou": 0.5}, caption='she says "</article>"')
    assert "3 clips, the first 1 shown · 2 rejected (1 by track_people, 1 by filter_clips)" in text
    assert text.replace(f"<script>{_SCRIPT}</script>", "").count("<script") == 0
    assert "&lt;b&gt;.mp4" in text
    assert "she says &quot;&lt;/article&gt;&quot;" in text
    assert "no person" in text
    assert "src=" in text
    assert text.count("src=") == text.count('src="data:image/jpeg;base64,')
    assert "http" not in text


def test_what_can_be_sorted_and_filtered_by_is_what_there_is(tmp_path: Path) -> None:
    text = page(tmp_path, {"mask_iou": 0.5, "motion": float("nan")})
    options = re.findall(r"<option>(.*?)</option>", text)
    assert options == ["val", "mask_iou", "motion", "rising", "falling", "filter_clips", "track_people"]
    assert 'data-scores="{&quot;mask_iou&quot;: 0.5}"' in text, "JSON knows no NaN"
