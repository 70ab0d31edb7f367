"""The `imgloc` command: its subcommands, and its errors in one line."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from imgloc.cli import (
    compare,
    compress,
    data,
    evaluate,
    experiment,
    explain,
    export,
    locate,
    report,
    reproduce,
    serve,
    show_features,
    sweep,
    track,
    train,
    wsol,
)
from imgloc.cli.parsers import add_commands, check_options, report_errors_in_one_line
from imgloc.config.saved import allow_imports
from imgloc.errors import UserError, one_line, storage_message

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"  # the beginning of the message of a JaxRuntimeError where an array does not fit into memory
COMMANDS = {
    "train": train, "sweep": sweep, "evaluate": evaluate, "locate": locate, "track": track, "explain": explain, "report": report,
    "compare": compare, "compress": compress, "export": export, "serve": serve, "data": data, "show-features": show_features,
    "wsol": wsol, "experiment": experiment, "reproduce": reproduce,
}  # fmt: skip

DESCRIPTION = """\
Image localization with JAX: train a model, score it with intervals beside trivial baselines,
locate objects in your images, and write a report as a web page.
"""
EXAMPLES = """\
examples (a first run, on data that comes with the installation):
  imgloc train    --config digits_cnn --workdir runs/a
  imgloc evaluate runs/a --split test
  imgloc report   runs/a --out report.html
  imgloc locate   runs/a photo.jpg more/*.png --out out/

exit codes: 0 success; 1 some inputs failed, or an error ended the command; 2 a mistake in the command, the config or the
data; 130 stopped by Ctrl-C. imgloc COMMAND --help lists those of a command.

IMGLOC_TUNE=0 in the environment switches off the process settings that make XLA faster on a CPU.
"""


def make_parser() -> argparse.ArgumentParser:
    """The command's arguments and help."""
    parser = argparse.ArgumentParser(
        prog="imgloc", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--print-completion", metavar="SHELL", help="print a script that completes imgloc in bash, zsh or tcsh, and exit")
    add_commands(parser, COMMANDS, "command")
    report_errors_in_one_line(parser)
    return parser


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(other arguments, overrides): `--config.KEY=VALUE` and `--config.KEY VALUE` are for ml_collections, not for argparse."""
    own: list[str] = []
    overrides: list[str] = []
    waiting = False  # for the value of the last override
    for argument in arguments:
        if argument.startswith("--config."):
            overrides.append(argument)
            waiting = "=" not in argument
        elif waiting and not argument.startswith("--"):
            overrides[-1] += f"={argument}"
            waiting = False
        else:
            own.append(argument)
            waiting = False
    return own, overrides


def print_requested(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> bool:
    """Print the version or a completion script, and return whether one was requested. Raises UserError for an unknown shell."""
    if parsed.version:
        from imgloc import __version__

        print(__version__)
    elif parsed.print_completion is not None:
        from imgloc.cli.completion import completion_script

        print(completion_script(parser, parsed.print_completion))
    else:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    parser = make_parser()
    own, overrides = split_overrides(sys.argv[1:] if arguments is None else arguments)
    try:
        check_options(parser, own)
        parsed, rest = parser.parse_known_args(own)
        if print_requested(parser, parsed):
            return 0
    except UserError as error:
        print(one_line(error), file=sys.stderr)
        return 2
    rest = [*rest, *overrides]
    if parsed.command is None:
        parser.print_help()
        return 2
    return run_command(parsed, rest)


def run_command(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run the command of parsed arguments; print its errors in one line. Returns its exit code."""
    name = " ".join(filter(None, ("imgloc", parsed.command, getattr(parsed, "data_command", None))))
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):  # names of folders and classes may not be encodable
            sys.stdout.reconfigure(errors="backslashreplace")
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # each damaged file has its own line
        allow_imports(*getattr(parsed, "allow_import", ()))
        code: int = COMMANDS[parsed.command].run(parsed, rest)
        if sys.stdout is not None:  # the shell's >&- closes it
            sys.stdout.flush()  # here, where a full disk can still be reported
        return code
    except UserError as error:
        line = one_line(error)
        print(f"{name}: {line if len(line) < 2000 else line[:2000] + ' ...'}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the output has ended: `imgloc locate ... | head`
        sys.stderr.close()
        return 1
    except OSError as error:
        print(f"{name}: {storage_message(error)}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # the output cannot be written; without this the interpreter would try again at its end
            with contextlib.suppress(OSError):
                sys.stdout.close()
        return 1
    except MemoryError:
        print(f"{name}: not enough memory; possible: a smaller batch, a smaller model, or a higher limit", file=sys.stderr)
        return 1
    except (RuntimeError, AssertionError) as error:
        if traceback.extract_tb(error.__traceback__)[-1].filename.endswith("xla_bridge.py"):  # jaxlib has none of the named platforms
            platforms = os.environ.get("JAX_PLATFORMS", "")
            print(f"{name}: JAX finds no device for JAX_PLATFORMS='{platforms}'; possible: cpu", file=sys.stderr)
            return 2
        if not str(error).startswith(OUT_OF_MEMORY):
            raise
        details = one_line(error, lines=1).removeprefix(OUT_OF_MEMORY).lstrip(": ")
        print(f"{name}: not enough memory ({details}); possible: a smaller batch, or a smaller model", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
