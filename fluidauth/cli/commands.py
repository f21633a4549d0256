"""The root command, and what every exit code means."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from . import keys_revoke, sessions_all, sessions_list, sessions_revoke
from .doctor import doctor
from .keys import keys
from .output import NO, UNABLE
from .sessions import sessions
from .token import token

INTERRUPTED = 130
EXIT_CODES = """\b
Exit codes:
  0    done; the answer is yes, nothing is wrong
  1    the answer is no, something is wrong, or the command refuses
  2    the command line is wrong
  3    a setting, the keyring or the store does not work
  130  interrupted
"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fluidauth")
def fluidauth() -> None:
    """Look after sessions and the secrets that sign them."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Carry out *arguments*, by default those of this process; return the exit code."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that cannot be read or shown becomes a ?
            stream.reconfigure(errors="replace")
    try:
        code = fluidauth.main(arguments, prog_name="fluidauth", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output, such as head, has stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO
    except OSError as error:
        click.echo(f"Error: {error}", err=True)
        return UNABLE
    return code if isinstance(code, int) else 0


for _part in (keys, sessions, token, doctor):
    fluidauth.add_command(_part)
keys.add_command(keys_revoke.revoke)
for _part in (sessions_list.list_sessions, *sessions_revoke.COMMANDS, *sessions_all.COMMANDS):
    sessions.add_command(_part)
