"""CUB-200-2011: 200 bird species, 11,788 photos, in the official layout (https://data.caltech.edu/records/65de6-vp158).

Class names lost hyphens and apostrophes in the official folders; those used in prompts are mended by the table below.
"""

from __future__ import annotations

from pathlib import Path

from fgscore.datasets import DataSet, Download, Listing, Photo, first_folder, read_lines
from fgscore.errors import DataError

EXPECTED = {"train": 5994, "test": 5794}
WHERE = "run `fgscore download cub`"
DOWNLOADS = (
    Download(
        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",
        "CUB_200_2011.tgz",
        "sha256:0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
        1_150_585_339,
    ),
)

# Official name, underscores as spaces -> name for prompts. Part of version 1: a change raises the version.
NAMES = {
    "Black footed Albatross": "Black-footed Albatross",
    "Red winged Blackbird": "Red-winged Blackbird",
    "Yellow headed Blackbird": "Yellow-headed Blackbird",
    "Yellow breasted Chat": "Yellow-breasted Chat",
    "Chuck will Widow": "Chuck-will's-widow",
    "Red faced Cormorant": "Red-faced Cormorant",
    "Brewer Blackbird": "Brewer's Blackbird",
    "Brandt Cormorant": "Brandt's Cormorant",
    "Black billed Cuckoo": "Black-billed Cuckoo",
    "Yellow billed Cuckoo": "Yellow-billed Cuckoo",
    "Gray crowned Rosy Finch": "Gray-crowned Rosy Finch",
    "Olive sided Flycatcher": "Olive-sided Flycatcher",
    "Scissor tailed Flycatcher": "Scissor-tailed Flycatcher",
    "Yellow bellied Flycatcher": "Yellow-bellied Flycatcher",
    "Pied billed Grebe": "Pied-billed Grebe",
    "Rose breasted Grosbeak": "Rose-breasted Grosbeak",
    "Heermann Gull": "Heermann's Gull",
    "Glaucous winged Gull": "Glaucous-winged Gull",
    "Ring billed Gull": "Ring-billed Gull",
    "Slaty backed Gull": "Slaty-backed Gull",
    "Anna Hummingbird": "Anna's Hummingbird",
    "Ruby throated Hummingbird": "Ruby-throated Hummingbird",
    "Long tailed Jaeger": "Long-tailed Jaeger",
    "Dark eyed Junco": "Dark-eyed Junco",
    "White breasted Kingfisher": "White-breasted Kingfisher",
    "Red legged Kittiwake": "Red-legged Kittiwake",
    "Red breasted Merganser": "Red-breasted Merganser",
    "Clark Nutcracker": "Clark's Nutcracker",
    "White breasted Nuthatch": "White-breasted Nuthatch",
    "Scott Oriole": "Scott's Oriole",
    "Western Wood Pewee": "Western Wood-Pewee",
    "Whip poor Will": "Whip-poor-will",
    "White necked Raven": "White-necked Raven",
    "American Three toed Woodpecker": "American Three-toed Woodpecker",
    "Red bellied Woodpecker": "Red-bellied Woodpecker",
    "Red cockaded Woodpecker": "Red-cockaded Woodpecker",
    "Red headed Woodpecker": "Red-headed Woodpecker",
    "Baird Sparrow": "Baird's Sparrow",
    "Brewer Sparrow": "Brewer's Sparrow",
    "Clay colored Sparrow": "Clay-colored Sparrow",
    "Harris Sparrow": "Harris's Sparrow",
    "Henslow Sparrow": "Henslow's Sparrow",
    "Le Conte Sparrow": "Le Conte's Sparrow",
    "Lincoln Sparrow": "Lincoln's Sparrow",
    "Nelson Sharp tailed Sparrow": "Nelson's Sharp-tailed Sparrow",
    "White crowned Sparrow": "White-crowned Sparrow",
    "White throated Sparrow": "White-throated Sparrow",
    "Artic Tern": "Arctic Tern",
    "Forsters Tern": "Forster's Tern",
    "Green tailed Towhee": "Green-tailed Towhee",
    "Black capped Vireo": "Black-capped Vireo",
    "Blue headed Vireo": "Blue-headed Vireo",
    "Red eyed Vireo": "Red-eyed Vireo",
    "White eyed Vireo": "White-eyed Vireo",
    "Yellow throated Vireo": "Yellow-throated Vireo",
    "Bay breasted Warbler": "Bay-breasted Warbler",
    "Black and white Warbler": "Black-and-white Warbler",
    "Black throated Blue Warbler": "Black-throated Blue Warbler",
    "Blue winged Warbler": "Blue-winged Warbler",
    "Chestnut sided Warbler": "Chestnut-sided Warbler",
    "Golden winged Warbler": "Golden-winged Warbler",
    "Swainson Warbler": "Swainson's Warbler",
    "Wilson Warbler": "Wilson's Warbler",
    "Worm eating Warbler": "Worm-eating Warbler",
    "Black throated Sparrow": "Black-throated Sparrow",
    "Boat tailed Grackle": "Boat-tailed Grackle",
    "Groove billed Ani": "Groove-billed Ani",
    "Orange crowned Warbler": "Orange-crowned Warbler",
    "Bewick Wren": "Bewick's Wren",
}


@DataSet.declares(noun="bird", downloads=DOWNLOADS)
def cub(root: Path, /) -> Listing:
    """CUB-200-2011: 200 bird species, 11,788 photos (https://data.caltech.edu/records/65de6-vp158).

    Read from images.txt, image_class_labels.txt, train_test_split.txt, classes.txt and bounding_boxes.txt (official ids
    start at 1; boxes are x, y, width, height). The image id is the official number."""
    folder = first_folder(root, "CUB_200_2011", marker="images.txt", where=WHERE)
    classes = read_lines(folder / "classes.txt", WHERE)
    label_of = {class_id: i for i, (class_id, _) in enumerate(classes)}
    labels = dict(read_lines(folder / "image_class_labels.txt", WHERE))
    split = {"1": "train", "0": "test"}
    splits = dict(read_lines(folder / "train_test_split.txt", WHERE))
    boxes = dict(read_lines(folder / "bounding_boxes.txt", WHERE))
    try:
        photos = [
            Photo(
                image_id,
                f"images/{path}",
                label_of[labels[image_id]],
                split[splits[image_id]],
                _box(boxes.get(image_id)),
            )
            for image_id, path in read_lines(folder / "images.txt", WHERE)
        ]
    except (KeyError, ValueError) as error:
        raise DataError(f"the lists in {folder} disagree at {error}; {WHERE}") from error
    return Listing(folder, tuple(clean(name) for _, name in classes), photos, EXPECTED, where=WHERE)


def clean(name: str) -> str:
    """``009.Brewer_Blackbird`` as it reads in a prompt: ``Brewer's Blackbird``."""
    plain = name.partition(".")[2].replace("_", " ")
    return NAMES.get(plain, plain)


def _box(line: str | None) -> tuple[float, float, float, float] | None:
    if line is None:
        return None
    x, y, width, height = (float(v) for v in line.split())
    return x, y, x + width, y + height
