"""The paper's region scorers (section 3.4) and their registry.

A scorer is a function ``f(inputs, target, /, *, hyperparameters with defaults) -> (R,) float32``, larger is better;
its signature is the list of its tunables. It sees a :class:`~fgscore.types.ScoreInputs`, which holds no labels, and
``target`` (R,) int64, the class each region is scored against; all arrays are read-only. A user's own scorer is a
function of the same form in a file of theirs, named ``path/to/file.py:function``. What it is given is its own, so that
nothing it does reaches another scorer; what it does wrong is told with its file and line.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fgscore import specs
from fgscore.errors import BadParameter, DataError, FgscoreError, NoText, UsageError, unknown
from fgscore.types import RegionBatch, ScoreInputs, read_only

ScoreFunction = Callable[..., np.ndarray]
SMALL_REST = 0.05  # of the softmax's sum: where the other classes have less, soft_margin sums them by themselves


def region_global(inputs: ScoreInputs, target: np.ndarray, /) -> np.ndarray:
    """Cosine of the region with its own image (III, eq. 3); needs no target."""
    return inputs.region_global


def region_text(inputs: ScoreInputs, target: np.ndarray, /) -> np.ndarray:
    """Cosine of the region with its target class (IV)."""
    return np.take_along_axis(inputs.region_text, target[:, None], axis=1)[:, 0]


def hard_margin(inputs: ScoreInputs, target: np.ndarray, /) -> np.ndarray:
    """Cosine with the target less the largest cosine with any other class (V); needs two classes."""
    _check_classes(inputs)
    largest = inputs.top_text.copy()
    hit = np.flatnonzero(inputs.top_class == target)  # elsewhere the largest of all is the largest of the others
    largest[hit] = _without_target(inputs.region_text[hit], target[hit]).max(axis=1)
    return region_text(inputs, target) - largest


def soft_margin(inputs: ScoreInputs, target: np.ndarray, /, *, tau: float | None = None) -> np.ndarray:
    """Cosine with the target less the softmax(tau)-weighted mean of the cosines with all others (VI)."""
    _check_classes(inputs)
    scale = _tau(inputs, tau)
    weights, total, gap = inputs.softmax(scale)
    cosine = region_text(inputs, target)
    own = np.take_along_axis(weights, target[:, None], axis=1)[:, 0]
    rest = total - own
    small = np.flatnonzero(rest < SMALL_REST * total)  # there, the difference would be noise
    rest[small] = 1
    negative = inputs.top_text + (total * gap - own * (cosine - inputs.top_text)) / rest
    negative[small] = _mean_of_others(inputs.region_text[small], target[small], scale)
    return cosine - negative


def entropy(inputs: ScoreInputs, target: np.ndarray, /, *, tau: float | None = None, lam: float = 0.1) -> np.ndarray:
    """Probability of the target less lam times the entropy, in nats, of the class distribution (VII)."""
    scale = _tau(inputs, tau)
    weights, total, gap = inputs.softmax(scale)
    # H = log(sum e) - sum(p z): no logarithm of a probability that underflowed
    information = np.log(total) - np.float32(scale) * gap
    return np.take_along_axis(weights, target[:, None], axis=1)[:, 0] / total - np.float32(lam) * information


def _tau(inputs: ScoreInputs, tau: float | None) -> float:
    return float(inputs.logit_scale if tau is None else tau)


def _check_classes(inputs: ScoreInputs) -> None:
    if inputs.region_text.shape[1] < 2:
        raise BadParameter("a margin needs at least 2 classes, found 1; use --scorer region_text or entropy")


def _without_target(cosines: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A copy of ``cosines`` (R, C) with -inf at the target."""
    others = cosines.copy()
    np.put_along_axis(others, target[:, None], -np.inf, axis=1)
    return others


