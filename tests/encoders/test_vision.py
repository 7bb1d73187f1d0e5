"""Models of pictures alone of transformers are embedded as transformers itself does."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import layouts  # noqa: E402
import loaded  # noqa: E402
import pictures  # noqa: E402
import spoilt  # noqa: E402
from PIL import Image  # noqa: E402

from fgscore import contract  # noqa: E402
from fgscore.encoders import EncoderMaker  # noqa: E402
from fgscore.errors import BadParameter, MissingWeights  # noqa: E402
from fgscore.types import Runs  # noqa: E402

PICTURES = loaded.noise()
PATCHES = (pictures.SIDE // 8) ** 2
every = pytest.mark.parametrize("name", pictures.VISION)


def load(folder, **params):
    return loaded.encoder("vision", model=str(folder), **params)


@every
def test_the_class_token_is_the_librarys(name, made):
    folder = made(pictures.VISION[name])
    loaded.assert_alike(load(folder).embed_images(PICTURES), pictures.by_transformers(folder, PICTURES)[:, 0])


@every
def test_the_mean_is_of_the_patches_alone(name, made):
    folder = made(pictures.VISION[name])
    tokens = pictures.by_transformers(folder, PICTURES)[:, -PATCHES:]
    loaded.assert_alike(load(folder, pool="mean").embed_images(PICTURES), tokens.mean(axis=1))


@every
def test_it_keeps_to_the_laws_of_encoders(name, made):
    maker = EncoderMaker.bind(f"vision(model='{made(pictures.VISION[name])}')")
    assert not [verdict for verdict in contract.check(maker) if verdict.counterexample]
    assert not maker.make(loaded.CPU).reads_text


def test_a_model_of_cells_has_a_mean_and_no_class_token(made):
    folder = made(pictures.resnet)
    cells = pictures.by_transformers(folder, PICTURES)
    loaded.assert_alike(load(folder, pool="mean").embed_images(PICTURES), cells.mean(axis=(2, 3)))
    with pytest.raises(BadParameter, match="resnet.*pool='mean'"):
        load(folder)


def test_masked_regions_are_the_librarys_on_a_blackened_crop(made):
    folder, image, box = made(pictures.dinov2), PICTURES[0], (5, 10, 65, 45)
    mask = np.zeros(image.shape[:2], bool)
    mask[15:40, 20:50] = True
    black = np.where(mask[..., None], image, 0)
    crop = np.asarray(Image.fromarray(black).crop(box))
    ours = loaded.regions(load(folder), [(image, box, mask)])
    loaded.assert_alike(ours, pictures.by_transformers(folder, [crop])[:, 0])
    assert isinstance(loaded.runs_of(mask), Runs)


@pytest.mark.parametrize("size", [24, 64])
def test_another_size_interpolates_positions_as_the_library_does(size, made):
    folder = made(pictures.vit)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    square = {"height": size, "width": size}
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", size=square)
    inputs = processor(images=[Image.fromarray(one) for one in PICTURES], return_tensors="pt")
    with torch.no_grad():
        theirs = model(**inputs, interpolate_pos_encoding=True).last_hidden_state[:, 0].numpy()
    ours = load(folder, size=size)
    loaded.assert_alike(ours.embed_images(PICTURES), theirs)
    assert ours.size == size


@pytest.mark.parametrize("name", ["dinov2", "dinov3", "vit"])
@pytest.mark.parametrize("beginning", ["embeddings.cls_token", "embeddings.patch_embeddings", "layer", "norm"])
def test_missing_weights_are_refused_and_named(name, beginning, made, tmp_path):
    folder = made(pictures.VISION[name], anew=True)
    names = [key for key in spoilt.load_file(folder / "model.safetensors") if beginning in key]
    spoilt.without(folder, names[0])
    for call in ("check", "load"):
        with pytest.raises(MissingWeights, match="missing") as caught:
            getattr(EncoderMaker.bind(f"vision(model='{folder}')").make(loaded.CPU), call)()
        assert names[0] in str(caught.value)


def test_a_mask_token_that_is_never_used_may_be_missing(made):
    folder = made(pictures.dinov2, anew=True)
    load(spoilt.without(folder, "embeddings.mask_token"))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (layouts.clip_safetensors, r"CLIPModel.*clip\(model"),
        (spoilt.vision_only, r"one tower.*clip\(model"),
        (spoilt.timm_config, r"preprocessor_config|timm"),
        (spoilt.open_clip_only, r"open_clip\(model"),
        (spoilt.fgclip2, r"fgclip2.*code"),
    ],
)
def test_other_models_are_refused_by_a_sentence(make, match, made):
    folder = made(make)
    with pytest.raises(MissingWeights, match=match) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert not spoilt.ran(folder).exists()


def test_a_model_that_masks_patches_at_random_is_refused(made):
    def mae(path):
        small = {"decoder_hidden_size": 16, "decoder_num_attention_heads": 2, "decoder_num_hidden_layers": 1}
        return pictures.vit_like(path, "vit_mae", small)

    with pytest.raises(MissingWeights, match="each time"):
        load(made(mae))
