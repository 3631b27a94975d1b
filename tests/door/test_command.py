"""The command `samegrad`: one tree, the same manners in every command."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks import command_line
from samegrad.benchmarks.cases.case import ARITHMETIC
from samegrad.benchmarks.cases.presets import PRESETS
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.cli import SHOWN, main, tree
from samegrad.cli.parser import STATUS
from samegrad.implementations.contract import registry

EXAMPLE = ROOT / "reports" / "results" / "differentiation"
ELSEWHERE = ROOT / "reports" / "results" / "gpu_hello"  # of a machine that is not this one
COMMANDS = tuple(SHOWN)


def samegrad(*arguments: str, cwd: Path = ROOT, **options: Any) -> Any:
    """`python -m samegrad ARGUMENTS` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "samegrad", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_commands_are_those_of_the_issue(capsys: pytest.CaptureFixture[str]) -> None:
    """All listed by --help, with the exit statuses; one file each."""
    assert 0 == main(["--help"])
    printed = capsys.readouterr().out

    expected = "benchmark verify train render compare advise doctor selftest workloads runs "
    expected += "results fleet archive site exercise pictures gpu-proof versions completion"
    assert set(expected.split()) == set(COMMANDS)
    assert all(f"\n    {name}" in printed for name in COMMANDS)
    assert "schema" not in printed
    assert STATUS in " ".join(printed.split())
    assert {*COMMANDS, "schema"} == set(tree().named()) == set(command_line.COMMANDS)
    for name in command_line.COMMANDS:
        assert (ROOT / "samegrad" / "cli" / f"{name.replace('-', '_')}.py").exists()


def test_help_begins_with_what_the_command_does() -> None:
    """After how it is used, and before its options: in the words of the list of all."""
    parsers = [tree()]
    for parser in parsers:
        for listed in parser.commands._choices_actions if parser.commands else ():
            own = parser.named()[listed.dest]
            _, said, *_ = (" ".join(part.split()) for part in own.format_help().split("\n\n"))
            assert said.rstrip(".").lower() == str(listed.help).rstrip(".").lower()
            assert said[0].isupper() and said[-1] in ".?"
            parsers.append(own)

    assert len(parsers) > len(COMMANDS)


@pytest.mark.parametrize("name", command_line.COMMANDS)
def test_every_command_has_help_version_and_one_line_errors(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Statuses 0, 0 and 2."""
    assert 0 == main([name, "--help"])
    assert STATUS in " ".join(capsys.readouterr().out.split())
    assert 0 == main([name, "--version"])
    assert capsys.readouterr().out.startswith("samegrad 0.")
    assert 2 == main([name, "--versoin"])
    said = capsys.readouterr()
    assert 1 == len(said.err.splitlines()) and ": error: " in said.err and "" == said.out


def test_help_loads_neither_numpy_nor_pytest() -> None:
    """So it is there at once."""
    code = (
        "import sys; from samegrad.cli import main; main(['--help'])\n"
        "print(*{'numpy', 'pandas', 'pytest', 'tomllib', 'json'} & set(sys.modules),"
        " file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "" == done.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["verfy"], "did you mean 'verify'?"),
        (["verify", "nunpy"], "did you mean 'numpy'?"),
        (["verify", "numpy", "--laers", "3-2"], "did you mean '--layers'?"),
        (["verify", "numpy", "--activation", "relo"], "did you mean 'relu'?"),
        (["compare", "a", "b", "--across", "machin"], "did you mean 'machine'?"),
        (["train", "digts"], "did you mean 'digits'?"),
        (["selftest", "--only", "clok"], "did you mean 'clock'?"),
        (["completion", "bahs"], "did you mean 'bash'?"),
        (["benchmark", "--presett", "hello"], "did you mean '--preset'?"),
        (["runs", "lst"], "there is no command 'lst' of it; accepted: list, clean; did you mean"),
        (["exercise", "chek"], "did you mean 'check'?"),
        (["results", "updat"], "did you mean 'update'?"),
        (["advise", "--dtype", "flaot32"], "did you mean 'float32'?"),
        (["report"], "did you mean 'render'?"),
        (["bench"], "did you mean 'benchmark'?"),
    ],
)
def test_misspelt_words_get_a_suggestion(
    arguments: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit status 2."""
    assert 2 == main(arguments)

    (line,) = capsys.readouterr().err.splitlines()
    assert suggestion in line


@pytest.mark.parametrize(
    ("option", "value", "near"),
    [
        ("preset", "helo", "hello"),
        ("dtype", "float23", "float32"),
        ("implementation", "nmpy", "numpy"),
    ],
)
def test_misspelt_values_of_a_benchmark_get_a_suggestion(
    option: str, value: str, near: str
) -> None:
    """From the checks of the options, so `pytest --benchmark` says it too."""
    from samegrad.benchmarks.runs.options import parse

    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        parse(**{option: value})


def test_table_of_options_is_that_of_the_checks() -> None:
    """Names stand there once more so that --help loads nothing."""
    import inspect

    from samegrad.benchmarks.runs import options
    from samegrad.benchmarks.runs.options import parse

    assert tuple(PRESETS) == command_line.PRESETS
    assert tuple(ARITHMETIC) == command_line.ARITHMETIC
    for names in ("ACTIVATIONS", "OUTPUT_ACTIVATIONS", "LOSSES"):
        assert getattr(options, names) == getattr(command_line, names)
    taken = set(inspect.signature(parse).parameters) - {"kind"}
    named = {option.name for option in command_line.OPTIONS}
    assert taken == named - {"resume", "retry_failed"}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--collect-only", "-q", "-k", "digits and train_step"], 0),
        (["-k", "nothing_of_that_name"], 2),
        (["--no-such-option"], 2),
        (["--preset", "hello", "-m", "peers"], 2),
    ],
)
def test_benchmark_translates_the_codes_of_pytest(arguments: list[str], status: int) -> None:
    """Usage, and a selection of nothing, are 2."""
    options = ["--preset", "hello"] if "--preset" not in arguments else []

    done = samegrad("benchmark", *options, "--implementation", "numpy", *arguments)

    assert status == done.returncode, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_pytest_takes_an_existing_folder_for_output(tmp_path: Path) -> None:
    """With "="; `samegrad benchmark` takes both forms (test_forms)."""
    out = tmp_path / "out"
    out.mkdir()

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--benchmark", "--preset", "hello", "-q",
         "--implementation", "numpy", "--collect-only", f"--output={out}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout + done.stderr


