r"""The name of a part of a form: the `name` of its Content-Disposition (RFC 7578 section 4.2, RFC 8187).

Clients write a name that has a quote, a backslash, a line end or a percent sign in different ways:

    the name    most clients               others
    a"b         a%22b (browsers, curl)     a\"b (Go, aiohttp, older curl)
    a\b         a\b (browsers, curl)       a\\b (Go, httpx, aiohttp, older curl)
    a b         a b                        a\ b (aiohttp)
    a%22b       a%22b                      a%2522b (older aiohttp)
    é           é                          name*=utf-8''%C3%A9 (aiohttp), =?utf-8?B?w6k=?= (.NET)

The same text may mean several names, so no reading is right for all clients. An ambiguous name is refused.
Otherwise the value would be stored under a wrong key, without an error. JSON has no such ambiguity.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from gateway.wire.place import MAX_QUOTED

_TYPE = re.compile(r"form-data[ \t]*", re.IGNORECASE)
_NAME = re.compile(r"[ \t]*;[ \t]*([!#$%&'+.^_`|~0-9A-Za-z-]+)(\*?)[ \t]*=[ \t]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?=[ \t]*(?:;|\Z))")
# The quantifiers are possessive, so that no positions are kept for backtracking.
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(?=[ \t]*(?:;|\Z))', re.DOTALL)
_UNESCAPED = re.compile(r'"([^"]*+)"(?=[ \t]*(?:;|\Z))')

_EXTENDED = re.compile(
    r"(utf-8|iso-8859-1)'[^']*'((?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*+)", re.IGNORECASE
)
"""An extended value (RFC 8187 section 3.2.1). Characters that must be encoded are."""

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?[^?\s]*\?=", re.IGNORECASE)

_USUAL = {"name", "filename", "filename*"}
"""The parameters of a part of a form (RFC 7578 section 4.2)."""

_QUOTE = 'Write it in quotes: name="user:1".'
_JSON = "Send this key as JSON."


class NoName(ValueError):
    """The header has no usable name. The message says why, and what to do."""


def name_of(header: str) -> str:
    """Returns the name of a part.

    Args:
        header: The value of the part's Content-Disposition, decoded from UTF-8.

    Raises:
        NoName: the part has no name, or one that clients write in different ways.
    """
    position = _TYPE.match(header)
    if position is None:
        raise NoName("The content-disposition of a part is not form-data.")
    names: dict[str, str] = {}
    start = position.end()
    while parameter := _NAME.match(header, start):
        attribute = parameter[1].lower() + parameter[2]
        found = _TOKEN.match(header, parameter.end()) or _QUOTED.match(header, parameter.end())
        if found is None and not attribute.startswith("name"):
            # Browsers do not escape a backslash in a file name, not even before the quote.
            found = _UNESCAPED.match(header, parameter.end())
        if found is None:
            raise NoName(
                f"The {attribute[:MAX_QUOTED]} of a part is neither one token nor one quoted string "
                f"(RFC 7578 section 4.2). {_QUOTE}"
            )
        start = found.end()
        if attribute in names:
            raise NoName(f"The content-disposition of a part has the {attribute[:MAX_QUOTED]} twice.")
        names[attribute] = found[0]
    if header[start:].strip(" \t") not in ("", ";"):
        raise NoName(
            "The content-disposition of a part cannot be read after its parameters (RFC 7578 section 4.2)."
        )
    if "name*" in names:
        return _extended(names["name*"])
    if "name" not in names:
        raise NoName("A part of the form has no name (RFC 7578 section 4.2). The name is the key.")
    if names.keys() - _USUAL and not names["name"].startswith('"'):
        raise NoName(f"The name of a part is not in quotes, and may contain a semicolon. {_QUOTE}")
    return _plain(names["name"])


def _extended(text: str) -> str:
    match = _EXTENDED.fullmatch(text)
    if match is None:
        raise NoName(
            f"The name* of a part must be UTF-8''NAME, percent-encoded (RFC 8187 section 3.2). {_JSON}"
        )
    try:
        return unquote_to_bytes(match[2]).decode(match[1])
    except UnicodeDecodeError as error:
        raise NoName(f"The name* of a part is not UTF-8 after percent-decoding. {_JSON}") from error


def _plain(text: str) -> str:
    name = text[1:-1] if text.startswith('"') else text
    if "\\" in name:
        raise NoName(f"The name of a part has a backslash, which clients write in different ways. {_JSON}")
    if escape := _ESCAPE.search(name):
        raise NoName(
            f"The name of a part has {escape[0]}. Some clients write this for another character, others for "
            f"these three characters. {_JSON}"
        )
    if _ENCODED_WORD.search(name):
        raise NoName(
            "The name of a part has an encoded word (=?…?=, RFC 2047), which is not allowed in a name "
            f"(RFC 7578 section 5.1). {_JSON}"
        )
    return name
