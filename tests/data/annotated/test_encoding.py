"""The encodings of annotation files."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.annotated.encoding import decode_text


@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).filter(lambda text: not text.startswith("\ufeff")))
def test_unicode_is_read_as_it_is_with_and_without_a_mark(text: str) -> None:
    for content in (text.encode(), text.encode("utf-8-sig"), text.encode("utf-16"), codecs.BOM_UTF16_BE + text.encode("utf-16-be")):
        assert decode_text(content) == (text, "")


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "GBK", "windows-1251", "Shift_JIS"])
def test_xml_is_read_as_it_declares(encoding: str) -> None:
    letters = {"ISO-8859-1": "Käfer", "GBK": "杯子", "windows-1251": "кот", "Shift_JIS": "猫"}[encoding]
    text = f'<?xml version="1.0" encoding="{encoding}"?><a>{letters}</a>'
    assert decode_text(text.encode(encoding)) == (text, "")


def test_a_guess_is_named() -> None:
    assert decode_text("Käfer".encode("cp1252")) == ("Käfer", "Windows-1252")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\0b", "NUL"), (b"\x81", "not UTF-8: byte 0"), (b'<?xml version="1.0" encoding="zip"?>', "encoding 'zip'"),
        (b'<?xml version="1.0" encoding="GBK"?>\xff\xff', "not gbk"),
        (b'<?xml version="1.0" encoding="iso-8859-12"?>', "does not exist"),
    ],
)  # fmt: skip
def test_what_is_not_text_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_text(content)


def test_the_beginning_of_a_file_may_end_inside_a_character() -> None:
    assert decode_text("Kä".encode()[:-1], partial=True)[0].startswith("K")
    assert decode_text("Kä".encode("utf-16")[:-1], partial=True)[0].startswith("K")


def test_xml_that_names_the_encoding_of_a_string_in_memory_is_read() -> None:
    text = '<?xml version="1.0" encoding="utf-16"?><a>Käfer</a>'
    assert decode_text(text.encode()) == (text, "")
