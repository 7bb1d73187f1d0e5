"""What the study is made of: the drawn set, the regions, the heads, the draws and the seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fgscore.datasets import DataSet

N = 16  # regions an image, at most, of crops and masks alike
AREA_MIN, AREA_MAX = 0.004, 0.5  # of the image: one range for both generators, as the paper has it (section 3.2)
AREA = f"area_min={AREA_MIN}, area_max={AREA_MAX}"
CROPS = f"random_crop(n={N}, {AREA}, seed={{seed}})"
MASKS = f"sam(checkpoint='demo', n={N}, {AREA}, points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.6)"
ELSEWHERE = "matched(to=sam, seed={seed})"  # as many as the masks of an image and as large, elsewhere
TEN_CROP = "ten_crop"
ENCODER = "clip(model='demo', outside='black')"
PROMPT = "plain"  # the paper's own sentence
HEADS = ("logreg", "adamw")
APART = 1000  # between the seeds of one run of the study and those of the next
NUMBERS = ("train", "test", "draws", "head_seeds", "wide_test")  # that a run may have others of


@dataclass(frozen=True)
class Settings:
    """One run of the study: ``train`` and ``test`` images a kind, ``draws`` of crops, ``head_seeds`` for each, from
    ``seed`` on; ``data`` is the folder of the stores, ``out`` that of the page. ``wide_test``: test images a kind of
    500 x 375 pixels, which the study of one pass has too."""

    data: Path
    out: Path
    seed: int = 0
    train: int = 20
    test: int = 100
    draws: int = 3
    wide_test: int = 50
    head_seeds: int = 3

    def command(self, target: str) -> str:
        """The call of make that runs it."""
        own = {name: value for name, value in vars(self).items() if name in NUMBERS}
        args = [f"{option(name)} {value}" for name, value in own.items() if value != vars(Settings)[name]]
        given = [f"SEED={self.seed}"] * bool(self.seed) + [f"ARGS='{' '.join(args)}'"] * bool(args)
        return " ".join(["make", target, *given])

    @property
    def dataset(self) -> str:
        """The drawn set as commands take it."""
        return f"demo(train={self.train}, test={self.test})"

    @property
    def first(self) -> int:
        """The first seed, of crops and heads, of this run: no other run shares any."""
        return APART * self.seed

    @property
    def drawn(self) -> Path:
        """The data folder of what no seed decides, which all runs share."""
        return self.data / "drawn"

    @property
    def photos(self) -> Path:
        """Where the drawings lie."""
        return self.photos_of(self.dataset)

    def photos_of(self, dataset: str) -> Path:
        """Where those of a drawn set lie."""
        return self.drawn / "raw" / DataSet.bind(dataset).key

    @property
    def store(self) -> Path:
        """The data folder of this run."""
        return self.data / f"seed-{self.seed}"

    @property
    def crops(self) -> list[str]:
        """The draws of crops, each with a seed of its own."""
        return [CROPS.format(seed=self.first + draw) for draw in range(self.draws)]

    @property
    def elsewhere(self) -> list[str]:
        """As many draws of what is matched to the masks."""
        return [ELSEWHERE.format(seed=self.first + draw) for draw in range(self.draws)]

    @property
    def repeats(self) -> list[str]:
        """What makes a sweep use this run's draws and seeds."""
        seeds = ["--seed", str(self.first), "--head-seeds", str(self.head_seeds)]
        return ["--draws", str(self.draws), *(seeds if self.head_seeds > 1 else seeds[:2])]


def option(name: str) -> str:
    """How a field of :class:`Settings` is written at the command line."""
    return f"--{name.replace('_', '-')}"


def repeated(option: str, values: list[str] | tuple[str, ...]) -> list[str]:
    """``--head logreg --head adamw`` of two values."""
    return [word for value in values for word in (option, value)]
