"""Oxford 102 Flowers: 8,189 photos of 102 kinds (https://www.robots.ox.ac.uk/~vgg/data/flowers/102/).

``jpg/``, ``imagelabels.mat`` and ``setid.mat``. The official training set is the small one: 1,020 photos, another 1,020
for validation, 6,149 to test on; some papers swap training and test. The names of the classes are in no official file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from fgscore.datasets import DataSet, Download, Listing, Photo, first_folder
from fgscore.datasets._coop import resplit
from fgscore.datasets._mat import read_mat
from fgscore.errors import DataError

EXPECTED = {
    "official": {"train": 1020, "val": 1020, "test": 6149},
    "coop": {"train": 4093, "val": 1633, "test": 2463},
}
HOST = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
WHERE = "run `fgscore download flowers`"
DOWNLOADS = (
    Download(
        HOST + "imagelabels.mat",
        "imagelabels.mat",
        "sha256:4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d",
        502,
        unpack=False,
    ),
    Download(
        HOST + "setid.mat",
        "setid.mat",
        "sha256:46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd",
        14_989,
        unpack=False,
    ),
    Download(
        HOST + "102flowers.tgz",
        "102flowers.tgz",
        "sha256:2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246",
        344_862_509,
    ),
)
COOP = "split_zhou_OxfordFlowers.json"

# In the order of the official labels, 1 to 102. Lists in the wild differ in three names; these are CLIP's: elsewhere 16
# is "globe-flower", 60 "pink-yellow dahlia?" and 93 "ball moss". Part of version 1: a change raises the version.
NAMES = (
    "pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold, tiger lily, moon orchid, "
    "bird of paradise, monkshood, globe thistle, snapdragon, colt's foot, king protea, spear thistle, yellow iris, "
    "globe flower, purple coneflower, peruvian lily, balloon flower, giant white arum lily, fire lily, "
    "pincushion flower, fritillary, red ginger, grape hyacinth, corn poppy, prince of wales feathers, "
    "stemless gentian, artichoke, sweet william, carnation, garden phlox, love in the mist, mexican aster, "
    "alpine sea holly, ruby-lipped cattleya, cape flower, great masterwort, siam tulip, lenten rose, barbeton daisy, "
    "daffodil, sword lily, poinsettia, bolero deep blue, wallflower, marigold, buttercup, oxeye daisy, "
    "common dandelion, petunia, wild pansy, primula, sunflower, pelargonium, bishop of llandaff, gaura, geranium, "
    "orange dahlia, pink and yellow dahlia, cautleya spicata, japanese anemone, black-eyed susan, silverbush, "
    "californian poppy, osteospermum, spring crocus, bearded iris, windflower, tree poppy, gazania, azalea, "
    "water lily, rose, thorn apple, morning glory, passion flower, lotus, toad lily, anthurium, frangipani, clematis, "
    "hibiscus, columbine, desert-rose, tree mallow, magnolia, cyclamen, watercress, canna lily, hippeastrum, bee balm, "
    "air plant, foxglove, bougainvillea, camellia, mallow, mexican petunia, bromelia, blanket flower, "
    "trumpet creeper, blackberry lily"
)
CLASS_NAMES = tuple(NAMES.split(", "))
SETS = {"train": "trnid", "val": "valid", "test": "tstid"}


@DataSet.declares(noun="flower", downloads=DOWNLOADS)
def flowers(root: Path, /, *, protocol: Literal["official", "coop"] = "official") -> Listing:
    """Oxford 102 Flowers: 8,189 photos of 102 kinds (https://www.robots.ox.ac.uk/~vgg/data/flowers/102/).

    Read from setid.mat and imagelabels.mat. Labels are the official ones less one; the id is the file's number.

    ``protocol='coop'`` takes the random 50/20/30 splits of CoOp's ``split_zhou_OxfordFlowers.json``. Raises
    :class:`DataError` that says which list is missing.
    """
    folder = first_folder(root, "flowers-102", "flowers", marker="setid.mat", where=WHERE)
    labels = np.atleast_1d(read_mat(folder / "imagelabels.mat", ("labels",), WHERE)["labels"]).astype(int)
    sets = read_mat(folder / "setid.mat", tuple(SETS.values()), WHERE)
    try:
        photos = [
            Photo(f"{n:05d}", f"jpg/image_{n:05d}.jpg", int(labels[n - 1]) - 1, split)
            for split, key in SETS.items()
            for n in np.atleast_1d(sets[key]).astype(int).tolist()
        ]
    except IndexError as error:
        raise DataError(
            f"setid.mat in {folder} numbers photos that imagelabels.mat lacks ({error}); {WHERE}"
        ) from error
    if protocol == "coop":
        photos = resplit(photos, folder, COOP, "jpg/")
    return Listing(folder, CLASS_NAMES, photos, EXPECTED[protocol], where=WHERE)
