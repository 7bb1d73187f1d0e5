"""Component strings: what is read, what is refused, the one canonical text, digests."""

import hashlib
import keyword
from pathlib import Path
from typing import Annotated, Literal, Optional

import pytest
from annotated_types import Ge, Lt
from hypothesis import given
from hypothesis import strategies as st

from fgscore import specs
from fgscore.errors import BadParameter, UsageError

names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda s: not keyword.iskeyword(s))
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=12)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)
params = st.dictionaries(names, values, max_size=4)


def kinds(value):
    """The value with its type, whole floats and integers alike: 100.0 is written as 100."""
    if isinstance(value, tuple):
        return [kinds(v) for v in value]
    return "number" if isinstance(value, float | int) and not isinstance(value, bool) else type(value), value


@given(names, params)
def test_what_is_written_is_read_back(name, given_params):
    spec = specs.Spec(name, given_params)
    read = specs.parse(str(spec))
    assert read == spec
    assert [kinds(v) for v in read.params.values()] == [kinds(v) for v in given_params.values()]
    assert list(read.params) == list(given_params)
    assert str(read) == str(spec)


@given(params)
def test_text_is_one_printable_line(given_params):
    assert "\n" not in str(specs.Spec("name", given_params))


@pytest.mark.parametrize(
    ("string", "name", "wanted"),
    [
        ("entropy", "entropy", {}),
        ("entropy()", "entropy", {}),
        (" entropy ( tau = 100 , ) ", "entropy", {"tau": 100}),
        ("sam(checkpoint='vit_b', n=32)", "sam", {"checkpoint": "vit_b", "n": 32}),
        ("./my scorers/mine.py:score(alpha=-2.5e-1)", "./my scorers/mine.py:score", {"alpha": -0.25}),
        ("x(sizes=[1, 2], more=(1, [2, 'a']))", "x", {"sizes": (1, 2), "more": (1, (2, "a"))}),
        ("x(nothing=None, yes=True)", "x", {"nothing": None, "yes": True}),
        ("x(path='a (b), c=d')", "x", {"path": "a (b), c=d"}),
    ],
)
def test_literals_are_read(string, name, wanted):
    assert specs.parse(string) == specs.Spec(name, wanted)


REFUSED = {
    "positional": "x(1)",
    "a call": "x(a=f())",
    "double star": "x(**{'a': 1})",
    "star": "x(*[1])",
    "a lambda": "x(a=lambda: 1)",
    "a comprehension": "x(a=[i for i in (1, 2)])",
    "an f-string": "x(a=f'{1}')",
    "a walrus": "x((a:=1))",
    "bytes": "x(a=b'1')",
    "a dict": "x(a={'b': 1})",
    "a set": "x(a={1})",
    "a complex number": "x(a=1+2j)",
    "ellipsis": "x(a=...)",
    "infinity": "x(a=1e999)",
    "minus infinity within a list": "x(a=[-1e999])",
    "called twice": "x(a=1)(b=2)",
    "no value": "x(a=)",
    "no separator": "x(a=1 b=2)",
    "a null byte": "x(a=\0)",
    "an expression after it": "x(a=1) + f(b=2)",
    "nested lists": f"x(a={'[' * 500}{']' * 500})",
    "more nested lists": f"x(a={'[' * 50_000}{']' * 50_000})",
    "many signs": f"x(a={'-' * 50_000}1)",
    "a huge number": f"x(a={'9' * 50_000})",
}


@pytest.mark.parametrize("string", REFUSED.values(), ids=REFUSED.keys())
def test_anything_but_literals_is_refused_with_the_form_wanted(string):
    with pytest.raises(UsageError, match=r"expected name\(key=value, \.\.\.\) with numbers, 'strings'") as caught:
        specs.parse(string)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("string", ["x(a=1", "x(", "x(a=1) and more", "x(a=1))x", f"x({'a' * 5000}"])
def test_a_missing_parenthesis_is_named(string):
    with pytest.raises(UsageError, match="closing parenthesis is missing") as caught:
        specs.parse(string)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("string", ["", "   ", "(a=1)", " (a=1)"])
def test_a_missing_name_is_answered_with_an_example(string):
    with pytest.raises(UsageError, match=r"expected a component such as 'entropy\(tau=100\)'"):
        specs.parse(string)


def test_a_parameter_given_twice_is_refused():
    with pytest.raises(UsageError, match="expected a=... once, found it twice"):
        specs.parse("x(a=1, b=2, a=3)")


@given(st.text("xab()=,'[]{}1-+.:* \n\\\"#", max_size=30))
def test_any_text_is_read_or_refused(string):
    try:
        spec = specs.parse(string)
    except UsageError:
        return
    assert specs.parse(str(spec)) == spec


