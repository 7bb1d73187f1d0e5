"""The paper's own head (sections 3.6 and 4.1): a linear layer trained by AdamW for a fixed number of epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt

from fgscore.errors import missing_extra
from fgscore.heads import Head, Linear, Outcome, ProbeData


@Head.declares(needs=("torch",))
def adamw(
    data: ProbeData,
    test: np.ndarray,
    /,
    *,
    epochs: Annotated[int, Ge(1)] = 30,
    batch_size: Annotated[int, Ge(1)] = 32,
    lr: Annotated[float, Gt(0)] = 1e-3,
    weight_decay: Annotated[float, Ge(0)] = 1e-4,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    seed: Annotated[int, Ge(0)] = 0,
) -> Outcome:
    """Linear layer on features with dropout, cross-entropy, AdamW, fixed epochs: the paper's protocol (4.1).

    Trains on train and validation images alike: nothing is chosen, so nothing need be held out. ``seed`` decides the
    initial weights, the order of the images and what is dropped. Raises :class:`MissingExtra` without torch.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_extra("torch", "the head 'adamw'") from error
    train = data.training_rows()
    classes, targets = np.unique(data.labels[train], return_inverse=True)
    x, y = torch.from_numpy(data.features[train].astype(np.float32)), torch.from_numpy(targets)
    with _one_thread(torch), torch.random.fork_rng(devices=[]):  # the caller's own random numbers stay as they were
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Dropout(dropout), torch.nn.Linear(x.shape[1], len(classes)))
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
        loss = _train(torch, model, optimizer, x, y, epochs, batch_size)
    layer: Any = model[1]
    linear = Linear(layer.weight.detach().numpy(), layer.bias.detach().numpy(), classes.astype(np.int64))
    predictions = linear.classes[linear.logits(data.features[test]).argmax(axis=1)]
    return Outcome(predictions, len(train), math.isfinite(loss), {"loss": loss}, linear)


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    """Steps are of some thousand numbers: threads that share one wait for each other, on a busy machine
    many times as long as it takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(torch: Any, model: Any, optimizer: Any, x: Any, y: Any, epochs: int, batch_size: int) -> float:
    """Run all epochs, each in an order of its own; returns the mean loss of the last."""
    model.train()
    total = 0.0
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(x)).split(batch_size):
            loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
    return total / len(x)