def _mean_of_others(cosines: np.ndarray, target: np.ndarray, tau: float) -> np.ndarray:
    """(R,): softmax(tau)-weighted mean of the cosines with all classes but the target."""
    others = _without_target(cosines, target)
    weights = np.exp(np.float32(tau) * (others - others.max(axis=1, keepdims=True)))
    # the target's own cosine is -inf in `others` and its weight 0: take the sum over the cosines themselves
    return np.asarray(np.einsum("rc,rc->r", weights, cosines) / weights.sum(axis=1))


SCORERS: Mapping[str, ScoreFunction] = {
    f.__name__: f for f in (region_global, region_text, hard_margin, soft_margin, entropy)
}
TARGETLESS = frozenset({"region_global"})


@dataclass(frozen=True)
class Scorer:
    """A scorer with every parameter decided. ``sha256`` is of the user's ``file``, both None for the built-in ones."""

    name: str
    function: ScoreFunction
    params: Mapping[str, specs.Value]
    canonical: str
    sha256: str | None = None
    file: Path | None = None

    @property
    def needs_target(self) -> bool:
        """Whether the scores depend on the target class."""
        return self.name not in TARGETLESS

    @cached_property
    def needs_text(self) -> bool:
        """Whether it reads class text: tried on a few invented regions without any, so that none has to declare it.
        Whatever else goes wrong there is told where it goes wrong on real ones."""
        try:
            self(_textless(), np.full(len(_textless().regions), -1))
        except NoText:
            return True
        except FgscoreError:
            pass
        return False

    def __call__(self, inputs: ScoreInputs, target: np.ndarray) -> np.ndarray:
        """(R,) float32 scores.

        Raises :class:`BadParameter` where a scorer returns anything but R finite numbers, and, for a scorer of the
        user's, :class:`UsageError` with file and line where it raises or exits.
        """
        r = len(inputs.regions)
        if r == 0:
            return np.zeros(0, np.float32)
        if self.file is None:
            return self._checked(np.asarray(self.function(inputs, read_only(target), **self.params)), r)
        inputs, target = inputs.apart(), read_only(np.array(target))
        wanted = f"expected ({r},) scores, a finite number for each region"
        # errstate: what it sets for numpy ends with it
        with _blamed(self.file, f"scorer {self.canonical}", wanted, self.function), np.errstate():
            found = self.function(inputs, target, **self.params)
            if np.ma.isMaskedArray(found):  # what is masked is no score
                found = np.ma.filled(found.astype(np.float64), np.nan)
            found = np.asarray(found)
        return self._checked(found, r)

    def _checked(self, scores: np.ndarray, r: int) -> np.ndarray:
        where = f"{_place(self.file, self.function)}: " if self.file else ""
        if scores.shape != (r,):
            raise BadParameter(f"{where}scorer {self.canonical} must return shape ({r},), found {scores.shape}")
        if scores.dtype.kind not in "biuf":
            raise BadParameter(f"{where}scorer {self.canonical} must return numbers, found {scores.dtype}")
        with np.errstate(over="ignore"):
            scores = scores.astype(np.float32)
        if wrong := int((~np.isfinite(scores)).sum()):
            raise BadParameter(f"{where}scorer {self.canonical} must return finite scores, found {wrong} that are not")
        return scores


