"""Class by the text alone: no training, no labels."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from fgscore.errors import DataError
from fgscore.heads import Head, Linear, Outcome, ProbeData, probabilities
from fgscore.types import Descriptions

DESCRIBED = ("mean", "wca", "max")  # votes that compare with every text of a class
ROWS = 1 << 22  # cosines of regions with texts, at a time


@Head.declares(
    trains=False, needs_text=True, thread_safe=True, stochastic=False, needs_descriptions={"vote": DESCRIBED}
)
def zeroshot(
    data: ProbeData,
    test: np.ndarray,
    /,
    *,
    vote: Literal["cosine", "probability", "mean", "wca", "max"] = "cosine",
) -> Outcome:
    """Nearest class text, no training: of the global embedding, or of the pooled regions where there are some.

    With pooled regions this is a vote of the kept ones, each with its pooling weight w_i (for topk the softmax of the
    kept scores). ``cosine``: the class of the largest sum of w_i cos(f_i, t_c), which is the product of the pooled
    local part with the text. ``probability``: of the largest sum of w_i p_i(c), p_i being the softmax of the region's
    cosines times the encoder's logit scale, so that a region that is sure counts for more than one that is not. The
    global half of the features takes no part. With pooling 'none' or 'self' both are the zero-shot class of eq. 4.

    The others look at each of the n_c texts t_cj of a class in place of their mean, and are stored with a prompt of
    several texts a class. ``mean``: the class of the largest sum over i of w_i times the mean over j of cos(f_i, t_cj);
    ``max``: of the largest over j. ``wca``: of sum over i and j of w_i v_cj cos(f_i, t_cj), v_cj being the softmax over
    j of the cosine of t_cj with the class's name alone, 'a photo of a {}.': weighted visual-text cross alignment (Li et
    al., ICML 2024), whose w_i, the softmax over the crops of their cosine with the image, are those of
    ``--scorer region_global --pool "topk(k=all)"``.
    """
    if data.text is None:
        raise DataError("head 'zeroshot' needs class text embeddings, found none; use --head logreg")
    if vote == "probability" and data.votes is not None:
        text, scale = data.text, data.logit_scale
        return _elected(data.votes(lambda rows: probabilities(rows @ text.T, scale)), test)
    if vote in DESCRIBED:
        if data.descriptions is None:
            raise DataError(f"vote {vote!r} needs every text of a class, found their mean alone; use --head zeroshot")
        nearest = partial(_nearest, data.descriptions, vote)
        whole = data.features[:, : data.text.shape[1]]  # of which there is no more without pooled regions
        return _elected(data.votes(nearest) if data.votes else nearest(whole), test)
    if data.features.shape[1] not in (data.text.shape[1], 2 * data.text.shape[1]):
        raise DataError(
            f"head 'zeroshot' compares pooled regions with texts of {data.text.shape[1]} numbers, found features of "
            f"{data.features.shape[1]}; use --head logreg"
        )
    local = data.features[test][:, -data.text.shape[1] :]
    predictions = (local @ data.text.T).argmax(axis=1).astype(np.int64)
    return Outcome(predictions, 0, linear=_linear(data) if vote == "cosine" else None)


def _elected(votes: np.ndarray, test: np.ndarray) -> Outcome:
    return Outcome(votes[test].argmax(axis=1).astype(np.int64), 0)


def _nearest(said: Descriptions, vote: str, rows: np.ndarray) -> np.ndarray:
    """(n, C) float32: how near ``rows`` (n, d) are to the texts of each class."""
    starts = said.offsets[:-1]
    if vote != "max":
        text = np.add.reduceat(said.descriptions * _weights(said, vote)[:, None], starts, axis=0)
        return np.asarray(rows @ text.T, np.float32)
    size = max(1, ROWS // len(said.texts))
    blocks = [rows[i : i + size] @ said.descriptions.T for i in range(0, len(rows), size)]
    return np.concatenate([np.zeros((0, len(starts)), np.float32),
                           *(np.maximum.reduceat(block, starts, axis=1) for block in blocks)])  # fmt: skip


def _weights(said: Descriptions, vote: str) -> np.ndarray:
    """(T,) float32: the weight of each text among those of its class."""
    lengths, starts = np.diff(said.offsets), said.offsets[:-1]
    owner = np.repeat(np.arange(len(lengths)), lengths)
    cosines = np.einsum("td,td->t", said.descriptions, said.names[owner])
    weights = np.exp(cosines) if vote == "wca" else np.ones_like(cosines)
    return np.asarray(weights / np.add.reduceat(weights, starts)[owner], np.float32)


def _linear(data: ProbeData) -> Linear:
    """The text, times the logit scale, on the local part; the global part has weight zero."""
    assert data.text is not None
    before = np.zeros((len(data.text), data.features.shape[1] - data.text.shape[1]), np.float32)
    weight = np.concatenate([before, np.float32(data.logit_scale) * data.text], axis=1)
    return Linear(weight, np.zeros(len(weight), np.float32), np.arange(len(weight)))