def test_nothing_is_ever_evaluated(tmp_path):
    made = tmp_path / "made"
    touch = f"__import__('pathlib').Path({str(made)!r}).touch()"
    for string in (
        f"x(a={touch})",
        f"x({touch})",
        f"x(a=[{touch}])",
        f"x(a=1 if {touch} else 2)",
        f"{touch}",
        touch[:-2],
    ):
        with pytest.raises(UsageError):
            specs.bind(specs.parse(string), component)
    assert not made.exists()
    exec(touch)  # the line would have done it
    assert made.exists()


def component(
    data,
    /,
    *,
    tau: float | None = None,
    lam: float = 0.1,
    n: int = 3,
    mode: Literal["crop", "pad"] = "crop",
    k: int | str = 5,
    flip: bool = False,
    sizes: tuple[int, ...] = (1, 2),
):
    """A component with a parameter of every kind."""


def bound(string, function=component):
    return specs.bind(specs.parse(string), function, "scorer")


def canonical(string, function=component):
    return specs.canonical(specs.parse(string).name, bound(string, function), specs.tunables(function))


component_params = st.fixed_dictionaries(
    {},
    optional={
        "tau": st.none() | st.floats(-1e6, 1e6) | st.integers(-9, 9),
        "lam": st.sampled_from([0.1, 0, 1.0, 2]),
        "n": st.integers(0, 5),
        "mode": st.sampled_from(["crop", "pad"]),
        "k": st.integers(1, 9) | st.just("all"),
        "flip": st.booleans(),
        "sizes": st.lists(st.integers(0, 2), max_size=2).map(tuple),
    },
)


@given(component_params)
def test_canonical_text_binds_to_the_same_and_leaves_out_defaults(given_params):
    string = str(specs.Spec("x", given_params))
    short = canonical(string)
    assert bound(short) == bound(string)
    assert canonical(short) == short
    defaults = specs.tunables(component)
    assert set(specs.parse(short).params) == {k for k, v in bound(string).items() if v != defaults[k]}


@given(component_params, st.randoms())
def test_the_order_written_changes_neither_canonical_text_nor_digest(given_params, rng):
    items = list(given_params.items())
    rng.shuffle(items)
    one, other = str(specs.Spec("x", given_params)), str(specs.Spec("x", dict(items)))
    assert canonical(one) == canonical(other)
    assert specs.digest(bound(one)) == specs.digest(bound(other))


@given(component_params, component_params)
def test_digests_are_equal_exactly_where_canonical_texts_are(one, other):
    one, other = str(specs.Spec("x", one)), str(specs.Spec("x", other))
    assert (specs.digest(bound(one)) == specs.digest(bound(other))) == (canonical(one) == canonical(other))


def test_integers_become_floats_where_the_signature_says_so():
    assert bound("x(tau=100)")["tau"] == 100
    assert type(bound("x(tau=100)")["tau"]) is float
    assert canonical("x(tau=100.0)") == canonical("x(tau=100)") == "x(tau=100)"
    assert type(bound("x(n=4)")["n"]) is int


def test_a_whole_default_of_a_float_parameter_is_the_same_written_out():
    def mine(*, alpha: float = 1):
        pass

    assert canonical("x(alpha=1)", mine) == canonical("x(alpha=1.0)", mine) == canonical("x", mine) == "x"
    assert specs.digest(bound("x(alpha=1)", mine)) == specs.digest(bound("x", mine))


def test_true_is_not_one():
    def mine(*, either: bool | int = 1, alpha: float = 1):
        pass

    assert canonical("x(either=1)", mine) == "x"
    assert canonical("x(either=True)", mine) == "x(either=True)"
    with pytest.raises(BadParameter, match="alpha must be a finite number, found True"):
        bound("x(alpha=True)", mine)


