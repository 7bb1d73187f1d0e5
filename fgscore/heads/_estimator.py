"""Any scikit-learn classifier as a head."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import foreign, specs
from fgscore.components import positional
from fgscore.errors import UsageError
from fgscore.heads import Outcome, ProbeData

SEED = inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int)


def is_made_by(function: Callable[..., Any]) -> bool:
    """Whether ``function`` has nothing but tunables, and so returns the classifier rather than fits one."""
    return not positional(function)


def is_estimator(thing: Any) -> bool:
    """Whether ``thing`` is an estimator by itself, rather than a function that fits or returns one."""
    from sklearn.base import BaseEstimator

    return isinstance(thing, BaseEstimator)


def copies_of(estimator: Any) -> Callable[[], Any]:
    """A function that returns an unfitted copy of ``estimator``, or a new one of a class."""

    def make() -> Any:
        if inspect.isclass(estimator):
            return estimator()
        from sklearn.base import clone

        return clone(estimator)

    return make


def as_head(make: Callable[..., Any], spec: specs.Spec, file: Path | None) -> Callable[..., Outcome]:
    """The head that fits what ``make`` returns: its tunables, and a ``seed`` where the classifier draws by chance.

    Raises :class:`UsageError` where ``make`` returns no classifier, with the line of ``file``.
    """
    own = specs.bind(specs.Spec(spec.name, {k: v for k, v in spec.params.items() if k != SEED.name}), make, "head")
    name = specs.stored_name(spec.name)
    with foreign.blamed(file, f"head {name}", "expected a function that returns a scikit-learn classifier", make):
        estimator = make(**own)
    _check(estimator, name, file, make)

    signature = inspect.signature(make)
    chance = [SEED] if _states(estimator) and SEED.name not in signature.parameters else []

    def fit(data: ProbeData, test: np.ndarray, /, **params: Any) -> Outcome:
        made = make(**{name: params[name] for name in signature.parameters})
        return fitted(_seeded(made, params.get(SEED.name, 0)), data, test)

    taken = [p for p in inspect.signature(fit).parameters.values() if p.kind is p.POSITIONAL_ONLY]
    fit.__signature__ = inspect.Signature([*taken, *signature.parameters.values(), *chance])  # type: ignore[attr-defined]
    fit.__annotations__ = {**specs.hints_of(make), **({SEED.name: int} if chance else {})}
    fit.__name__, fit.__doc__ = name, make.__doc__
    vars(fit).update(vars(make))  # what it declares
    return fit


def _check(estimator: Any, name: str, file: Path | None, make: Callable[..., Any]) -> None:
    from sklearn.base import BaseEstimator, is_classifier

    if not (isinstance(estimator, BaseEstimator) and is_classifier(estimator)):
        found = type(estimator).__name__
        raise UsageError(
            f"{foreign.place(file, make)}: head {name} must return a scikit-learn classifier, found {found}; a head "
            "of another kind takes (data, test, /)"
        )


def _states(estimator: Any) -> list[str]:
    """The names of all parameters that are seeds, those of a pipeline's steps and of a grid's estimator included."""
    return [name for name in estimator.get_params(deep=True) if name.rpartition("__")[2] == "random_state"]


def _seeded(estimator: Any, seed: int) -> Any:
    """With ``seed`` wherever it draws by chance; without one, what was set to another state stays so."""
    found = estimator.get_params(deep=True)
    return estimator.set_params(**{name: seed for name in _states(estimator) if seed or found[name] is None})


def fitted(estimator: Any, data: ProbeData, test: np.ndarray) -> Outcome:
    """Fit on train and validation images alike, as nothing of ours is chosen on the latter; predict ``test``.

    The details keep what the classifier is: its class, all its parameters, scikit-learn's version, and what a search
    over a grid chose.
    """
    import sklearn
    from sklearn.exceptions import ConvergenceWarning

    train = data.training_rows()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(data.features[train], data.labels[train])
    kind = type(estimator)
    details = {
        "estimator": f"{kind.__module__}.{kind.__qualname__}",
        "parameters": {name: repr(value) for name, value in sorted(estimator.get_params(deep=False).items())},
        "scikit-learn": sklearn.__version__,
    }
    if hasattr(estimator, "best_params_"):  # a search has it once it is fitted
        details["best"] = {name: repr(value) for name, value in estimator.best_params_.items()}
    predictions = np.asarray(estimator.predict(data.features[test])).astype(np.int64)
    converged = not any(issubclass(w.category, ConvergenceWarning) for w in caught)
    return Outcome(predictions, len(train), converged, details)
