"""The command line of `kvb`: its options, their help and their examples."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn

from kv_batch_client import __version__
from kv_batch_client.addresses import DEFAULT_STORE, DEFAULT_URL
from kv_batch_client.lines import PART_LINES
from kv_batch_client.sources import FORMATS

_EPILOG = """\
environment:
  KVB_URL        the gateway, or a store: https://host/base/v1/default (default: http://127.0.0.1:3000)
  KVB_STORE      the name of the store (default: default)
  KVB_TOKEN      the bearer token; for copy and diff, that of the first URL
  KVB_TOKEN_TO   the token of the second URL (default: KVB_TOKEN if both have the same host)

exit codes:
  0    done                              5    the gateway cannot be reached, or was lost
  1    get: a key is missing;            6    the input is not valid, or was cut
       diff: the stores differ           7    a local file cannot be read or written
  2    the command line is wrong         130  Ctrl-C
  3    the gateway refused the request   141  the reader of the output has gone (| head)
  4    some keys failed; all others are done

examples:
  kvb set greeting=hello logo @logo.png
  kvb get greeting
  kvb export --prefix user: -o users.ndjson.gz
  kvb delete --prefix user:
  kvb import users.ndjson.gz
  kvb copy http://127.0.0.1:3000/v1/default https://kv.example.com/v1/default

