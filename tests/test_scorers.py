"""Scorers against the paper's formulas (section 3.4), written out as loops in float64."""

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore.components import described
from fgscore.errors import BadParameter, UnknownName, UsageError
from fgscore.inputs import ScoreInputs
from fgscore.scorers import Scorer
from fgscore.targets import Target


def cosine(a, b):
    return math.fsum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def paper_region_global(f, g, text, y, tau, lam):
    return cosine(f, g)


def paper_region_text(f, g, text, y, tau, lam):
    return cosine(f, text[y])


def paper_hard_margin(f, g, text, y, tau, lam):
    return cosine(f, text[y]) - max(cosine(f, t) for c, t in enumerate(text) if c != y)


def paper_soft_margin(f, g, text, y, tau, lam):
    negative = [cosine(f, t) for c, t in enumerate(text) if c != y]
    e = [math.exp(tau * (s - max(negative))) for s in negative]
    return cosine(f, text[y]) - math.fsum(w / math.fsum(e) * s for w, s in zip(e, negative, strict=True))


def paper_entropy(f, g, text, y, tau, lam):
    cosines = [cosine(f, t) for t in text]
    e = [math.exp(tau * (s - max(cosines))) for s in cosines]
    p = [v / math.fsum(e) for v in e]
    return p[y] - lam * -math.fsum(v * math.log(v) for v in p if v > 0)


PAPER = {name.removeprefix("paper_"): f for name, f in list(globals().items()) if name.startswith("paper_")}


def reference(name, inputs, target, tau=100.0, lam=0.1):
    image = np.repeat(np.arange(len(inputs.globals)), np.diff(inputs.offsets))
    rows = zip(inputs.regions, inputs.globals[image], target, strict=True)
    return np.array([PAPER[name](f, g, inputs.text, y, tau, lam) for f, g, y in rows])


def assert_close(found, wanted, tau):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * max(1, tau / 10))


@pytest.fixture(params=[2, 7, 60], ids=lambda c: f"{c} classes")
def inputs(make_inputs, request):
    return make_inputs(classes=request.param, logit_scale=37.0)


@pytest.fixture
def target(inputs):
    return np.random.default_rng(1).integers(0, len(inputs.text), len(inputs.regions))


def test_the_papers_scorers_are_all_there():
    assert set(PAPER) <= set(Scorer.ours_named())


@pytest.mark.parametrize("name", ["region_global", "region_text", "hard_margin"])
def test_scores_without_temperature(name, inputs, target):
    assert_close(Scorer.bind(name)(inputs, target), reference(name, inputs, target), 1)


@pytest.mark.parametrize("tau", [1, 10, 100, 1000, None])
@pytest.mark.parametrize("name", ["soft_margin", "entropy"])
def test_scores_at_a_temperature(name, tau, inputs, target):
    used = inputs.logit_scale if tau is None else tau  # None is the encoder's own
    assert_close(Scorer.bind(f"{name}(tau={tau})")(inputs, target), reference(name, inputs, target, used), used)


@pytest.mark.parametrize("tau", [1, 10, 30, 100, 300, 1000])
def test_soft_margin_holds_however_little_the_target_leaves(tau, inputs):
    """From a target of a few per cent to one that takes all of the softmax."""
    target = inputs.region_text.argmax(axis=1)
    found = Scorer.bind(f"soft_margin(tau={tau})")(inputs, target)
    assert_close(found, reference("soft_margin", inputs, target, tau), tau)


SHARERS = ("region_text", "hard_margin", "soft_margin", "soft_margin(tau=7)", "entropy", "entropy(tau=7)")


@given(order=st.permutations(SHARERS), mode=st.sampled_from(["local", "global"]), classes=st.integers(2, 7))
def test_scorers_that_share_their_inputs_change_nothing_for_each_other(make_inputs, order, mode, classes):
    shared = make_inputs(classes=classes)
    for name in order:
        alone = make_inputs(classes=classes)
        found = Scorer.bind(name)(shared, Target.bind(mode)(shared))
        np.testing.assert_array_equal(found, Scorer.bind(name)(alone, Target.bind(mode)(alone)))


@pytest.mark.parametrize("lam", [0, 0.1, 2.5])
def test_lambda_weighs_the_entropy(lam, inputs, target):
    wanted = reference("entropy", inputs, target, 10, lam)
    assert_close(Scorer.bind(f"entropy(tau=10, lam={lam})")(inputs, target), wanted, 10)


