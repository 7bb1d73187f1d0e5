"""Closed formulas of multiply-accumulates."""

from __future__ import annotations


def vit(layers: int, width: int, patch: int, side: int, mlp: int, out: int = 0, more_tokens: int = 1) -> int:
    """Of a vision transformer: patches, then in each layer q, k, v and the output, both products of attention, and the
    two layers of its perceptron; the projection of one token at the end."""
    patches = (side // patch) ** 2
    tokens = patches + more_tokens
    layer = 4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * mlp
    return patches * 3 * patch**2 * width + layers * layer + width * out
