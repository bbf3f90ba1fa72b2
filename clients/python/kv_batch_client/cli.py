"""The command `kvb`: runs a command, and turns every foreseeable error into a message and an exit code."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping

from kv_batch_client import commands
from kv_batch_client.deleting import DeleteStopped
from kv_batch_client.errors import BadInput, ClientError, GatewayProblem, WriteStopped, sentence

PROBLEM, FAILED_KEYS, UNREACHABLE, BAD_INPUT, LOCAL_FILE = 3, 4, 5, 6, 7
INTERRUPTED, NO_READER = 130, 141

_TOKENS = " kvb reads it from KVB_TOKEN or --token-file (for the second URL: KVB_TOKEN_TO, --token-file-to)."


def run(options: argparse.Namespace) -> int:
    """Runs the command that the options name. Returns the exit code."""
    try:
        code = commands.COMMANDS[options.command](options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        wrote = " What was sent so far may be applied. The command may be repeated."
        say(f"Interrupted.{wrote if options.command in {'set', 'delete'} else ''}")
        return INTERRUPTED
    except BrokenPipeError:
        # Python would report the same error again when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except ClientError as error:
        return _report(error, getattr(options, "unit", "line"))
    except UnicodeEncodeError as error:
        # Python turns the bytes of an argument that are not UTF-8 into lone surrogates.
        say(f"{error.object!r} is not UTF-8. Keys, prefixes and names must be")
        return BAD_INPUT
    except OSError as error:
        say(f"{error.filename or 'The output'}: {error.strerror or error}.")
        return LOCAL_FILE


def _report(error: ClientError, unit: str) -> int:
    """Says what an error is, and returns its exit code."""
    match error:
        case commands.Interrupted():
            say(f"Interrupted {sentence(error)} The command may be repeated")
            return INTERRUPTED
        case commands.KeysFailed():
            _say_failed(error.failed)
            return FAILED_KEYS
        case WriteStopped():
            _say_stopped(error, unit)
            return _code_of(error.cause)
        case DeleteStopped():
            say(error.cause)
            _say_failed(error.deleted.failed)
            say(f"{error.deleted}. The command may be repeated, and deletes the rest then")
            return _code_of(error.cause)
        case commands.ExportFailed():
            say(error.cause)
            if error.left:
                say(error.left)
            return _code_of(error.cause)
        case GatewayProblem():
            say(error)
            _say_failed(error.failed)
        case _:
            say(error)
    return _code_of(error)


def say(what: object) -> None:
    """Writes a message to stderr."""
    if isinstance(what, GatewayProblem):
        what = _told(what)
    print(f"kvb: {sentence(what)}", file=sys.stderr)


def _told(problem: GatewayProblem) -> str:
    """The message of a problem, which names the store and the place of the token."""
    told = f"{problem.url}: {sentence(problem)}" if problem.url else sentence(problem)
    return told + (_TOKENS if problem.code in {"unauthorized", "forbidden"} else "")


def _code_of(error: ClientError) -> int:
    if isinstance(error, GatewayProblem):
        return PROBLEM
    return BAD_INPUT if isinstance(error, BadInput) else UNREACHABLE


def _say_stopped(error: WriteStopped, unit: str) -> None:
    if error.bad_line is not None and isinstance(error.cause, GatewayProblem):
        # The gateway counts the lines of the part that it was sent.
        detail = error.cause.detail.removeprefix(f"Line {error.cause.line} is")
        detail = "It is" + detail if detail != error.cause.detail else detail
        detail = re.sub(r" All lines before it were applied \(\d+\)\.", "", detail)
        say(f"{unit.capitalize()} {error.bad_line} of the input. {error.cause.title}: {detail}")
    else:
        say(error.cause)
    _say_failed(error.failed)
    if isinstance(error.cause, BadInput) and error.next_line == 1:
        say("Nothing was written.")
    elif error.next_line > 1:
        say(f"Everything before {unit} {error.next_line} was applied, apart from keys that failed.")


def _say_failed(failed: Mapping[str, str]) -> None:
    if failed:
        say(f"{len(failed)} keys failed. The store may have their old value or the new:")
        for key, reason in failed.items():
            print(f"  {json.dumps(key)}: {reason}", file=sys.stderr)
