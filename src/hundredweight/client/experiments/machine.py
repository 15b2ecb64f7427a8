"""What a training runs on and with: the machine's facts, and the packages of the Python that the command uses.

Programs are asked while the training starts; one that is missing, fails or hangs leaves its fact unknown.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from hundredweight.base.trace import trace
from hundredweight.lineage import hardware
from hundredweight.lineage.environment import canonical, differences, parse_requirements
from hundredweight.lineage.fields import RecordInvalid
from hundredweight.lineage.record import Environment, Hardware

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PYTHON = re.compile(r"(?:python|pypy)(?:\d+(?:\.\d+)*)?(?:\.exe)?")
_TIMEOUT = 20.0
_PROBE = r"""
import json, os, re, sys
found = {}
cuda = ""
for folder in reversed(sys.path or []):
    try:
        names = os.listdir(folder or ".")
    except OSError:
        continue
    for name in names:
        match = re.match(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info$", name)
        if match:
            found[match.group(1)] = match.group(2)
    version = os.path.join(folder, "torch", "version.py")
    if os.path.isfile(version):
        with open(version) as file:
            match = re.search(r"^cuda(?:: [^=]+)? = '([^']*)'", file.read(), re.M)
        cuda = match.group(1) if match else ""
print(json.dumps({"python": "%d.%d.%d" % sys.version_info[:3], "packages": found, "cuda": cuda}))
"""
"""Names of folders alone: importing packages, or reading what each says of itself, takes up to seconds."""


def find_python(command: Sequence[str], folder: str, variables: Mapping[str, str]) -> str:
    """The Python that a command runs: the one that it names (also behind `env`, `srun`, `mpirun`), the one of the script that it
    is (`torchrun`, `accelerate`), the project's own for `uv run` and its kin; else the first on PATH. Empty: there is none."""
    path = variables.get("PATH", os.defpath)
    for word in command:
        if _PYTHON.fullmatch(os.path.basename(word)):
            return _resolve(word, folder, path)
    if command and os.path.basename(command[0]) in ("uv", "poetry", "pdm", "pipenv", "hatch", "rye"):
        inside = variables.get("VIRTUAL_ENV") or os.path.join(folder, ".venv")
        own = os.path.join(inside, "bin", "python")
        if os.access(own, os.X_OK):
            return own
    script = _resolve(command[0], folder, path) if command else ""
    named = _shebang(script)
    if named and _PYTHON.fullmatch(os.path.basename(named)):
        return _resolve(named, folder, path)
    return _resolve("python", folder, path) or _resolve("python3", folder, path)


def environment(
    python: str, folder: str, variables: Mapping[str, str], listed: tuple[str, bytes] | None
) -> Environment:
    """What that Python has installed. `listed` is the file with the wanted packages: its path and content."""
    said = _ask((python, "-c", _PROBE), folder, variables) if python else ""
    try:
        answer = json.loads(said)
        packages = {canonical(name): str(version) for name, version in answer["packages"].items()}
        version, cuda = str(answer["python"]), str(answer["cuda"])
    except (ValueError, KeyError, TypeError, AttributeError):
        trace(f"no packages from '{python}'")
        packages, version, cuda = {}, "", ""
    runtime = next((packages[name] for name in sorted(packages) if name.startswith("nvidia-cuda-runtime")), "")
    file = ""
    differs: tuple[str, ...] = ()
    if listed is not None:
        file = listed[0]
        try:
            differs = differences(packages, parse_requirements(*listed)) if version else ()
        except RecordInvalid as error:
            differs = (str(error),)
    lines = [f"python=={version}", *(f"{name}=={packages[name]}" for name in sorted(packages))]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest() if version else ""
    return Environment(version, cuda or runtime, file, digest, dict(sorted(packages.items())), differs)


def machine(variables: Mapping[str, str]) -> Hardware:
    """Processor, memory, and the GPUs that the variables leave to a job."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        memory = 0
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    return Hardware(_processor(variables), count, memory, hardware.gpus(_devices(variables)))


def driver_cuda(variables: Mapping[str, str]) -> str:
    """The CUDA version of the driver; empty where there is none."""
    return hardware.cuda_version(_ask(hardware.NVIDIA_PLAIN, "/", variables))


def _processor(variables: Mapping[str, str]) -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            name = hardware.cpu_name(file.read())
    except OSError:
        name = _ask(("sysctl", "-n", "machdep.cpu.brand_string"), "/", variables).strip()
    return name or platform.machine()


def _devices(variables: Mapping[str, str]) -> list[hardware.Device]:
    nvidia = hardware.nvidia_devices(_ask(hardware.NVIDIA, "/", variables))
    if nvidia:
        return hardware.visible(nvidia, variables.get("CUDA_VISIBLE_DEVICES"))
    wanted = variables.get("ROCR_VISIBLE_DEVICES", variables.get("HIP_VISIBLE_DEVICES"))
    amd = hardware.amd_devices(_ask(hardware.AMD, "/", variables))
    return hardware.visible(amd or hardware.rocm_devices(_ask(hardware.ROCM, "/", variables)), wanted)


def _ask(command: Sequence[str], folder: str, variables: Mapping[str, str]) -> str:
    """What a program prints; empty where it is not there, fails or hangs."""
    program = shutil.which(command[0], path=variables.get("PATH", os.defpath))
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *command[1:]],
            cwd=folder,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        trace(f"'{program}' gave no answer: {error}")
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _resolve(word: str, folder: str, path: str) -> str:
    if os.sep in word:
        full = os.path.join(folder, word)
        return full if os.access(full, os.X_OK) else ""
    return shutil.which(word, path=path) or ""


def _shebang(path: str) -> str:
    """The interpreter that a script names; of `env` what it is to find."""
    if not path:
        return ""
    try:
        with open(path, "rb") as file:
            line = file.readline(512)
    except OSError:
        return ""
    words = line[2:].decode("utf-8", "replace").split() if line.startswith(b"#!") else []
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    if words and os.path.basename(words[0]) == "sh":
        return _exec_line(path)
    return words[0] if words else ""


def _exec_line(path: str) -> str:
    """pip's wrapper where the interpreter's path is long: a shell script that runs Python on itself."""
    with open(path, "rb") as file:
        match = re.search(rb"^'+exec' (?:\"([^\"]+)\"|(\S+)) ", file.read(2048), re.MULTILINE)
    return os.fsdecode(match[1] or match[2]) if match else ""
