import subprocess
import sys

import pytest

CODE = """
import resource, sys
n = 48 * 2**20  # more than glibc ever keeps by itself
from lens.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(10):
    b"x" * n
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_freed_memory_is_used_again_without_page_faults():
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", CODE, how], capture_output=True, check=True
            ).stdout
        )
        for how in ("keep", "return")
    }
    # Ten arrays of 12,288 pages each are mapped anew, or one of them is used ten times.
    assert faults["return"] - faults["keep"] > 5 * 12_288