ABSENT = next((n for n in registry.names("all") if registry.why_not_installed(n)), "")


@pytest.mark.parametrize(
    ("line", "status", "meaning"),
    [
        ("verify numpy --layers 3-2", 0, "every gradient that is named agrees"),
        ("verify wrong.py --layers 3-2", 1, "one disagrees"),
        ("verify broken.py --layers 3-2", 4, "one could not be checked"),
        ("verify wrong.py ABSENT --layers 3-2", 1, "one disagrees, whatever is missing besides"),
        ("verify ABSENT --layers 3-2", 2, "one is not installed"),
        ("verify numpy --against ABSENT --layers 3-2", 2, "what it is compared with is not"),
        ("verify numpy --device cuda --layers 3-2", 2, "it has no such device"),
        ("verify nowhere.py", 2, "there is no such file"),
        ("verify notes.md", 2, "it is no Python file"),
        ("verify numpy --bias maybe", 2, "it takes yes or no"),
        ("train xor --epochs 1 --implementation ABSENT", 2, "it is not installed"),
        ("train nothing", 2, "there is no such task"),
        ("compare RUN RUN --across code,inputs", 0, "no limit was given"),
        ("compare RUN RUN --across code,inputs --fail-above 5%", 0, "no row is slower"),
        ("compare RUN nowhere", 2, "there is no such run"),
        ("render nowhere", 2, "there is no such run"),
        ("advise --layers 3-2 --runs ELSEWHERE", 1, "nothing is known of this machine"),
        ("advise --layers 3-2 --runs nowhere", 2, "there is no such run"),
        ("runs list --runs .", 0, "none is a list, too"),
        ("runs clean --runs .", 2, "nothing was named"),
        ("selftest --only nothing", 2, "there is no such check"),
        ("completion tcsh", 2, "there is no such shell"),
        ("workloads", 0, "the table is printed"),
    ],
)
def test_exit_statuses_mean(
    line: str,
    status: int,
    meaning: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """0 done, 1 a check failed, 2 wrong usage or something is missing."""
    if "ABSENT" in line and not ABSENT:
        pytest.skip("every framework of the table is installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.py").write_text(
        "def loss_and_grad(spec, params, X, y):\n    return 0.0, params\n"
    )
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "notes.md").write_text("no network\n")
    words = {"ABSENT": ABSENT, "RUN": str(EXAMPLE), "ELSEWHERE": str(ELSEWHERE)}

    assert status == main([words.get(word, word) for word in line.split()]), (
        meaning + capsys.readouterr().err
    )


# ---- pyproject.toml ----