def test_temperature_defaults_to_the_encoders_own(inputs, target):
    for name in ("soft_margin", "entropy"):
        given = Scorer.bind(f"{name}(tau={inputs.logit_scale})")(inputs, target)
        np.testing.assert_array_equal(Scorer.bind(name)(inputs, target), given)


def test_with_two_classes_the_soft_margin_is_the_hard_one(make_inputs):
    inputs = make_inputs(classes=2)
    target = np.arange(len(inputs.regions)) % 2
    soft, hard = Scorer.bind("soft_margin")(inputs, target), Scorer.bind("hard_margin")(inputs, target)
    np.testing.assert_allclose(soft, hard, rtol=0, atol=1e-7)


@pytest.mark.parametrize("tau", [1, 1000])
def test_identical_cosines_are_finite_and_undecided(make_inputs, tau):
    inputs = make_inputs(classes=5)
    same = ScoreInputs(inputs.offsets, inputs.regions, inputs.globals, inputs.text[[0] * 5], 100.0)
    target = np.arange(len(same.regions)) % 5
    for name in ("hard_margin", f"soft_margin(tau={tau})"):
        np.testing.assert_allclose(Scorer.bind(name)(same, target), 0, atol=1e-6)
    entropy = Scorer.bind(f"entropy(tau={tau}, lam=0.1)")(same, target)
    np.testing.assert_allclose(entropy, 1 / 5 - 0.1 * math.log(5), atol=1e-5)


@pytest.mark.parametrize("name", ["hard_margin", "soft_margin"])
def test_a_margin_over_one_class_is_refused_with_a_way_out(make_inputs, name):
    inputs = make_inputs(classes=1)
    with pytest.raises(BadParameter, match="at least 2 classes.*region_text"):
        Scorer.bind(name)(inputs, np.zeros(len(inputs.regions), np.int64))


def test_entropy_of_one_class_is_certain(make_inputs):
    inputs = make_inputs(classes=1)
    assert Scorer.bind("entropy")(inputs, np.zeros(len(inputs.regions), np.int64)).tolist() == [1.0] * 9


def test_scorers_are_given_no_labels():
    assert not [f.name for f in fields(ScoreInputs) if "label" in f.name or "split" in f.name]


def test_only_region_global_needs_no_target(inputs, target):
    assert {name for name in PAPER if not Scorer.bind(name).needs_target} == {"region_global"}
    other = (target + 1) % len(inputs.text)
    for name in PAPER:
        scorer = Scorer.bind(name)
        assert np.array_equal(scorer(inputs, target), scorer(inputs, other)) != scorer.needs_target


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("entropy", "entropy"),
        ("entropy(tau=None, lam=0.1)", "entropy"),
        ("entropy(lam=0.5, tau=100.0)", "entropy(tau=100, lam=0.5)"),
        (" soft_margin( tau = 1e1 ) ", "soft_margin(tau=10)"),
    ],
)
def test_a_scorer_has_one_canonical_text(text, canonical):
    assert Scorer.bind(text).canonical == canonical


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("entropi", UnknownName, "did you mean 'entropy'.*fgscore list scorers"),
        ("entropy(tua=1)", BadParameter, "no parameter 'tua'; did you mean 'tau'.*fgscore list scorers"),
        ("entropy(tau='warm')", BadParameter, "tau must be a finite number above 0 or None, found 'warm'"),
        ("entropy(tau=True)", BadParameter, "tau must be a finite number"),
        ("entropy(tau=0)", BadParameter, "tau must be a finite number above 0"),
        ("soft_margin(tau=-1)", BadParameter, "tau must be a finite number above 0"),
        ("region_text(tau=1)", BadParameter, "no parameter 'tau'"),
        ("nowhere.py:mine", UsageError, "expected a Python file, found none at nowhere.py"),
    ],
)
def test_what_cannot_be_a_scorer_is_refused_with_a_way_out(text, error, says):
    with pytest.raises(error, match=says) as caught:
        Scorer.bind(text)
    assert caught.value.exit_code == 2


def test_builtin_scorers_describe_themselves():
    rows = {row["name"]: row for row in described(Scorer)}
    assert set(rows) == set(Scorer.ours_named())
    assert rows["entropy"]["parameters"] == {"tau": None, "lam": 0.1}
    assert all(row["doc"] for row in rows.values())


