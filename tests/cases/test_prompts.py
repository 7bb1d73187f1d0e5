"""Prompt files as editors and language models leave them, each after a public report."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest

from fgscore.encoders import prompt_set
from fgscore.errors import DataError


@pytest.fixture
def templates(tmp_path: Path):
    """``templates(content)`` are those of a file of these bytes."""

    def call(content: bytes) -> tuple[str, ...]:
        (tmp_path / "t.txt").write_bytes(content)
        return prompt_set(str(tmp_path / "t.txt")).templates

    return call


@pytest.fixture
def described(tmp_path: Path):
    """``described(content)`` is the set of a file of descriptions."""

    def call(content: object, start: bytes = b""):
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        (tmp_path / "d.json").write_bytes(start + text.encode())
        return prompt_set(str(tmp_path / "d.json"))

    return call


class TestTemplates:
    """prompts_with_bom, and other marks that are no text."""

    @pytest.mark.parametrize(
        "content",
        [
            codecs.BOM_UTF8 + b"a photo of a {}.\nart of a {}.",
            b"a photo of a {}.\r\nart of a {}.\r\n",
            b"a photo of a {}.\rart of a {}.",
            b"\ta photo of a {}.\t\n\n# said\nart\tof a {}.",
            b"a photo of a {}.\n" + codecs.BOM_UTF8 + b"art of a {}.\n",
        ],
        ids=["mark", "windows", "old mac", "tabs", "joined files"],
    )
    def test_are_the_text_alone(self, templates, content):
        assert templates(content) == ("a photo of a {}.", "art of a {}.")

    @pytest.mark.parametrize(
        ("content", "named"),
        [
            ("a {}.".encode("utf-16"), "UTF-16, not UTF-8; save it as UTF-8"),
            ("a {}.".encode("utf-16-le"), "NUL characters.*save it as UTF-8"),
            ("a {}.".encode("utf-32"), "UTF-32"),
            ("a {}.\nein gr\u00fcner {}.".encode("latin-1"), "line 2 is not UTF-8"),
        ],
    )
    def test_in_another_encoding_are_named(self, templates, content, named):
        with pytest.raises(DataError, match=named):
            templates(content)

    @pytest.mark.parametrize(
        ("content", "named"),
        [
            (b"a {}.\n\na photo", "line 3 of .*t.txt, found 'a photo'"),
            (b"a {} {}.", "line 1 of .*found 'a {} {}.'"),
            (b'# all\n""', "line 2 of "),
            (b" \n\t\n", "found an empty file"),
        ],
    )
    def test_that_lack_the_class_name_are_named_with_their_line(self, templates, content, named):
        with pytest.raises(DataError, match=named):
            templates(content)


class TestDescriptions:
    """Names that differ in case, spaces, underscores and punctuation alone mean one class; others are named."""

    def test_with_a_mark_of_byte_order_are_read(self, described):
        assert described({"jay": ["a blue bird"]}, codecs.BOM_UTF8).texts("jay") == ("a blue bird",)

    @pytest.mark.parametrize(
        "name", ["brewers_blackbird", "Brewer\u2019s-Blackbird", "BREWER'S  BLACKBIRD", "Brewer`s Blackbird"]
    )
    def test_match_by_letters_and_digits(self, described, name):
        assert described({name: ["glossy"]}).texts("Brewer's Blackbird") == ("glossy",)

    def test_match_accents_however_they_are_written(self, described):
        assert described({"re\u0301gulus": ["small"]}).texts("R\u00e9gulus") == ("small",)

    def test_keep_apart_what_differs_in_marks_or_has_no_letters(self, described):
        made = described({"\u0915\u093f": ["one"], "\u0915\u093e": ["two"], "?": ["three"], "!": ["four"]})
        assert [made.texts(name)[0] for name in ("\u0915\u093f", "\u0915\u093e", "?", "!")] == [
            "one",
            "two",
            "three",
            "four",
        ]

    def test_of_the_very_name_come_first(self, described):
        made = described({"TT S": ["the S"], "TTS": ["the TTS"]})
        made.check(["TT S", "TTS"])
        assert made.texts("TTS") == ("the TTS",) and made.texts("TT S") == ("the S",)

    @pytest.mark.parametrize(
        ("content", "classes", "named"),
        [
            ({"TTS": ["x"]}, ["TT S", "TT-S"], "for 'TT S' and for 'TT-S' .* one entry for both"),
            ({"TT S": ["x"], "TT-S": ["y"]}, ["TTS"], "one entry for 'TTS' .*found 'TT S' and 'TT-S'"),
            ({"House Wren": ["x"]}, ["Hause Wren"], "none for Hause Wren .*nearest to the first is 'House Wren'"),
        ],
    )
    def test_that_are_unclear_or_absent_are_named(self, described, content, classes, named):
        with pytest.raises(DataError, match=named):
            described(content).check(classes)

    def test_of_no_class_are_named(self, described):
        with pytest.warns(UserWarning, match=r"1 of 2 names in d\.json@.* are no class, and are not used: wren"):
            described({"jay": ["x"], "wren": ["y"]}).check(["Jay"])

    @pytest.mark.parametrize(
        ("content", "named"),
        [
            ('{"jay": ["x"], "jay": ["y"]}', "found 'jay' twice"),
            ({"jay": ["x", " "]}, "no sentence at 'jay', entry 2"),
            ({"jay": {"x": 1}}, "something else at 'jay'"),
        ],
    )
    def test_that_would_be_lost_are_named(self, described, content, named):
        with pytest.raises(DataError, match=named):
            described(content)
