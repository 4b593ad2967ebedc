"""What was appended is there again, whatever happened to the process; a half-written line is not."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from preprocessing.journal import Journal, only_process_in


def _append_and_die(path: Path) -> None:
    journal = Journal(path)
    for number in range(3):
        journal.append({"number": number, "text": "zwölf\nZeilen"})
    journal._file.write(b'{"number": 3, "te')
    journal._file.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def test_all_but_the_torn_line_is_there_after_a_kill(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_append_and_die, args=(tmp_path / "j.jsonl",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with Journal(tmp_path / "j.jsonl") as journal:
        assert list(journal) == [{"number": number, "text": "zwölf\nZeilen"} for number in range(3)]
        journal.append("more")
    with Journal(tmp_path / "j.jsonl") as journal:
        assert len(journal) == 4
        assert list(journal)[-1] == "more"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with only_process_in(tmp_path / "out"):
        with pytest.raises(ValueError, match="being written by another process"), only_process_in(tmp_path / "out"):
            pass
        assert list((tmp_path / "out").iterdir()) == []
    with only_process_in(tmp_path / "out"):
        pass


def test_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "j.jsonl").write_text('{"a": 1}\nnonsense\n')
    with Journal(tmp_path / "j.jsonl") as journal, pytest.raises(ValueError, match=r"j\.jsonl, line 2, is damaged"):
        list(journal)