@pytest.fixture
def mine(tmp_path):
    """A function that writes a user's scorer file of one function ``score`` and names it."""

    def write(body, signature="inputs, target, /, *, alpha: float = 1"):
        path = tmp_path / "mine.py"
        path.write_text(f"import numpy as np\n\ndef score({signature}):\n    {body}\n")
        return f"{path}:score"

    return write


def test_a_file_of_the_users_own_is_a_scorer(mine, make_inputs):
    inputs = make_inputs()
    scorer = Scorer.bind(f"{mine('return alpha * inputs.region_global')}(alpha=2)")
    np.testing.assert_allclose(scorer(inputs, np.zeros(9, np.int64)), 2 * inputs.region_global)


def test_a_users_scorer_is_named_by_its_file_without_the_folder(mine):
    name = mine("return inputs.region_global")
    assert Scorer.bind(name).canonical == "mine.py:score"
    assert Scorer.bind(f"{name}(alpha=1)").canonical == "mine.py:score"  # 1 is the default, written as a float or not
    assert Scorer.bind(f"{name}(alpha=0.5)").canonical == "mine.py:score(alpha=0.5)"
    assert Scorer.bind(f"{name}(alpha=1)").params == Scorer.bind(name).params


def test_an_edit_of_a_users_file_is_noticed(mine):
    before = Scorer.bind(mine("return inputs.region_global"))
    after = Scorer.bind(mine("return -inputs.region_global"))
    assert before.source.sha256 != after.source.sha256
    assert before.source.sha256 == Scorer.bind(mine("return inputs.region_global")).source.sha256
    assert Scorer.bind("entropy").source.sha256 is None


def test_an_edit_of_a_users_file_changes_the_scores(mine, make_inputs):
    inputs, target = make_inputs(), np.zeros(9, np.int64)
    before = Scorer.bind(mine("return inputs.region_global"))(inputs, target)
    after = Scorer.bind(mine("return -inputs.region_global"))(inputs, target)
    np.testing.assert_array_equal(before, -after)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return inputs.region_text", r"must return shape \(9,\), found \(9, 7\)"),
        ("return 0.5", r"must return shape \(9,\), found \(\)"),
        ("return np.where(np.arange(9) < 2, np.nan, inputs.region_global)", "finite scores, found 2 that are not"),
        ("return np.full(9, 1e300)", "finite scores, found 9"),
    ],
)
def test_a_users_scorer_that_returns_anything_else_is_refused(mine, make_inputs, body, says):
    with np.errstate(over="ignore"), pytest.raises(BadParameter, match=says):
        Scorer.bind(mine(body))(make_inputs(), np.zeros(9, np.int64))


def test_a_users_file_that_cannot_be_used_is_refused_with_the_reason(mine, tmp_path):
    name = mine("return inputs.region_global")
    with pytest.raises(UsageError, match="mine.py defines no function 'scor'"):
        Scorer.bind(name[:-1])
    with pytest.raises(UsageError, match=r"must take \(inputs, target"):
        Scorer.bind(mine("return 1", "inputs"))
    (tmp_path / "broken.py").write_text("def score(:\n")
    with pytest.raises(UsageError, match="SyntaxError"):
        Scorer.bind(f"{tmp_path}/broken.py:score")
    (tmp_path / "needy.py").write_text("import no_such_package_anywhere\n")
    with pytest.raises(UsageError, match="no_such_package_anywhere"):
        Scorer.bind(f"{tmp_path}/needy.py:score")


OWN = """
import sys

def by_area(inputs, target, /):
    return inputs.area + inputs.boxes_xyxy[:, 0]

def by_text(inputs, target, /):
    return inputs.region_global * inputs.text.sum()

def by_scale(inputs, target, /):
    return inputs.region_global * inputs.logit_scale

def by_target(inputs, target, /):
    return target.astype("f4")

def leaves(inputs, target, /):
    sys.exit(3)
"""


def test_whether_a_scorer_needs_text_is_found_by_trying_it(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    built_in = {name for name in PAPER if Scorer.bind(name).needs_text}
    assert built_in == {"region_text", "hard_margin", "soft_margin", "entropy"}
    assert Scorer.bind("soft_margin(tau=5)").needs_text
    needs = {name: Scorer.bind(f"{tmp_path}/own.py:{name}").needs_text for name in
             ("by_area", "by_text", "by_scale", "by_target", "leaves")}  # fmt: skip
    assert needs == {"by_area": False, "by_text": True, "by_scale": True, "by_target": False, "leaves": False}