@cache
def _textless() -> ScoreInputs:
    """Two images of three regions, of width 4, and no text."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((8, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    corner = rng.integers(0, 16, (6, 2))
    boxes, area = np.concatenate([corner, corner + 16], axis=1), np.full(6, 0.25)
    offsets, unknown = np.array([0, 3, 6]), np.full(6, np.nan)
    batch = RegionBatch(np.array(["a", "b"]), offsets, boxes, area, unknown, unknown)
    return ScoreInputs(offsets, rows[:6], rows[6:], None, None, read_regions=lambda: batch)


def bind(text: str) -> Scorer:
    """The scorer that ``text`` names: ``entropy(tau=50)`` or ``./mine.py:myscore(alpha=2)``.

    Only a name that the user typed gets here: no file is ever imported because a store mentions it.
    """
    spec = specs.parse(text)
    return _from_file(spec) if ".py:" in spec.name else built_in(text)


def built_in(text: str) -> Scorer:
    """The built-in scorer that ``text`` names, and no other: for a text that comes from a file."""
    spec = specs.parse(text)
    if spec.name not in SCORERS:
        raise unknown("scorer", spec.name, SCORERS)
    function = SCORERS[spec.name]
    params = specs.bind(spec, function, "scorer")
    if isinstance(tau := params.get("tau"), float) and tau <= 0:
        raise BadParameter(f"scorer {spec.name!r}: tau must be above 0, found {tau}")
    return Scorer(spec.name, function, params, specs.canonical(spec.name, params, specs.tunables(function)))


def _from_file(spec: specs.Spec) -> Scorer:
    path_text, _, name = spec.name.rpartition(":")
    path = Path(path_text)
    if not path.is_file():
        raise UsageError(f"scorer {spec.name!r}: expected a Python file, found none at {path}")
    source = path.read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    with _blamed(path, f"scorer {path.name}:{name}", f"expected a file that defines {name}(inputs, target, /)"):
        function = getattr(_load(path, source, sha256), name, None)
    if not callable(function):
        raise UsageError(f"scorer {spec.name!r}: {path.name} defines no function {name!r}")
    _check_signature(function, spec.name)
    params = specs.bind(spec, function, "scorer")
    canonical = specs.canonical(f"{path.name}:{name}", params, specs.tunables(function))
    return Scorer(f"{path.name}:{name}", function, params, canonical, sha256, path)


def _load(path: Path, source: bytes, sha256: str) -> ModuleType:
    """The module that ``source`` makes: the very bytes of the digest, not what was compiled from the file before."""
    module = ModuleType(f"fgscore_user_{path.stem}_{sha256[:8]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses look up the module of a class
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


@contextmanager
def _blamed(file: Path, who: str, wanted: str, function: Callable[..., Any] | None = None) -> Iterator[None]:
    """Whatever the user's ``file`` does wrong, an exit included, as one line with the place in it. An interruption
    stays one: in the main thread it is the user's Ctrl-C."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        if isinstance(error, DataError) and not _raised_in(file, error):  # of the store, when the file asked for it
            raise
        raise UsageError(f"{_place(file, function, error)}: {who}: {_told(error)}; {wanted}") from error


def _raised_in(file: Path, error: BaseException) -> bool:
    """Whether it is ``file`` itself that raises ``error``."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename == str(file)


def _place(file: Path, function: Callable[..., Any] | None = None, error: BaseException | None = None) -> str:
    """``mine.py:12``: the line of ``file`` that ``error`` came through last, or else where the function begins."""
    code = getattr(function, "__code__", None)
    line = code.co_firstlineno if code is not None and code.co_filename == str(file) else None
    if isinstance(error, SyntaxError) and error.filename == str(file):
        line = error.lineno
    trace = error.__traceback__ if error else None
    while trace:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{file}:{line}" if line else str(file)


def _told(error: BaseException) -> str:
    """What happened, in one line."""
    said = str(error).partition("\n")[0][:300]
    if isinstance(error, SystemExit):
        return f"it exits ({said or 'no code'}), which a scorer must leave to fgscore"
    line = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"{line}; the arrays are read-only; work on a copy" if "read-only" in said else line


def _check_signature(function: Callable[..., Any], name: str) -> None:
    wanted = f"scorer {name!r} must take (inputs, target, *, parameters=...)"
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{wanted}, found no signature") from error
    positional = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) != 2:
        raise UsageError(f"{wanted}, found {signature}")


def describe() -> list[dict[str, Any]]:
    """Name, parameters with defaults and one line of documentation of every built-in scorer."""
    rows = []
    for name, function in SCORERS.items():
        line = (inspect.getdoc(function) or "").partition("\n")[0]
        rows.append({"name": name, "parameters": specs.tunables(function), "doc": line})
    return rows