def settings(folder: Path, text: str) -> Path:
    """A folder with options."""
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_settings_are_defaults_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is typed goes before what stands in the file; required options may stand there."""
    text = (
        "[tool.samegrad.verify]\nactivation = ['relu']\nbatch-size = 3\njson = true\n"
        "loss = 'mse'\ndtype = 'float64'\n"
        "[tool.samegrad.advise]\nlayers = '3-2'\nruns = 'nowhere'\n"
    )
    monkeypatch.chdir(settings(tmp_path, text))

    assert 0 == main(["verify", "numpy"])
    assert capsys.readouterr().out.startswith("[")
    assert 2 == main(["verify", "numpy", "--loss", "nope"])
    assert "'nope' is not known" in capsys.readouterr().err
    assert 2 == main(["advise"])
    assert "nowhere: no journal there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.samegrad.verify]\nlaers = '3-2'", "laers: there is no such option; accepted: "),
        ("[tool.samegrad.verify]\njson = 'yes'", "json = 'yes' is not accepted; give true or"),
        ("[tool.samegrad.verify]\ndtype = { a = 1 }", "dtype = {'a': 1} is not accepted"),
        ("[tool.samegrad.verify]\nseed = true", "seed = True is not accepted"),
        ("[tool.samegrad.verify]\nseed = 'many'", "argument --seed: invalid int value: 'many'"),
        ("[tool.samegrad.verfy]\nseed = 1", "there is no such command; accepted: "),
        ("[tool.samegrad]\nverify = 3", "tool.samegrad.verify is 3, expected a table of options"),
        ("[tool]\nsamegrad = 3", "tool.samegrad is no table"),
        ("tool = 3", "pyproject.toml: tool is no table"),
        ("[tool.samegrad", "cannot be read: "),
        (f"x = {'[' * 3000}{']' * 3000}", "cannot be read: more than 32 lists or tables"),
        (f"x = {'{a = ' * 3000}1{'}' * 3000}", "cannot be read: more than 32 lists or tables"),
        (f"[tool.samegrad.verify]\nloss = {'[' * 90}{']' * 90}", "more than 32 lists or tables"),
    ],
)
def test_wrong_settings_are_one_line(
    text: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit status 2."""
    monkeypatch.chdir(settings(tmp_path, text))

    assert 2 == main(["verify", "numpy"])

    (line,) = capsys.readouterr().err.splitlines()
    assert (message in line and "pyproject.toml" in line) or "argument --seed" in line


def test_settings_of_a_benchmark_stand_in_the_table_itself(tmp_path: Path) -> None:
    """Checked; a resumed run and a group of cases leave out what they do without."""
    folder = settings(tmp_path, "[tool.samegrad]\npreset = 'hello'\nimplementation = ['numpy']\n")
    quick = ("benchmark", "--collect-only", "-q")

    hello = samegrad(*quick, cwd=folder)
    peers = samegrad(*quick, "-m", "peers", cwd=folder)
    resumed = samegrad("benchmark", "--resume", "nowhere", cwd=folder)
    wrong = samegrad(*quick, cwd=settings(tmp_path, "[tool.samegrad]\nprest = 'hello'\n"))

    assert 0 == hello.returncode and 5 == hello.stdout.count("test_speed["), hello.stderr
    assert ["pyproject.toml"] == [path.name for path in folder.iterdir()]  # and no .benchmarks
    assert 0 == peers.returncode and "covtype" not in hello.stdout
    assert peers.stdout.count("test_speed[") > 5
    assert 2 == resumed.returncode and "--resume nowhere: no such run" in resumed.stderr
    assert 2 == wrong.returncode
    assert "prest: there is no such option" in wrong.stderr
    assert "did you mean 'preset'?" in wrong.stderr


# ---- a reader who leaves, a user who stops ----