@pytest.mark.parametrize(
    ("string", "says"),
    [
        ("x(taau=1)", r"scorer 'x' has no parameter 'taau'; did you mean 'tau'\?.*fgscore list scorers"),
        ("x(zzzzzz=1)", "known: flip, k, lam, mode, n, sizes, tau"),
        ("x(tau='a')", "scorer 'x': tau must be a finite number or None, found 'a'"),
        ("x(tau=[1])", "tau must be a finite number or None"),
        ("x(lam=None)", "lam must be a finite number, found None"),
        ("x(n=2.0)", "n must be a whole number, found 2.0"),
        ("x(n=True)", "n must be a whole number, found True"),
        ("x(mode='squash')", "mode must be 'crop' or 'pad', found 'squash'"),
        ("x(mode=1)", "mode must be 'crop' or 'pad'"),
        ("x(k=1.5)", "k must be a whole number or a string"),
        ("x(flip=1)", "flip must be True or False, found 1"),
        ("x(sizes=1)", "sizes must be .*, found 1"),
        ("x(data=1)", "no parameter 'data'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(string, says):
    with pytest.raises(BadParameter, match=says) as caught:
        bound(string)
    assert caught.value.exit_code == 2


def test_without_annotations_the_default_says_the_kind():
    def mine(*, alpha=0.5, name="a", loose=None, ks=[1, 2]):  # noqa: B006 (as a user may write it)
        pass

    assert bound("x(alpha=2, name='b', loose='any', ks=[3])", mine) == {
        "alpha": 2.0,
        "name": "b",
        "loose": "any",
        "ks": (3,),
    }
    assert canonical("x(ks=[1, 2])", mine) == "x"
    with pytest.raises(BadParameter, match="alpha must be a finite number"):
        bound("x(alpha='b')", mine)


def test_lists_may_be_annotated_either_way():
    def mine(*, a: list[int] = (), b: list = (), c: tuple = (), d: Optional[list] = None):  # noqa: UP045
        pass

    assert bound("x(a=[1], b=(2,), c=[3], d=[4])", mine) == {"a": (1,), "b": (2,), "c": (3,), "d": (4,)}


def test_annotations_that_cannot_be_resolved_do_not_matter():
    def mine(*, alpha: "Unheard" = 0.5):  # noqa: F821
        pass

    assert bound("x(alpha=2)", mine) == {"alpha": 2.0}


def test_a_parameter_without_default_must_be_given():
    def mine(*, alpha: float):
        pass

    with pytest.raises(BadParameter, match="scorer 'x' needs alpha=..., found x"):
        bound("x", mine)
    assert canonical("x(alpha=1)", mine) == "x(alpha=1)"


@pytest.mark.parametrize("default", [{}, object(), float("inf"), b""], ids=["dict", "object", "infinity", "bytes"])
def test_a_default_that_cannot_be_written_down_is_refused(default):
    def mine(*, alpha=default):
        pass

    with pytest.raises(BadParameter, match="the default of alpha must be numbers, strings"):
        bound("x", mine)


def test_the_digest_is_sha256_of_sorted_compact_json():
    wanted = hashlib.sha256(b'{"a":[1,2.5,null],"b":"\\u00e4"}').hexdigest()
    assert specs.digest({"b": "ä", "a": (1, 2.5, None)}) == wanted


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_has_no_digest(value):
    with pytest.raises(ValueError):
        specs.digest({"a": value})


def test_single_words_are_strings_so_that_a_shell_needs_no_inner_quotes():
    assert specs.parse("topk(k=all)") == specs.parse("topk(k='all')")
    assert specs.parse("clip(dtype=bf16, model=demo)").params == {"dtype": "bf16", "model": "demo"}


def test_lists_stand_for_one_component_each():
    assert specs.expand("entropy(tau=[10, 50], lam=0.1)") == ["entropy(tau=10, lam=0.1)", "entropy(tau=50, lam=0.1)"]
    assert specs.expand("topk(k=[1, all], temperature=[0.5, 1])") == [
        "topk(k=1, temperature=0.5)", "topk(k=1, temperature=1)", "topk(k='all', temperature=0.5)",
        "topk(k='all', temperature=1)",
    ]  # fmt: skip
    assert specs.expand("mean") == ["mean"]
    assert specs.expand("entropy(tau=[])") == []


@pytest.mark.parametrize(
    ("name", "file", "stored"),
    [
        ("./lab/mine.py:f", "lab/mine.py", "mine.py:f"),
        ("mine.py:f", "mine.py", "mine.py:f"),
        ("/a/b.c/mine.py:f", "/a/b.c/mine.py", "mine.py:f"),
        (r"..\lab\mine.py:f", r"..\lab\mine.py", "mine.py:f"),
        ("entropy", None, "entropy"),
        ("org/model", None, "org/model"),
    ],
)
def test_a_component_of_a_file_is_stored_by_the_files_name(name, file, stored):
    assert specs.file_of(name) == (None if file is None else Path(file))
    assert specs.stored_name(name) == stored


@pytest.mark.parametrize("word", ["class", "in", "from", "is"])
def test_a_word_of_pythons_own_needs_no_quotes(word: str) -> None:
    assert specs.parse(f"table(label={word}, name=x)").params == {"label": word, "name": "x"}


def test_a_union_of_content_keeps_the_limits_of_its_members() -> None:
    def split(*, share: Annotated[Annotated[float, Ge(0), Lt(1)] | str | None, specs.OF_CONTENT] = None) -> None: ...

    assert specs.bind(specs.parse("f(share=0.5)"), split) == {"share": 0.5}
    assert specs.bind(specs.parse("f(share=fold)"), split) == {"share": "fold"}
    assert specs.stored({"share": 0.5}, split) == {} and specs.of_content(split) == {"share"}
    with pytest.raises(BadParameter, match="of at least 0 and below 1 or a string or None, found 1.5"):
        specs.bind(specs.parse("f(share=1.5)"), split)
