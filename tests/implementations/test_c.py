"""The C network: what it is compiled with, where that is kept, and what C may be given."""

import copy
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.machine import system
from samegrad.implementations import functions_c
from samegrad.implementations.backends import c_compiler
from samegrad.implementations.contract import cache as cache_folder
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.networks import problem
from tests.implementations.test_inplace import peak_of_steps

pytestmark = pytest.mark.skipif(
    registry.why_not_installed("c") is not None, reason="there is no C compiler"
)
HOSTILE = "-o a;b $(c) '\"%s @é\n#"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where compiled code is kept in this test."""
    home = tmp_path / HOSTILE
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    cache_folder.kept_in.cache_clear()
    yield home / "samegrad" / "c"
    cache_folder.kept_in.cache_clear()


def one(tmp_path: Path, value: int = 1) -> int:
    """What a library of one function gives."""
    source = tmp_path / "one.c"
    source.write_text("int one(void) { return VALUE; }")
    return int(c_compiler.library([source], {"VALUE": value}).one())


def no_compiler(*_: Any, **__: Any) -> None:
    """In the place of what starts it."""
    raise AssertionError("it was compiled again")


def test_code_is_compiled_once_whatever_the_folders_are_called(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another definition is another library; nothing half made is left."""
    killed = cache / "making-killed"
    killed.mkdir(parents=True, mode=0o700)
    cache.chmod(0o700)
    os.utime(killed, (0, 0))

    assert (1, 2) == (one(tmp_path), one(tmp_path, 2))
    made = sorted(cache.iterdir())

    monkeypatch.setattr(subprocess, "Popen", no_compiler)

    assert 1 == one(tmp_path)
    assert 2 == len(made) and made == sorted(cache.iterdir())
    assert 0o700 == cache.stat().st_mode & 0o777
    with pytest.raises(AssertionError, match="compiled again"):
        one(tmp_path, 3)


@pytest.mark.parametrize("fault", ["damaged", "link", "open to others"])
def test_what_is_not_as_it_was_made_is_compiled_again(
    fault: str, cache: Path, tmp_path: Path
) -> None:
    """And takes its place."""
    one(tmp_path)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    if fault == "damaged":
        kept.unlink()  # it is open in this process
        kept.write_bytes(whole[:100])
    elif fault == "link":
        kept.unlink()
        kept.symlink_to(tmp_path / "somebody's.so")
    else:
        kept.unlink()
        kept.write_bytes(b"somebody's")
        kept.chmod(0o777)
    # A library that is open in this process stays what it was: another one looks.
    code = (
        "import sys; from pathlib import Path\n"
        "from samegrad.implementations.backends import c_compiler\n"
        "print(c_compiler.library([Path(sys.argv[1])], {'VALUE': 1}).one())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "one.c"], capture_output=True, text=True, check=True
    )

    assert "1" == done.stdout.strip()
    assert not kept.is_symlink() and whole[:4] == kept.read_bytes()[:4]
    assert not kept.stat().st_mode & 0o022


@pytest.mark.parametrize("which", ["itself", "above it", "is a file"])
def test_folder_that_others_can_write_is_not_used(which: str, cache: Path, tmp_path: Path) -> None:
    """Then the process has one of its own."""
    cache.parent.mkdir(parents=True)
    if which == "is a file":
        cache.write_text("")
    else:
        cache.mkdir()
        (cache if which == "itself" else cache.parent).chmod(0o777)

    assert 1 == one(tmp_path)
    assert cache not in cache_folder.kept_in("c").parents and cache_folder.kept_in("c") != cache


