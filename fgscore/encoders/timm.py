"""Models of pictures of the library timm, with its own transforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from fgscore import specs
from fgscore.encoders import _one_pass, _trial
from fgscore.encoders._dry import check_size, shapes_only, silent, square
from fgscore.encoders._frozen import Frozen
from fgscore.encoders._looks import Inputs, Transformed
from fgscore.encoders._one_pass import Member, Regions, Start, Tiles, Together
from fgscore.errors import BadParameter, MissingWeights, guess, missing_extra
from fgscore.pretrained import checkpoint, fit, published
from fgscore.pretrained.hub import Repository
from fgscore.runtime import Runtime
from fgscore.weights import read

if TYPE_CHECKING:
    import torch

LAYOUT = checkpoint.Layout(
    "timm", "timm's layout", (checkpoint.CONFIG,), parted=False, writer="timm.models.save_for_hf"
)
HUB = "hf-hub:"  # as timm itself writes an id of the hub


def timm(
    runtime: Runtime,
    /,
    *,
    model: Annotated[str, specs.StoredAs(published.stored_name)] = "vit_base_patch16_dinov3.lvd1689m",
    pretrained: Annotated[str, specs.StoredAs(published.stored_file)] = "",
    revision: str | None = None,
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32",
    size: Annotated[int, Ge(1)] | None = None,
    regions: Regions = "crops",
    start: Start = 0,
    member: Member = "soft",
    tiles: Tiles = 1,
) -> Timm:
    """A model of pictures of the library timm, frozen, with its own transforms. It reads no text.

    ``model`` is timm's name of an architecture, perhaps with the tag of its weights, an id of the hub, or a local
    folder in timm's layout. ``pretrained`` is that tag, or a file of weights; '' is timm's own choice. The embedding is
    what timm's classifier would be given. ``size`` in pixels is another than the weights' own.
    """
    return Timm(runtime, model, pretrained, revision, dtype, size, _one_pass.asked(regions, start, member, tiles))


class Timm(Frozen):
    """See :func:`timm`. Raises as :class:`Frozen`, and :class:`BadParameter` for a name that timm does not know."""

    needs = ("torch", "torchvision", "timm", "PIL")
    drives = "an encoder of pictures"
    logit_scale = 1.0  # it reads no text

    def __init__(
        self,
        runtime: Runtime,
        model: str,
        pretrained: str,
        revision: str | None,
        dtype: str,
        size: int | None,
        together: Together | None = None,
    ) -> None:
        named = {k: v for k, v in (("model", model), ("pretrained", pretrained), ("revision", revision)) if v}
        super().__init__(runtime, model.removeprefix(HUB), revision, LAYOUT, specs.text("timm", named), dtype, together)
        self._pretrained, self._asked_size = pretrained, size
        self._file = Path(pretrained).expanduser() if pretrained and published.is_file(pretrained) else None
        if pretrained and not self._is_architecture:
            raise BadParameter(f"{model} has its own weights, and no pretrained={pretrained!r}; leave that out")
        self.depends = {"globals": ("model", "pretrained", "revision", "dtype", "size", "fit")}

    @property
    def _is_architecture(self) -> bool:
        return not published.is_local(self._name) and "/" not in self._name

    @cached_property
    def _repository(self) -> Repository | None:
        if self._file or published.is_local(self._name):
            return None
        identity = self._published_as() if self._is_architecture else self._name
        return Repository(identity, self._revision, LAYOUT, self._text)

    def _published_as(self) -> str:
        """The id of the hub that timm has for an architecture and a tag."""
        library = _library()
        name = f"{self._name.partition('.')[0]}.{self._pretrained}" if self._pretrained else self._name
        if not library.is_model(self._name):
            raise BadParameter(f"timm has no model {self._name!r}; {guess(self._name, library.list_models())}")
        try:
            settings = library.get_pretrained_cfg(name)
        except RuntimeError:
            settings = None
        if settings is None or not settings.hf_hub_id:
            tags = ", ".join(library.list_pretrained(f"{self._name.partition('.')[0]}.*")) or "none"
            raise BadParameter(f"timm has no weights {name!r} on the hub, but {tags}; or name a file: pretrained=FILE")
        return str(settings.hf_hub_id)

    def check(self) -> None:
        """Whether weights are there and fit, by their headers: nothing is computed."""
        with shapes_only():
            model = self._made(self.place)
        self._at_once(model)
        if self._asked_size:
            check_size(lambda inputs: model(inputs["pixel_values"]), square(self._asked_size), self._text)

    def _outline(self) -> tuple[Callable[[Inputs], Any], Inputs]:
        with shapes_only():
            model = self._made(self.place).eval()
        size = _library().data.resolve_model_data_config(model, args=self._sized)["input_size"][-1]
        return (lambda inputs: model(inputs["pixel_values"])), square(size)

    @property
    def _sized(self) -> dict[str, int]:
        return {"img_size": self._asked_size} if self._asked_size else {}

    def _open(self, place: Path) -> tuple[Any, Transformed]:
        with silent():
            model = self._made(place).to(self._dtype)
        data = _library().data
        settings = data.resolve_model_data_config(model, args=self._sized)
        transform = data.create_transform(**settings, is_training=False)
        return model, Transformed(transform, settings["input_size"][-1], settings["mean"])

    def _made(self, place: Path) -> Any:
        """The model at ``place`` with its weights, and without its classifier."""
        library, file = _library(), self.weight_file
        read(file)  # says what is wrong with the file
        try:
            settings = self._settings(place, library)
            classes = _classes(file, settings)
            overlay = {"file": str(file), "source": "", "custom_load": False, "num_classes": classes}
            sized = {"img_size": self._asked_size} if self._asked_size and settings.get("fixed_input_size") else {}
            name = f"local-dir:{place}" if place.is_dir() else self._name
            model = library.create_model(
                name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay, **sized
            )
            model.reset_classifier(0)
        except (MissingWeights, BadParameter):
            raise
        except Exception as error:  # whatever a configuration or a size may lead to
            way_out = "; leave size out" if self._asked_size else "; name another file or model"
            raise MissingWeights(f"expected weights of {self._name} in {file}: {fit.said(error)}{way_out}") from error
        return model

    def _settings(self, place: Path, library: Any) -> dict[str, Any]:
        """What timm has to say of the weights at ``place``."""
        if place.is_dir():
            from timm.models._hub import load_model_config_from_path

            return dict(load_model_config_from_path(place)[0])
        if not library.is_model(self._name):
            raise BadParameter(f"timm has no model {self._name!r}; {guess(self._name, library.list_models())}")
        settings = library.get_pretrained_cfg(self._name)
        return settings.to_dict() if settings else {}

    def _features(self, inputs: Inputs) -> torch.Tensor:
        found: torch.Tensor = self._model(inputs["pixel_values"])
        return found

    def _try(self, folder: Path) -> int:
        return _trial.of_pictures(self.embed_images, folder)


def _library() -> Any:
    try:
        import timm
        import timm.data
    except ImportError as error:
        raise missing_extra("timm", "the encoder 'timm'", "timm") from error
    return timm


def _classes(file: Path, settings: Mapping[str, Any]) -> int:
    """How many classes the classifier in ``file`` has, 0 without one."""
    from timm.models import load_state_dict

    named = settings.get("classifier") or ()
    names = [f"{name}.weight" for name in ((named,) if isinstance(named, str) else named)]
    state = load_state_dict(str(file), weights_only=True)
    return next((len(state[name]) for name in names if name in state), 0)
