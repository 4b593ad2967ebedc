"""What was made with one body is not read with another."""

import hashlib
from pathlib import Path

import pytest

from models.body.identity import body_identity, require_same_body


def test_files_are_told_apart_by_their_bytes_and_open_bodies_by_name(tmp_path: Path) -> None:
    for name, content in (("SMPL.pkl", b"smpl"), ("renamed.pkl", b"smpl"), ("other.pkl", b"other")):
        (tmp_path / name).write_bytes(content)
    noted = body_identity(tmp_path / "SMPL.pkl")
    assert noted == f"SMPL.pkl:{hashlib.sha256(b'smpl').hexdigest()[:16]}"
    for body in ("SMPL.pkl", "renamed.pkl"):
        require_same_body(noted, str(tmp_path / body), "clip 'a'", "data.body")
    require_same_body("open-head", "open-head", "clip 'a'", "data.body")
    require_same_body("", str(tmp_path / "nowhere.pkl"), "clip 'a'", "data.body")  # of before it was noted
    with pytest.raises(ValueError, match=rf"of clip 'a' are of {noted}, and data.body is open: set it to the path of"):
        require_same_body(noted, "open", "clip 'a'", "data.body")
    with pytest.raises(ValueError, match=rf"are of {noted}, and data.body is other.pkl:[0-9a-f]{{16}}: set it to"):
        require_same_body(noted, tmp_path / "other.pkl", "clip 'a'", "data.body")
    with pytest.raises(ValueError, match=r"are of open, and data.body is other.pkl:.*: set it to open$"):
        require_same_body("open", tmp_path / "other.pkl", "clip 'a'", "data.body")
    with pytest.raises(ValueError, match=r"nowhere.pkl: no such body"):
        require_same_body("open", tmp_path / "nowhere.pkl", "clip 'a'", "data.body")
