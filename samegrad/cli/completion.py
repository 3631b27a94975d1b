"""`samegrad completion`: a script that completes commands, options and known values in a shell.

Made from the tree of commands by hand: argcomplete starts Python at every key, and shtab is one
more thing to install for 40 lines.
"""

import shlex
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from samegrad.cli.parser import DONE
from samegrad.implementations.contract.texts import say

BASH = """\
_samegrad() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} last=${{COMP_WORDS[COMP_CWORD-1]}} words
    case "${{COMP_WORDS[1]}} $last" in
{values}
        *) case "$COMP_CWORD ${{COMP_WORDS[1]}}" in
            "1 "*) words={commands} ;;
{options}
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [[ ${{#COMPREPLY[@]}} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$word"))
}}
complete -o filenames -F _samegrad samegrad
"""
SHELLS = ("bash", "zsh", "fish")


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes commands in a shell",
        epilog='bash, zsh: eval "$(samegrad completion bash)"\n'
        "fish: samegrad completion fish | source\n",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Print the script."""
    from samegrad.cli import SHOWN, tree

    words = {name: _words(parser) for name, parser in tree().named().items() if name in SHOWN}
    say(_fish(words) if arguments.shell == "fish" else _bash(words, arguments.shell), end="")
    return DONE


# An option or a command of a command -> the values that it is known to take
Words = dict[str, tuple[str, ...]]


def _words(parser: Any) -> Words:
    from samegrad.benchmarks.command_line import OPTIONS
    from samegrad.implementations.contract import registry

    known = {option.flag: option.values for option in OPTIONS}
    known["--implementation"] = known["--against"] = registry.names("all")
    words: Words = {}
    for flag, action in parser.options().items():
        words[flag] = () if action.nargs == 0 else tuple(action.choices or known.get(flag, ()))
    for name, inner in parser.named().items():
        words[name] = ()
        words |= dict.fromkeys(inner.options(), ())
    positional = parser.positional_values()
    if parser.prog.endswith(" verify"):
        positional = registry.names("all")
    return words | dict.fromkeys(positional, ())


def _bash(words: dict[str, Words], shell: str) -> str:
    def quoted(texts: Any) -> str:
        return shlex.quote(" ".join(texts))

    values = [
        f'        "{command} {option}") words={quoted(accepted)} ;;'
        for command, options in words.items()
        for option, accepted in options.items()
        if accepted
    ]
    options = [
        f'            *" {command}") words={quoted(options)} ;;'
        for command, options in words.items()
    ]
    script = BASH.format(
        values="\n".join(values), options="\n".join(options), commands=quoted(words)
    )
    return ("autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else "") + script


def _fish(words: dict[str, Words]) -> str:
    return "\n".join(_fish_lines(words)) + "\n"


def _fish_lines(words: dict[str, Words]) -> Iterator[str]:
    start = "complete -c samegrad"
    yield f"{start} -n __fish_use_subcommand -f -a {shlex.quote(' '.join(words))}"
    for command, options in words.items():
        seen = f"-n '__fish_seen_subcommand_from {command}'"
        for option, accepted in options.items():
            if not option.startswith("--"):
                yield f"{start} {seen} -a {shlex.quote(option)}"
            elif accepted:
                yield f"{start} {seen} -l {option[2:]} -x -a {shlex.quote(' '.join(accepted))}"
            else:
                yield f"{start} {seen} -l {option[2:]}"
