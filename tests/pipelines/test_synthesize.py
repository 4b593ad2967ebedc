from pathlib import Path

import pytest

from pipelines.synthesize import main
from preprocessing.manifest import file_hash, read_manifest


def arguments(out: Path, **more: object) -> list[str]:
    given = {"out": out, "count": 2, "size": 32, "num_frames": 5, **more}
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_shards(tmp_path: Path) -> None:
    for workers in (1, 2):
        assert "2 clips in 2 shards" in main(arguments(tmp_path / f"{workers}", workers=workers, clips_per_shard=1))
    one, two = (
        {file.name: file_hash(file) for file in sorted((tmp_path / f"{workers}").iterdir())} for workers in (1, 2)
    )
    assert one == two
    names = ("train-000000.tar", "train-000001.tar", "manifest.parquet", "preview.html", "rejected.jsonl")
    assert set(one) == set(names)
    rows = read_manifest(tmp_path / "1")
    assert [row.source.rsplit(":")[-1] for row in rows] == ["0", "1"]
    assert rows[0].reprojection_error is None  # exact by construction: nothing was measured

    assert "complete already" in main(arguments(tmp_path / "1", clips_per_shard=1))
    with pytest.raises(ValueError, match="another command"):
        main(arguments(tmp_path / "1", clips_per_shard=1, count=3))


def test_one_folder_may_hold_what_a_fit_trains_and_validates_on(tmp_path: Path) -> None:
    main(arguments(tmp_path / "both", val=1))
    assert [row.split for row in read_manifest(tmp_path / "both")] == ["train", "train", "val"]
    main(arguments(tmp_path / "alone", count=1, split="val"))
    (alone,), (*_, beside) = read_manifest(tmp_path / "alone"), read_manifest(tmp_path / "both")
    assert (beside.key, beside.sha256) == (alone.key, alone.sha256)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"count": 0}, "count"),
        ({"size": 30}, "30"),
        ({"num_frames": 6}, "5 or 9"),
        ({"val": -1}, "not -1"),
        ({"val": 2, "split": "val"}, "beside those of val"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, wrong: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        main(arguments(tmp_path, **wrong))
