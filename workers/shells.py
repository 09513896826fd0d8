"""Shell completion for `python -m starters` and `python -m workers`: one script per shell.

A script hands the words after the module's name to that module, in the variable COMPLETE; the
module answers with one `value<TAB>help` a line. Other uses of `python` keep the shell's own
completion.
"""

import os
from collections.abc import Callable
from enum import StrEnum

import typer

COMPLETE = "_DELTA_COMPLETE"
_WORDS = "_TYPER_COMPLETE_ARGS"
_ASK = f"{COMPLETE}=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args"
"""Typer's answer for fish is the plainest, so all three shells ask for that."""


class Shell(StrEnum):
    """Those that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_BASH = f"""\
# Completion of "python -m starters" and "python -m workers" for bash.
# Use it: source <(python -m starters completion bash)
_delta_complete() {{
    local line=${{COMP_LINE:0:COMP_POINT}} module words kept value help
    COMPREPLY=()
    [[ $line =~ ^[^[:space:]]+[[:space:]]+-m[[:space:]]+(starters|workers)[[:space:]]+(.*)$ ]] \\
        || return 0
    module=${{BASH_REMATCH[1]}} words=${{BASH_REMATCH[2]}}
    # bash ends a word at ":" and "=" too, and only replaces what follows them
    kept=${{words##*[[:space:]]}}
    kept=${{kept%"${{COMP_WORDS[COMP_CWORD]}}"}}
    while IFS=$'\\t' read -r value help; do
        [[ -n $value ]] && COMPREPLY+=("${{value#"$kept"}}")
    done < <({_ASK} {_WORDS}="$module $words" "$1" -m "$module" 2>/dev/null)
}}
complete -o default -o bashdefault -F _delta_complete python python3
"""

_ZSH = f"""\
#compdef python python3
# Completion of "python -m starters" and "python -m workers" for zsh.
# Use it: source <(python -m starters completion zsh)
_delta_complete() {{
    local value help
    local -a found
    if [[ $words[2] != -m || $words[3] != (starters|workers) || $CURRENT -lt 4 ]]; then
        if (( $+functions[_python] )); then _python "$@"; else _default; fi
        return
    fi
    while IFS=$'\\t' read -r value help; do
        [[ -n $value ]] && found+=("${{value//:/\\\\:}}:$help")
    done < <({_ASK} {_WORDS}="$words[3] ${{(j: :)words[4,CURRENT]}}" \\
        $words[1] -m $words[3] 2>/dev/null)
    if (( $#found )); then _describe -V delta found; else _files; fi
}}
compdef _delta_complete python python3
"""

_FISH = f"""\
# Completion of "python -m starters" and "python -m workers" for fish.
# Use it: python -m starters completion fish | source
function __delta_words
    string match -rg '^\\S+\\s+-m\\s+((?:starters|workers)\\s.*)$' -- (commandline -cp)
end
function __delta_complete
    set -l words (__delta_words)
    set -l program (commandline -opc)[1]
    set -l module (string split -m1 ' ' -- $words)[1]
    env {_ASK} {_WORDS}="$words" $program -m $module 2>/dev/null
end
for program in python python3
    complete -c $program -n 'test -n "$(__delta_words)"' -f -a '(__delta_complete)'
end
"""

_SCRIPTS = {Shell.BASH: _BASH, Shell.ZSH: _ZSH, Shell.FISH: _FISH}


def script(shell: Shell) -> str:
    """What the shell is to read."""
    return _SCRIPTS[shell]


def is_completing() -> bool:
    """Whether a shell runs us to complete a word."""
    return COMPLETE in os.environ


def complete_word(app: typer.Typer) -> int:
    """Print the proposals for the words so far; the exit code."""
    from typer import completion

    completion.get_completion_inspect_parameters()  # makes the shells known to typer
    run: Callable[..., object] = app
    try:
        run([], prog_name="delta", complete_var=COMPLETE)
    except SystemExit:
        return 0
    return 0
