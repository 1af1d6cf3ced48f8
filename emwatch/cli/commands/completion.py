"""``emwatch completion``: the script with which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, get_completion_class

from emwatch.cli.options import logging_options


@click.command(short_help="Print the script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@logging_options
def completion(shell: str) -> None:
    """
    Print the script that completes commands and options in a shell.

    For bash: emwatch completion bash > ~/.local/share/bash-completion/completions/emwatch. For zsh: write it to a file
    _emwatch in a folder of $fpath. For fish: ~/.config/fish/completions/emwatch.fish.
    """
    kind = get_completion_class(shell) or BashComplete
    program = click.get_current_context().find_root().command
    writer = kind(program, {}, "emwatch", "_EMWATCH_COMPLETE")
    # Not `source()`, which for bash starts the bash of this machine to learn its version: the script may be for another.
    click.echo(writer.source_template % writer.source_vars())
