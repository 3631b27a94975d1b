"""C compiled at run time by the machine's own compiler, and kept for the next process.

Loaded through ctypes, which every Python has: cffi would be one more dependency, and compiles
through the headers of Python, which a machine may lack. What is kept lies in a directory of this
user that nobody else can write, under a name that is the hash of sources, flags, compiler and
processor; it is compiled under a name of its own and renamed, so that no process sees half of it.
"""

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from samegrad.implementations.contract.cache import UNSURE, kept_in
from samegrad.implementations.contract.registry import c_compiler

# No number may change by them: sums keep their order, and NaN stays NaN.
FLAGS = ("-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared", "-w")
# What compilers lack: of Arm some know no -march=native, of Apple none has OpenMP.
OPTIONAL = (("-march=native", "-fopenmp"), ("-march=native",), ("-fopenmp",), ())
COMPILE_SECONDS = 120.0
LEFT_SECONDS = 86400.0  # after which nobody compiles there any more
LONGEST = 2**16  # bytes of what a compiler says that are read


def library(sources: Sequence[Path], definitions: Mapping[str, object]) -> ctypes.CDLL:
    """The library of a C file, compiled unless it has been before.

    Args:
        sources: the file, and the headers beside it that it includes.
        definitions: names and what the compiler puts in their place.

    Raises:
        NotImplementedError: there is no compiler, it fails, or what it made cannot be loaded.
    """
    command = c_compiler()
    if command is None:
        raise NotImplementedError("it needs a C compiler: gcc, clang or $CC")
    program = os.path.abspath(shutil.which(command[0]) or command[0])  # noqa: PTH100 # links stay
    compiler = [program, *command[1:]]
    texts = {path.name: path.read_bytes() for path in sources}
    defined = [f"-D{name}={value}" for name, value in definitions.items()]
    made_by = _stamp(compiler), FLAGS, OPTIONAL, defined, _processor()
    key = [*texts.items(), *made_by]
    name = f"{sources[0].stem}-{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.so"
    folder = kept_in("c")
    kept = folder / name
    if not _ours(kept):
        _compile(compiler, texts, defined, kept)
    try:
        return ctypes.CDLL(os.fspath(kept))
    except OSError:  # of another system, or damaged
        _compile(compiler, texts, defined, kept)
    try:
        return ctypes.CDLL(os.fspath(kept))
    except OSError as error:
        raise NotImplementedError(f"what the C compiler made cannot be loaded: {error}") from None


def _compile(
    compiler: Sequence[str], texts: Mapping[str, bytes], defined: Sequence[str], kept: Path
) -> None:
    """Compile where only plain names are, so that no path is read as an option or a script."""
    for left in kept.parent.glob("making-*"):  # by a process that was killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="making-") as making:
        for name, text in texts.items():
            (Path(making) / name).write_bytes(text)
        for optional in OPTIONAL:
            files = [next(iter(texts)), "-o", "made.so", "-lm"]
            command = [*compiler, *FLAGS, *optional, *defined, *files]
            try:
                status, told = _run(command, making)
            except subprocess.TimeoutExpired:
                raise _failed(compiler, f"no result within {COMPILE_SECONDS:.0f} s") from None
            except OSError as error:
                raise _failed(compiler, error) from None
            if status == 0:
                _keep(Path(making) / "made.so", kept, compiler)
                return
        said = told.decode(errors="replace").strip().splitlines() or ["without a word"]
        fault = next((line for line in said if "error" in line), said[0])
        raise _failed(compiler, fault)


def _run(command: Sequence[str], making: str) -> tuple[int, bytes]:
    """Exit status and standard error of a compiler; what it has started ends with it.

    What it writes for itself lies where it compiles, and goes with that, even if it is killed.
    """
    with tempfile.TemporaryFile() as told:  # of a pipe, whoever has it would be waited for
        process = subprocess.Popen(
            command, cwd=making, env={**os.environ, "TMPDIR": making}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=told,
        )  # fmt: skip
        try:
            status = process.wait(COMPILE_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        told.seek(0)
        return status, told.read(LONGEST)


def _keep(made: Path, kept: Path, compiler: Sequence[str]) -> None:
    """Keep what was compiled, if it is an ordinary file: nothing else may stay in its place."""
    try:
        if not stat.S_ISREG(made.lstat().st_mode):
            raise _failed(compiler, "it made no ordinary file")
        made.replace(kept)
    except OSError as error:  # it made none
        raise _failed(compiler, error.strerror) from None


def _failed(compiler: Sequence[str], fault: object) -> NotImplementedError:
    name = Path(compiler[0]).name
    return NotImplementedError(f"the C compiler {name} fails: {fault!s:.200}")


def _ours(kept: Path) -> bool:
    """Whether a file is there that this user has written and nobody else can."""
    try:
        seen = kept.lstat()
    except OSError:
        return False
    return stat.S_ISREG(seen.st_mode) and seen.st_uid == os.getuid() and not seen.st_mode & UNSURE


def _stamp(compiler: Sequence[str]) -> tuple[object, ...]:
    """Which compiler it is, without asking it: its file."""
    path = os.path.realpath(compiler[0])
    seen = Path(path).stat()
    return *compiler, path, seen.st_size, seen.st_mtime_ns


def _processor() -> str:
    """What -march=native depends on."""
    lines = []
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
        names = ("flags", "Features", "model name", "model\t", "CPU part")
        lines = [line for line in text.splitlines() if line.startswith(names)]
    return "\n".join([platform.system(), platform.machine(), platform.processor(), *lines])
