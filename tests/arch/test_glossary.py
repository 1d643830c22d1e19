"""The glossary has each word once, in the order of the alphabet."""

import re
from pathlib import Path

GLOSSARY = Path(__file__).parents[2] / "docs" / "reference" / "glossary.md"


def test_words_stand_once_and_in_order() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    words = [row.lower() for row in rows if row != "word"]

    assert len(words) > 100
    assert words == sorted(set(words))
