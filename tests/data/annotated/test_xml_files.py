from __future__ import annotations

import pytest

from imgloc.data.annotated.xml_files import MAX_DEPTH, parse_xml


def test_a_text_is_parsed() -> None:
    root = parse_xml('<a><b c="d">e</b></a>')
    assert (root.tag, root[0].get("c"), root[0].text) == ("a", "d", "e")
    assert parse_xml("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH).tag == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "not XML"), ("<a>", "not XML"), ("<a></b>", "not XML"), ("<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1), "more than 64 deep"),
     ("<a>" * 100_000, "more than 64 deep"), ("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "document type"),
     ("<a>&b;</a>", "not XML")],
)  # fmt: skip
def test_other_texts_are_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_xml(text)
