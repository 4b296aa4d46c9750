from samnb.cards import card


def test_a_card_escapes_what_it_shows():
    shown = card("<b>", {"<script>": "a & b"})
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "a &amp; b" in shown
