import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.clips import ClipDataModule
from datamodules.shards import Shards
from preprocessing.sample_files import encode
from tests.shard_factory import make_sample, small_shards, write_shards


def test_reads_back_every_file_of_every_clip_in_any_order(tmp_path):
    samples = [make_sample(i, num_frames=5, background=i % 2 == 0) for i in range(5)]
    shards = Shards(write_shards(tmp_path / "s", [("train", s) for s in samples], clips_a_tar=2), "train")
    assert len(shards) == 5
    for i in (4, 0, 3, 1, 2):
        assert shards.read(i) == (samples[i].key, encode(samples[i]))


def test_agrees_with_webdataset(tmp_path):
    import webdataset

    folder = small_shards(tmp_path / "s", train=3, val=0, test=0)
    theirs = webdataset.WebDataset(str(folder / "train-000000.tar"), shardshuffle=False)
    ours = Shards(folder, "train")
    for i, sample in enumerate(theirs):
        assert ours.read(i) == (sample["__key__"], {k: v for k, v in sample.items() if not k.startswith("__")})


def test_only_the_wanted_split_of_several_folders(tmp_path):
    folders = [small_shards(tmp_path / name, train=2, val=1, test=0) for name in "ab"]
    assert len(Shards([str(f) for f in folders], "train")) == 4
    assert [row.tar.parent for row in Shards([str(f) for f in folders], "val").rows] == folders


def test_errors_name_the_fault_and_the_fix(tmp_path):
    with pytest.raises(ValueError, match=r"manifest.parquet is missing .no such folder.*preparation"):
        Shards(tmp_path / "nowhere", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"manifest.parquet is missing .0 tars"):
        Shards(tmp_path / "empty", "train")
    folder = small_shards(tmp_path / "s", train=2, val=0, test=1)
    with pytest.raises(ValueError, match=r"no clip of split 'val'.*has test, train"):
        Shards(folder, "val")
    with pytest.raises(ValueError, match=r"2 of 2 clips.*num_frames=17.*has 9.*at most 9"):
        Shards(folder, "train").require_frames(17)
    crowd = small_shards(tmp_path / "crowd", train=2, val=0, test=0, people=3)
    Shards([str(folder), str(crowd)], "train").require_people(3)
    with pytest.raises(ValueError, match=r"2 of 4 clips.*max_people=2 people .clip '.*' has 3.: .* at least 3"):
        Shards([str(folder), str(crowd)], "train").require_people(2)
    pq.write_table(pa.table({"key": ["a"], "split": ["train"]}), folder / "manifest.parquet")
    with pytest.raises(ValueError, match="no column shard, num_frames"):
        Shards(folder, "train")


def test_bodies_of_another_shape_space_are_refused(tmp_path):
    samples = [make_sample(i, num_frames=5) for i in range(3)]
    samples[2].meta["body"] = "SMPL_NEUTRAL.pkl:0123456789abcdef"
    folder = write_shards(tmp_path / "s", [("train", sample) for sample in samples])
    wrong = rf"bodies of clip '{samples[2].key}' of split 'train' are of SMPL_NEUTRAL.pkl:0123456789abcdef, and data.bo"
    with pytest.raises(ValueError, match=wrong):
        Shards(folder, "train").require_body("open")
    with pytest.raises(ValueError, match=wrong):
        ClipDataModule(str(folder), num_frames=5, num_points=4).train_dataloader()
    ClipDataModule(str(folder), num_frames=5, num_points=0).train_dataloader()  # nobody looks at bodies
    table = pq.read_table(folder / "manifest.parquet").drop_columns(["body"])
    pq.write_table(table, folder / "manifest.parquet")
    new = write_shards(tmp_path / "new", [("train", samples[0])])
    Shards([str(folder), str(new)], "train").require_body("open")  # of before it was noted


@pytest.mark.parametrize("keep", [0.3, 0.6])
def test_a_cut_off_tar_is_an_error(tmp_path, keep):
    folder = small_shards(tmp_path / "s", train=3, val=0, test=0)
    tar = folder / "train-000000.tar"
    tar.write_bytes(tar.read_bytes()[: int(keep * tar.stat().st_size)])
    shards = Shards(folder, "train")
    with pytest.raises(ValueError, match="rebuild the shard"):
        [shards.read(i) for i in range(3)]