def test_without_a_compiler_it_is_unavailable_and_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a framework that is not installed; and one that fails is quoted."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert "it needs a C compiler: install gcc or clang, or set $CC" == registry.why_not_installed(
        "c"
    )
    with pytest.raises(NotImplementedError, match="needs a C compiler"):
        one(tmp_path)

    failing = tmp_path / "cc"
    failing.write_text("#!/bin/sh\necho 'error: out of luck' >&2\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(NotImplementedError, match=r"the C compiler cc fails: error: out of luck"):
        one(tmp_path)


def compiler(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let $CC be a script."""
    program = tmp_path / "own cc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("CC", f"'{program}'")


@pytest.mark.parametrize(
    ("script", "said"),
    [("exit 0", "No such file"), ("mkdir made.so", "it made no ordinary"),
     ("ln -s /etc/passwd made.so", "it made no ordinary"), ("sleep 300", "no result within 1 s")],
)  # fmt: skip
def test_compiler_that_makes_nothing_is_one_line(
    script: str, said: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves nothing where the library would be."""
    compiler(script, tmp_path, monkeypatch)
    monkeypatch.setattr(c_compiler, "COMPILE_SECONDS", 1.0)

    with pytest.raises(NotImplementedError, match=f"the C compiler own cc fails: {said}"):
        one(tmp_path)
    assert [] == list(cache.iterdir())


@pytest.mark.usefixtures("cache")
def test_library_that_hides_its_names_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by -fvisibility=hidden."""
    own = registry.c_compiler()
    assert own is not None
    compiler(f'exec {own[0]} "$@" -fvisibility=hidden', tmp_path, monkeypatch)

    with pytest.raises(NotImplementedError, match="has no samegrad_room; do options in"):
        functions_c.library.__wrapped__("float64")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_what_a_compiler_starts_is_not_waited_for_and_ends_with_it(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have the other end of every pipe."""
    own = registry.c_compiler()
    assert own is not None
    compiler(f'sleep 300 &\necho $! > "$0.started"\nexec {own[0]} "$@"', tmp_path, monkeypatch)
    monkeypatch.setattr(c_compiler, "COMPILE_SECONDS", 60.0)

    assert 1 == one(tmp_path)
    state = Path("/proc") / (tmp_path / "own cc.started").read_text().strip() / "stat"
    deadline = time.monotonic() + 10
    while state.exists() and ") Z" not in state.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("fault", ["dtype", "shape", "stride", "label"])
def test_c_is_given_nothing_that_it_would_misread(fault: str) -> None:
    """An array of another dtype, too few numbers, rows apart; a label that is no output is NaN."""
    spec = MLPSpec((5, 4, 3))
    c: Any = load("c")
    params, X, y = problem(spec, 6)
    placed = c.params_from_numpy(spec, params, "cpu")
    X, y = c.batch_from_numpy(spec, X, y, "cpu")
    if fault == "label":
        y[2] = 3
        assert np.isnan(c.loss(spec, placed, X, y))
        return
    wrong = {"dtype": X.astype("float64"), "shape": X[:, :4].copy(), "stride": X[:, ::-1]}[fault]

    with pytest.raises(ValueError, match="row after row"):
        c.train_step(spec, placed, c.init_state(spec, placed), wrong, y, 0.1)


def test_arrays_of_other_classes_are_refused() -> None:
    """Those of exact numbers hold no floats: C would take them for addresses."""
    spec = MLPSpec((5, 4, 3))
    c: Any = load("c")
    params, X, _ = problem(spec, 6)
    placed = c.params_from_numpy(spec, params, "cpu")

    with pytest.raises(NotImplementedError, match="NumPy's own arrays, not recarray"):
        c.forward(spec, placed, X.view(np.recarray))


def test_state_of_other_arrays_is_not_used() -> None:
    """A copy of params or state is what is updated, not what they were copied from."""
    spec = MLPSpec((5, 4, 3), optimizer="adam")
    c: Any = load("c")
    params, X, y = problem(spec, 6)
    placed = c.params_from_numpy(spec, params, "cpu")
    batch = c.batch_from_numpy(spec, X, y, "cpu")
    state = c.init_state(spec, placed)
    others, their_state = copy.deepcopy((placed, state))
    new, _, _ = c.train_step(spec, others, their_state, *batch, 0.1)

    np.testing.assert_array_equal(placed[0][0], params[0][0])
    assert new[0][0] is others[0][0] and not np.array_equal(others[0][0], params[0][0])
    assert not any(array.any() for array in state[1][0][0])


@pytest.mark.parametrize("batch_size", [1, 7, 33, 200])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_every_size_are_right(batch_size: int, dtype: str) -> None:
    """Below, at and beyond the sizes of tiles, panels and blocks, turned or not."""
    c, rng = load("c"), np.random.default_rng(0)
    sizes = (
        (batch_size, 37, 300),
        (batch_size, 2049, 5),
        (70, batch_size, 513),
        (batch_size, 300, 784),
    )
    for m, n, k in sizes:
        A, B = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        pairs = [(A, B), (A.T.copy(), B), (A, B.T.copy())]
        bound = 8 * np.finfo(dtype).eps * (np.abs(A) @ np.abs(B)).max()
        for C in c.capabilities.products(("nn", "tn", "nt"), pairs):
            assert np.abs(C - A.astype("float64") @ B).max() <= bound


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ends_of_rows_are_left_alone(dtype: str) -> None:
    """What lies after a product or its second factor stays, and is not read as a part of them."""
    rng = np.random.default_rng(0)
    sizes = (13, 10, 7), (30, 33, 5), (3, 47, 300), (130, 100, 80)  # threads share the last one out
    for m, n, k in sizes:
        A, B = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((n, k)).astype(dtype)
        wide = np.full(m * n + 64, np.nan, dtype)
        given = np.full(n * k + 64, np.nan, dtype)
        given[: n * k] = B.ravel()
        C, turned = wide[: m * n].reshape(m, n), given[: n * k].reshape(n, k)
        for kind, other in (("nt", turned), ("nn", np.ascontiguousarray(turned.T))):
            functions_c.products((kind,), [(A, other)], [C])
            assert np.abs(C - A @ B.T).max() <= 1e3 * np.finfo(dtype).eps
            assert np.isnan(wide[m * n :]).all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its pages are protected by libc")
def test_nothing_is_read_beyond_the_last_row() -> None:
    """The page after the second factor may not be read; threads share the columns of one out."""
    code = (
        "import ctypes, mmap, sys, numpy as np\n"
        "from samegrad.implementations.functions_c import products\n"
        "for m, n, k in ((13, 10, 7), (130, 100, 80)):\n"
        "    size = -(-4 * n * k // mmap.PAGESIZE) * mmap.PAGESIZE\n"
        "    pages = np.frombuffer(mmap.mmap(-1, size + mmap.PAGESIZE), np.uint8)\n"
        "    B = pages[size - 4 * n * k : size].view(np.float32).reshape(k, n)\n"
        "    B[:] = 0.5\n"
        "    protect = ctypes.CDLL(None).mprotect\n"
        "    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int\n"
        "    assert not protect(pages.ctypes.data + size, mmap.PAGESIZE, 0)\n"
        "    C = np.empty((m, n), np.float32)\n"
        "    products(('nn',), [(np.ones((m, k), np.float32), B)], [C])\n"
        "    assert (C == k / 2).all()\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}

    done = subprocess.run([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)

    assert (0, b"") == (done.returncode, done.stderr)


def test_threads_change_no_more_than_rounding() -> None:
    """A large step on two threads is that on one; memory is made for any number of them."""
    code = (
        "import numpy as np; from samegrad.implementations.contract.registry import load\n"
        "from samegrad.implementations.contract.spec import MLPSpec\n"
        "from samegrad.implementations.contract.initializers import init_params\n"
        "spec, c, rng = MLPSpec((300, 260, 7), 'gelu'), load('c'), np.random.default_rng(0)\n"
        "params = c.params_from_numpy(spec, init_params(spec, 0), 'cpu')\n"
        "X, y = rng.standard_normal((150, 300)), rng.integers(0, 7, 150)\n"
        "X, y = c.batch_from_numpy(spec, X, y, 'cpu')\n"
        "params, _, loss = c.train_step(spec, params, c.init_state(spec, params), X, y, 0.5)\n"
        "print(float(loss), *(repr(float(np.abs(p).sum())) for layer in params for p in layer))\n"
        "from samegrad.implementations.functions_c import library\n"
        "print(library('float64').samegrad_product_room(96, 512, 512))"
    )
    given = {}
    for threads in "123":
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        given[threads] = [float(number) for number in done.stdout.split()]

    assert given["1"] == pytest.approx(given["2"], rel=1e-6)
    assert 1 == len({numbers[-1] for numbers in given.values()})


@pytest.mark.skipif(system.cores() > 4, reason="each core packs for itself")
@pytest.mark.parametrize("steps", [1, 3])
def test_step_stays_within_two_params_and_two_activations(steps: int) -> None:
    """The most that is held at any moment, weights included and inputs not."""
    spec = MLPSpec((300, 2048, 256, 20))
    activations = 1024 * sum(spec.layer_sizes[1:])

    assert peak_of_steps("c", steps, spec)[0] <= 4 * (2 * spec.parameters + 2.2 * activations)


@pytest.mark.skipif(system.cores() > 2, reason="each core packs for itself")
@pytest.mark.parametrize(
    ("sizes", "batch_size"),
    [((64, 32, 10), 32), ((784, 128, 64, 10), 128), ((784, 512, 512, 10), 128),
     ((300, 2048, 256, 20), 512), ((1024, 2048, 2048, 10), 1024)],
)  # fmt: skip
def test_memory_that_c_asks_for_is_within_that_on_small_networks(
    sizes: tuple[int, ...], batch_size: int
) -> None:
    """With the params, on two cores."""
    spec = MLPSpec(sizes)
    params: Any = [(np.empty(pair, "float32"), np.empty(pair[1], "float32"))
                   for pair in pairwise(sizes)]  # fmt: skip
    here = functions_c.Places(spec, params, functions_c.init_kept(spec, params))

    numbers = here.library.samegrad_room(here.pointer, batch_size)

    activations = batch_size * sum(sizes[1:])
    assert numbers <= spec.parameters + 2.2 * activations
