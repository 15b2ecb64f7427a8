"""How long `cwt verify` takes in a repository of 20,000 files, and that it reads no unchanged weights.

    python -m bench.verify [--files 20000] [--weights 200] [--size 1000000]

The repository is made, then cloned, so that Git's objects are packed as in any clone; the page cache is warm. One more run under
strace, where that is installed, counts the weight files that are opened.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = Path(sys.executable).parent


def main() -> None:
    options = _parser().parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cwt-verify-"))
    env = _environment(folder)
    try:
        _make(folder / "made", env, options)
        _run(["git", "clone", "-q", str(folder / "made"), str(folder / "clone")], folder, env)
        clone = folder / "clone"
        _run(["git", "gc", "-q"], clone, env)
        # Entries as old as the index itself are read by Git, too: clones of a second ago.
        time.sleep(1.1)
        _run(["git", "update-index", "-q", "--refresh"], clone, env)
        for name, args in (("checkout", []), ("commit", ["HEAD"])):
            seconds = []
            for _ in range(options.runs):
                before = time.perf_counter()
                _run([str(PROGRAMS / "cwt"), "verify", *args], clone, env)
                seconds.append(time.perf_counter() - before)
            read = _weights_read(clone, env, args)
            print(
                f"{name}: {options.files} files, {options.weights} weights: {min(seconds):.2f} s; weights read: {read}"
            )
    finally:
        shutil.rmtree(folder)


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--files", type=int, default=20_000)
    made.add_argument("--weights", type=int, default=200)
    made.add_argument("--size", type=int, default=1_000_000, help="bytes of each weight file")
    made.add_argument("--runs", type=int, default=3)
    return made


def _environment(folder: Path) -> dict[str, str]:
    (folder / ".gitconfig").write_text(
        "[user]\nname = b\nemail = b@example.com\n[init]\ndefaultBranch = main\n[gc]\nauto = 0\n"
    )
    return os.environ | {
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
    }


def _make(folder: Path, env: dict[str, str], options: argparse.Namespace) -> None:
    folder.mkdir()
    _run(["git", "init", "-q"], folder, env)
    _run([str(PROGRAMS / "git-lfs"), "install"], folder, env)
    _run([str(PROGRAMS / "cwt"), "init"], folder, env)
    (folder / "hundredweight.toml").write_text(
        '[model]\nname = "m"\nrecommended = "m@v1.0.0"\n[data]\npaths = ["data"]\n'
    )
    for number in range(options.weights):
        path = folder / "models" / f"shard-{number:05}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(options.size))
    for number in range(options.files - options.weights):
        path = folder / ("data" if number % 4 == 0 else "code") / f"{number % 100:02}" / f"file{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# file {number}\n" + "x = 1\n" * (number % 400))
    _run(["git", "add", "-A"], folder, env)
    _run(["git", "commit", "-q", "-m", "made"], folder, env)
    _run(["git", "tag", "-a", "-m", "first", "m@v1.0.0"], folder, env)


def _weights_read(clone: Path, env: dict[str, str], args: list[str]) -> int:
    """Weight files that the command opens, as strace tells; -1 where there is none."""
    if shutil.which("strace") is None:
        return -1
    log = clone.parent / "trace"
    _run(["strace", "-f", "-e", "trace=openat", "-o", str(log), str(PROGRAMS / "cwt"), "verify", *args], clone, env)
    return sum(
        ".safetensors" in line or "lfs/objects/" in line for line in log.read_text(errors="replace").splitlines()
    )


def _run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
