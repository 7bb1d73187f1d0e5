"""How a run is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fgscore.errors import UsageError

IMPLEMENTATIONS = ("exact", "upstream")


@dataclass(frozen=True)
class Runtime:
    """How a run is carried out; never part of a recipe.

    ``models`` is the folder of local weights, ``offline`` forbids any look-up on a model hub. ``implementation`` is
    'exact', our own code where there is some, or 'upstream', the libraries' code that it is tested against; raises
    :class:`UsageError` for another. ``batch_size`` and ``workers`` of 0 are chosen for the device; ``profile``
    has a GPU waited for after each step, so that its time is told apart.
    """

    models: Path = Path("data/models")
    device: str = "auto"
    batch_size: int = 0
    workers: int = 0
    offline: bool = False
    implementation: str = "exact"
    profile: bool = False

    def __post_init__(self) -> None:
        if self.implementation not in IMPLEMENTATIONS:
            wanted = " or ".join(IMPLEMENTATIONS)
            raise UsageError(f"expected the implementation {wanted}, found {self.implementation!r}")

    def torch_device(self) -> str:
        """The device by torch's name: 'auto' is a GPU where there is one. Raises :class:`UsageError` for one that is
        not there."""
        import torch

        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(f"--device {self.device}: not usable here ({reason}); try --device auto") from error
        return self.device
