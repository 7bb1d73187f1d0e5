"""All regions of an image in one forward pass of its model: copies of the class token that see their region alone.

Let a layer attend from the class token's query ``q`` to the keys ``k`` and values ``v`` of all T tokens, the class
token c, registers and patches, with weights ``softmax_t(q . k_t * s)``. Region j has a copy c_j of the class token that
goes through the same layer with its own query, key and value, and attends to itself, the registers and its patches::

    softmax(q_j . k_j * s,  q_j . k_r * s,  q_j . k_p * s + b_jp)   for registers r and patches p

``b_jp`` is the logarithm of how much of patch p belongs to region j: 0 for all of it, minus infinity for none. Keys and
values of registers and patches are those of the ordinary pass, in which nothing sees a copy, and no copy sees another:
so no region changes what another is, nor the image's own embedding, and a copy to which all patches belong is that
embedding. Before layer ``start`` all copies are the class token itself. Products are of M copies with T tokens; there
is no mask of (T + M) squared.

A model that ends in attention of a probe to the patches, as SigLIP does, has a probe for each region, restricted in the
same way; one that ends in the mean of the patches has the region's own mean, with weights ``exp(b_jp)``.

The model's own layers do all of it. Each is run on the tokens, as ever, and then on the copies, as one sequence of
them, or one each; ``copies.Attention`` stands where torch's attention is called, listens to keys and values in the
first of these, and in the second attends as above. A model whose layers attend in any other way is not one of these,
and is found out when it is loaded, by a region that is all of a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from fgscore.errors import BadParameter

# the parameters of every encoder that can embed all regions of an image in one pass
Regions = Literal["crops", "one_pass"]
Start = Annotated[int, Ge(0)]
Member = Literal["soft"] | Annotated[float, Gt(0), Le(1)]
Tiles = Annotated[int, Ge(1)]


OF_REGIONS = ("regions", "start", "member", "tiles")  # their names; whole images do not depend on them


@dataclass(frozen=True)
class Together:
    """How regions are embedded in one pass: their own from layer ``start`` on; a patch belongs to a region by the share
    of its area within ('soft'), or wholly where that share is at least ``member``; ``tiles`` a side that are passes of
    their own."""

    start: Start = 0
    member: Member = "soft"
    tiles: Tiles = 1


def asked(regions: Regions, start: Start, member: Member, tiles: Tiles) -> Together | None:
    """What an encoder's parameters ask for; None for crops. Raises :class:`BadParameter` for what crops do not have."""
    how = Together(start, member, tiles)
    if regions == "one_pass":
        return how
    for name, value in vars(how).items():
        if value != vars(Together())[name]:
            raise BadParameter(f"{name}={value} goes with regions='one_pass', and crops have none; write both, or "
                               f"leave {name} out")  # fmt: skip
    return None
