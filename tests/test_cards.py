from samnb.cards import Html, card, html_table


def test_a_card_escapes_what_it_shows():
    shown = card("<b>", {"<script>": "a & b"})
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "a &amp; b" in shown


def test_a_table_escapes_all_but_html():
    shown = html_table(["<i>"], [["a & b", Html("<b>1</b>")]], caption="1 < 2", style="color:red")
    assert shown == (
        "<table><caption>1 &lt; 2</caption><tr><th style='color:red'>&lt;i&gt;</th></tr>"
        "<tr><td style='color:red'>a &amp; b</td><td style='color:red'><b>1</b></td></tr></table>"
    )
