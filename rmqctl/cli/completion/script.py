"""`rmqctl completion bash | zsh | fish`: the script that teaches a shell to complete rmqctl's words.

The scripts call rmqctl itself with `_RMQCTL_COMPLETE` set, see `words`.
"""

from enum import Enum
from typing import Annotated, Final

import typer

from rmqctl.cli.output import print_lines


class Shell(Enum):
    """Shells that can be taught."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_BASH: Final = r"""# rmqctl completion for bash; in ~/.bashrc: eval "$(rmqctl completion bash)"
_rmqctl_completion() {
    local IFS=$'\n'
    COMPREPLY=($(_RMQCTL_COMPLETE=bash "${COMP_WORDS[0]}" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
}
complete -o default -F _rmqctl_completion rmqctl
"""

_ZSH: Final = r"""#compdef rmqctl
# rmqctl completion for zsh; in ~/.zshrc, after compinit: eval "$(rmqctl completion zsh)"
_rmqctl() {
    local -a found
    found=("${(@f)$(_RMQCTL_COMPLETE=zsh "${words[1]}" "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        _describe -V rmqctl found
    else
        _files
    fi
}
compdef _rmqctl rmqctl
"""

_FISH: Final = r"""# rmqctl completion for fish; in ~/.config/fish/config.fish: rmqctl completion fish | source
function __rmqctl_complete
    set -l words (commandline -opc)
    set -l found (_RMQCTL_COMPLETE=fish $words[1] $words[2..-1] (commandline -ct) 2>/dev/null)
    if test -n "$found"
        string join \n -- $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command rmqctl --no-files --arguments "(__rmqctl_complete)"
"""

_SCRIPTS: Final = {Shell.BASH: _BASH, Shell.ZSH: _ZSH, Shell.FISH: _FISH}


def completion(
    shell: Annotated[Shell, typer.Argument(help="Whose script is wanted.", show_default=False)],
) -> None:
    """Print the script that makes a shell complete commands, options, and the names of nodes, topics and groups.

    bash and zsh: eval "$(rmqctl completion bash)", in ~/.bashrc or ~/.zshrc. fish: rmqctl completion fish | source
    """
    print_lines(_SCRIPTS[shell].rstrip())
