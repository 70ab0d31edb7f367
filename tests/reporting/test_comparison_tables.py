"""Tables of comparisons: what is escaped, and which columns there are."""

from __future__ import annotations

from imgloc.reporting.comparison_tables import Table, as_csv, as_html, as_latex, as_markdown, p_text

ROW = ["top_1", r"a|b & <c> 50% \x", "0.5"]
TABLE = Table(["metric", "group", "value"], [ROW], ["one note"])


def test_names_are_escaped_in_each_format() -> None:
    assert as_markdown(TABLE).splitlines()[2] == r"| top_1 | a\|b & <c> 50% \\x | 0.5 |"
    assert r"  top\_1 & a|b \& <c> 50\% \textbackslash{}x & 0.5 \\" in as_latex(TABLE).splitlines()
    assert "<td>a|b &amp; &lt;c&gt; 50% \\x</td>" in as_html(TABLE)
    assert as_csv([{"a": 'x,"y"', "b": 1.5}, {"a": None, "c": 2}]) == 'a,b,c\n"x,""y""",1.5,\n,,2\n'


def test_numbers_are_aligned_to_the_right() -> None:
    assert as_markdown(TABLE).splitlines()[1] == "|---|---|---:|"
    assert r"\begin{tabular}{llr}" in as_latex(TABLE)


def test_small_p_values_are_not_0() -> None:
    assert [p_text(p) for p in (1.0, 0.0499, 0.001, 0.0004)] == ["1.000", "0.050", "0.001", "< 0.001"]