@pytest.mark.parametrize(("typed", "set_before"), [("\x1b[31m", ""), ("mnist", "--\x1b[31m")])
def test_control_characters_do_not_reach_pytest(
    typed: str, set_before: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would show them as they are."""
    monkeypatch.setenv("PYTEST_ADDOPTS", set_before)

    assert 2 == main(["benchmark", "-k", typed, "--collect-only"])

    (line,) = capsys.readouterr().err.splitlines()
    assert r"\x1b[31m: control characters are not accepted" in line


def test_what_is_written_can_be_read_by_who_writes_it() -> None:
    """Whatever the mask says that a command finds."""
    before = os.umask(0o777)
    try:
        assert 0 == main(["workloads"])
    finally:
        mask = os.umask(before)

    assert 0o077 == mask


@pytest.mark.parametrize(
    "command",
    [
        ("workloads",),
        ("verify", "numpy", "--json"),
        ("schema",),
        ("benchmark", "--preset", "hello", "--collect-only", "--implementation", "numpy"),
    ],
    ids=lambda command: command[0],
)
def test_broken_pipe_is_no_traceback(command: tuple[str, ...]) -> None:
    """As in `samegrad workloads | head -1`, with a reader that leaves at once."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "samegrad", *command],
            cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)

    assert "" == done.stderr
    assert 1 == done.returncode


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("command", ["selftest", "verify --layers 3-2"])
def test_interrupt_is_one_word_and_130(command: str) -> None:
    """Ctrl-C, once the command has said its first line."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "samegrad", *command.split()],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        while not child.stdout.readline().strip():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)

    assert 130 == child.returncode, said
    assert "interrupted" == said.splitlines()[-1] and "Traceback" not in said


# ---- runs ----


def runs_of(folder: Path) -> Path:
    """A folder with a complete run, one without an end, and what is no run of ours."""
    for name in ("20260101-first", "20260102-second"):
        (folder / name / "figures").mkdir(parents=True)
        shutil.copy(EXAMPLE / "journal.jsonl", folder / name)
    journal = folder / "20260102-second" / "journal.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:-1]) + "\n")
    (folder / "notes").mkdir()
    (folder / "notes" / "journal.jsonl").write_text("my notes")
    (folder / "link").symlink_to(folder / "20260101-first")
    return folder


def run_and_cases(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first record of a run, and the cases that it planned."""
    with (folder / "journal.jsonl").open() as file:
        records = map(json.loads, file)
        return next(records), next(r["cases"] for r in records if r["record"] == "cases")


def test_runs_are_listed_with_what_tells_them_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Name, date, rows, whether complete, machine; nothing that is no run of ours."""
    assert 0 == main(["runs", "list", "--runs", str(runs_of(tmp_path))])

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("20260101-first") and " complete " in first
    assert second.startswith("20260102-second") and " incomplete " in second
    about, planned = run_and_cases(EXAMPLE)
    assert f"{len(planned)} rows" in first and "cores" in first
    assert about["started"][:10] in first


def test_clean_removes_what_is_named_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not without --yes where nobody can be asked; never what is no run."""
    base = str(runs_of(tmp_path))

    assert 2 == main(["runs", "clean", "--runs", base])
    assert 2 == main(["runs", "clean", "notes", "--runs", base, "--yes"])
    assert 2 == main(["runs", "clean", "link", "--runs", base, "--yes"])
    assert 5 == len(list(tmp_path.iterdir())) + 1
    assert 0 == main(["runs", "clean", "--incomplete", "--runs", base, "--yes"])
    assert not (tmp_path / "20260102-second").exists() and (tmp_path / "20260101-first").exists()
    assert 0 == main(["runs", "clean", "--all", "--runs", base, "--yes"])
    assert {"notes", "link"} == {path.name for path in tmp_path.iterdir()}
    assert "1 run removed" in capsys.readouterr().out


def test_clean_asks_and_keeps_folders_with_other_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A no is 1, and so is a run that is kept."""
    base = runs_of(tmp_path)
    (base / "20260101-first" / "thesis.tex").write_text("mine")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")

    assert 1 == main(["runs", "clean", "20260102-second", "--runs", str(base)])
    assert (base / "20260102-second").exists()
    assert 1 == main(["runs", "clean", "--all", "--yes", "--runs", str(base)])
    assert "it holds what is not ours: thesis.tex" in capsys.readouterr().err
    assert (base / "20260101-first" / "thesis.tex").exists()
    assert not (base / "20260102-second").exists()


def test_no_runs_are_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a folder that is not there is wrong usage."""
    assert 0 == main(["runs", "list", "--runs", str(tmp_path)])
    assert f"no runs in {tmp_path}" in capsys.readouterr().out
    assert 2 == main(["runs", "list", "--runs", str(tmp_path / "nowhere")])


# ---- completion ----


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_one_of_the_shell(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every command; the shell reads it without complaint, where it is there."""
    assert 0 == main(["completion", shell])
    script = capsys.readouterr().out

    assert all(name in script for name in COMMANDS)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed, so its script is only looked at")
    path = tmp_path / "script"
    path.write_text(script)
    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ver", {"verify", "versions"}),
        ("benchmark --pre", {"--preset"}),
        ("benchmark --preset h", {"hello"}),
        ("verify numpy_", {"numpy_inplace"}),
        ("train xor --implementation ja", {"jax", "jax_sharded", "jax_tensor"}),
        ("runs cl", {"clean"}),
        ("completion f", {"fish"}),
    ],
)
def test_bash_completes(typed: str, expected: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Commands, options, and values that are known."""
    assert 0 == main(["completion", "bash"])
    words = ["samegrad", *typed.split(" ")]
    line = " ".join(f"'{word}'" for word in words)
    script = (
        f"{capsys.readouterr().out}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _samegrad; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )

    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)

    assert expected == set(done.stdout.split())