kvb COMMAND --help shows the options and examples of a command.
"""

_EXAMPLES = {
    "get": "  kvb get a b c\n  kvb get -- -key-with-a-dash\n  kvb get --json a b | jq .\n"
    "  kvb get --raw logo > logo.png\n"
    "  kvb keys --prefix user: | kvb get --keys-file - --json",
    "set": "  kvb set greeting=hello other=value\n  kvb set logo @logo.png\n  date | kvb set now -\n\n"
    "An argument with = is a key and its value. One without is a key, and the next argument its value:\n"
    "text, @FILE, or - for stdin. For a key that contains =, use kvb import.\n"
    "A key that starts with a dash comes after --: kvb set -- -key=value",
    "delete": "  kvb delete a b c\n  kvb delete --keys-file keys.txt\n  kvb delete --prefix user: --yes\n"
    "  kvb delete --prefix ''\n\n"
    "An empty prefix means all keys.",
    "keys": "  kvb keys\n  kvb keys --prefix user: | wc -l",
    "export": "  kvb export -o backup.ndjson.gz\n  kvb export --prefix user: | jq -r .key\n\n"
    "The file is written as FILE.part, and renamed when the number of pairs was confirmed.\n"
    "After an error FILE.part is kept and FILE is untouched. The output ends with an end line of its own.\n"
    "An export that is cut is continued after its last key.",
    "import": "  kvb import backup.ndjson.gz\n  kvb import --end backup.ndjson\n  xzcat b.xz | kvb import\n"
    "  kvb import --from wrangler bulk.json\n  consul kv export | kvb import --from consul\n\n"
    "The file is sent in parts. After a lost connection the part in progress is sent again. The import\n"
    "goes on after keys that fail, lists them, and exits with 4.",
    "copy": "  kvb copy http://127.0.0.1:3000/v1/default https://kv.example.com/v1/default\n"
    "  KVB_TOKEN=$(cat a) KVB_TOKEN_TO=$(cat b) kvb copy --prefix user: https://a.example https://b.example\n\n"
    "Keys that only the second store has stay there.",
    "diff": "  kvb diff http://127.0.0.1:3000/v1/default https://kv.example.com/v1/default\n"
    "  kvb diff backup.ndjson.gz http://127.0.0.1:3000\n\n"
    "Prints a line for each key that differs: - only in the first, + only in the second, ~ other value.",
}


def build() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = _Parser(
        prog="kvb",
        description="Read, write, export, import, copy and compare the stores of kv-batch gateways.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kvb {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    get = _command(commands, "get", "print the values of keys")
    get.add_argument("keys", nargs="*", metavar="KEY")
    get.add_argument("--keys-file", metavar="FILE", help="keys from a file, one a line; - is stdin")
    shape = get.add_mutually_exclusive_group()
    shape.add_argument(
        "--json", action="store_true", help="print a JSON object a line; null if a key is missing"
    )
    shape.add_argument("--raw", action="store_true", help="print the bytes of the values, and nothing else")

    set_ = _command(commands, "set", "write pairs")
    set_.add_argument("pairs", nargs="+", metavar="KEY=VALUE | KEY VALUE")

    delete = _command(commands, "delete", "delete keys, or all keys with a prefix")
    delete.add_argument("keys", nargs="*", metavar="KEY")
    delete.add_argument("--keys-file", metavar="FILE", help="keys from a file, one a line; - is stdin")
    delete.add_argument("--prefix", help="delete all keys with this prefix; asks first, with their number")
    delete.add_argument("--yes", action="store_true", help="do not ask")

    keys = _command(commands, "keys", "list keys, sorted")
    keys.add_argument("--prefix", default="", help="only keys that start with this")
    keys.add_argument("--after", help="only keys greater than this")
    keys.add_argument("--json", action="store_true", help="print each key as a JSON string")

    export = _command(commands, "export", "write pairs to a file as NDJSON")
    export.add_argument("--prefix", default="", help="only keys that start with this")
    export.add_argument(
        "-o", "--output", metavar="FILE", help="the file; gzip if it ends in .gz (default: stdout)"
    )

    import_ = _command(commands, "import", "read pairs from a file")
    import_.set_defaults(unit="line")
    import_.add_argument("file", nargs="?", default="-", help="the file, gzip or not; - is stdin (default)")
    import_.add_argument(
        "--from",
        dest="format",
        choices=["ndjson", *FORMATS],
        default="ndjson",
        help="its format: ndjson (default), wrangler (of kv bulk put), consul (of kv export), or csv with "
        "the header key,value",
    )
    import_.add_argument(
        "--end", action="store_true", help="require an end line, to refuse a file that was cut"
    )

    copy = _command(commands, "copy", "copy pairs to another store", own_url=False)
    copy.add_argument("source", help="URL of the first store")
    copy.add_argument("destination", help="URL of the second store")
    copy.add_argument("--prefix", default="", help="only keys that start with this")

    for sends in (import_, copy):
        sends.add_argument(
            "--part-lines",
            type=_count,
            default=PART_LINES,
            metavar="N",
            help=f"lines in a request ({PART_LINES}); fewer cost less when a connection is lost",
        )

    diff = _command(commands, "diff", "compare two stores, or a file and a store", own_url=False)
    diff.add_argument("source", help="URL of a store, or a sorted NDJSON file")
    diff.add_argument("destination", help="URL of a store, or a sorted NDJSON file")
    diff.add_argument("--prefix", default="", help="only keys that start with this")
    for two in (copy, diff):
        two.add_argument("--token-file-to", metavar="FILE", help="a file with the token of the second URL")
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _timeout(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise argparse.ArgumentTypeError("0 seconds would be no time for any answer")
    return seconds


class _Parser(argparse.ArgumentParser):
    """A parser whose errors have a hint for keys that look like options."""

    def error(self, message: str) -> NoReturn:
        if "unrecognized arguments: -" in message:
            message += f" (a key that starts with a dash comes after --: {self.prog} COMMAND -- -key)"
        super().error(message)


def _command(
    commands: argparse._SubParsersAction[_Parser],
    name: str,
    what: str,
    *,
    own_url: bool = True,
) -> _Parser:
    parser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"examples:\n{_EXAMPLES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if own_url:
        parser.add_argument("--url", help=f"the gateway, or a store (KVB_URL, default {DEFAULT_URL})")
        parser.add_argument("--store", help=f"the name of the store (KVB_STORE, default {DEFAULT_STORE})")
    parser.add_argument("--token-file", metavar="FILE", help="a file with the bearer token (else KVB_TOKEN)")
    parser.add_argument(
        "--retry-seconds",
        type=_seconds,
        default=60,
        metavar="N",
        help="give up N seconds after the last progress (60)",
    )
    parser.add_argument(
        "--timeout",
        type=_timeout,
        default=60,
        metavar="N",
        help="seconds that a connection may be silent (60)",
    )
    return parser
