"""Class by the text alone: no training, no labels."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fgscore.errors import DataError
from fgscore.heads import Head, Linear, Outcome, ProbeData


@Head.declares(trains=False, needs_text=True, thread_safe=True, stochastic=False)
def zeroshot(data: ProbeData, test: np.ndarray, /, *, vote: Literal["cosine", "probability"] = "cosine") -> Outcome:
    """Nearest class text, no training: of the global embedding, or of the pooled regions where there are some.

    With pooled regions this is a vote of the kept ones, each with its pooling weight w_i (for topk the softmax of the
    kept scores). ``cosine``: the class of the largest sum of w_i cos(f_i, t_c), which is the product of the pooled
    local part with the text. ``probability``: of the largest sum of w_i p_i(c), p_i being the softmax of the region's
    cosines times the encoder's logit scale, so that a region that is sure counts for more than one that is not. The
    global half of the features takes no part. With pooling 'none' or 'self' both are the zero-shot class of eq. 4.
    """
    if data.text is None:
        raise DataError("head 'zeroshot' needs class text embeddings, found none; use --head logreg")
    if vote == "probability" and data.votes is not None:
        return Outcome(data.votes()[test].argmax(axis=1).astype(np.int64), 0)
    if data.features.shape[1] not in (data.text.shape[1], 2 * data.text.shape[1]):
        raise DataError(
            f"head 'zeroshot' compares pooled regions with texts of {data.text.shape[1]} numbers, found features of "
            f"{data.features.shape[1]}; use --head logreg"
        )
    local = data.features[test][:, -data.text.shape[1] :]
    predictions = (local @ data.text.T).argmax(axis=1).astype(np.int64)
    return Outcome(predictions, 0, linear=_linear(data) if vote == "cosine" else None)


def _linear(data: ProbeData) -> Linear:
    """The text, times the logit scale, on the local part; the global part has weight zero."""
    assert data.text is not None
    before = np.zeros((len(data.text), data.features.shape[1] - data.text.shape[1]), np.float32)
    weight = np.concatenate([before, np.float32(data.logit_scale) * data.text], axis=1)
    return Linear(weight, np.zeros(len(weight), np.float32), np.arange(len(weight)))
