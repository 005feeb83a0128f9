import subprocess
import sys
from pathlib import Path


def test_the_reference_of_the_command_line_is_fresh(root: Path) -> None:
    script = root / "tools" / "write_cli_reference.py"
    done = subprocess.run([sys.executable, script, "--check"], check=False, cwd=root)
    assert done.returncode == 0, "run `python tools/write_cli_reference.py`"
