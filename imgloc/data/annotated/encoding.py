"""The encoding of annotation files: that of a byte order mark or an XML declaration, else UTF-8, else a guess that is reported."""

from __future__ import annotations

import codecs
import re

MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: What an XML declaration may name; Python also has codecs that do not decode text, or are slow.
DECLARED = re.compile(
    r"utf-?8|(us-)?ascii|iso-?8859-?\d{1,2}|latin-?1|windows-?125\d|cp125\d|gbk|gb2312|gb18030|big5|shift_?jis|euc-?(jp|kr)|koi8-[ru]"
)
_DECLARATION = re.compile(rb"""<\?xml[^>]{1,100}encoding=["']([A-Za-z0-9._-]{1,20})["']""")
GUESS = "cp1252"  # Western European Windows, what spreadsheets there write


def decode_text(content: bytes, *, partial: bool = False) -> tuple[str, str]:
    """Returns the text of a file, and the name of its encoding if that is a guess, else "".

    `partial` content is the beginning of a file: it may end inside a character, and bytes that are not text are replaced.
    Raises ValueError, with the reason, for content that is not text.
    """
    errors = "replace" if partial else "strict"
    declared = _DECLARATION.match(content.removeprefix(codecs.BOM_UTF8))
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), declared[1].decode().lower() if declared else "utf-8")
    if encoding.replace("-", "").startswith("utf16") and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-8"  # the declaration itself has one byte for each letter: some programs name the encoding of their strings
    if declared and not DECLARED.fullmatch(encoding) and encoding not in ("utf-8-sig", "utf-16"):
        raise ValueError(f"it declares the encoding '{encoding}', which is not read; convert it to UTF-8")
    try:
        text = content.decode(encoding, errors)
    except LookupError:
        raise ValueError(f"it declares the encoding '{encoding}', which does not exist; convert it to UTF-8") from None
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(f"it is not {encoding}, as it declares: byte {error.start}") from error
        try:
            text = content.decode(GUESS)
        except UnicodeDecodeError:
            raise ValueError(f"it is not UTF-8: byte {error.start}") from error
        return without_nul(text), "Windows-1252"
    return text if partial else without_nul(text), ""


def without_nul(text: str) -> str:
    """Returns a text unchanged. Raises ValueError if it has NUL bytes."""
    if "\0" in text:
        raise ValueError("it is not a text file: it contains NUL bytes")
    return text
