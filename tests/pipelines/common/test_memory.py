"""Large tensors stand in the memory of those before them."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys, torch
from pipelines.common.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):  # the heap settles
    torch.empty(2**24).fill_(1)
before = faults()
for _ in range(5):
    torch.empty(2**24).fill_(1)
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_pages_are_not_asked_for_again():
    def pages(mode: str) -> int:
        command = [sys.executable, "-c", PROGRAM, mode]
        root = Path(__file__).parents[3]
        return int(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout)

    assert pages("kept") < pages("fresh") / 10
