"""Models in the layouts in which they are published are embedded as transformers itself does."""

from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import layouts  # noqa: E402
import loaded  # noqa: E402

from fgscore import specs  # noqa: E402
from fgscore.encoders import clip  # noqa: E402
from fgscore.regular import file_sha256  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

CPU = Runtime(device="cpu", offline=True)
UPSTREAM = Runtime(device="cpu", offline=True, implementation="upstream")
SAFE, PICKLE, SHARDS, PICKLES = layouts.SAFE, layouts.PICKLE, layouts.SHARDS, layouts.PICKLES
TEXTS = ["a photo of a bird,", "A Photo of the blue-crowned BIRD!", "", "bird " * 90 + "car", "Car", "car", "the car"]


PICTURES = loaded.noise()


@pytest.fixture(scope="module")
def embedded(published):
    """``embedded(name)``: PICTURES and TEXTS by the library itself, and our encoder, each made once."""

    @cache
    def get(name):
        return layouts.direct(published(name), PICTURES, TEXTS), load(published(name))

    return get


def load(folder, runtime=UPSTREAM):
    return loaded.encoder("clip", runtime, model=str(folder))


# -- as the library itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_embedded_as_transformers_does(name, embedded, published):
    theirs, ours = embedded(name)
    loaded.assert_alike(ours.embed_images(PICTURES), theirs.images, 0.99999)
    loaded.assert_alike(ours.embed_texts(TEXTS), theirs.texts, 0.99999)
    assert ours.logit_scale == pytest.approx(theirs.scale)
    assert ours.dim == theirs.images.shape[1]
    loaded.assert_alike(load(published(name), CPU).embed_images(PICTURES), theirs.images, 0.9999)


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_a_text_does_not_depend_on_those_beside_it(name, embedded):
    theirs, ours = embedded(name)
    loaded.assert_alike(np.concatenate([ours.embed_texts([text]) for text in TEXTS]), theirs.texts, 0.99999)


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_the_layouts_tell_texts_and_pictures_apart(name, embedded):
    """Else embeddings would agree whatever went wrong."""
    theirs, _ = embedded(name)
    for rows in (theirs.images, theirs.texts[:5]):
        rows = rows[rows.any(axis=1)]  # tipsv2 has nothing to say of an empty text
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        assert (unit @ unit.T)[np.triu_indices(len(unit), 1)].max() < 0.9999


def test_nothing_goes_to_standard_output_where_results_belong(published, capfd):
    load(published(PICKLE))
    assert capfd.readouterr().out == ""


def test_weights_are_the_same_in_every_container(published):
    rows = [load(published(name)).embed_texts(TEXTS) for name in (SAFE, PICKLE, SHARDS, PICKLES)]
    for other in rows[1:]:
        np.testing.assert_array_equal(rows[0], other)


def test_capitals_are_lowered_where_siglip_2_was_trained_so(published):
    car, same = load(published("siglip 2, a fixed size")).embed_texts(["Car", "car"])
    np.testing.assert_array_equal(car, same)
    car, other = load(published("metaclip 2")).embed_texts(["Car", "car"])  # which was trained on both
    assert not np.allclose(car, other, atol=1e-3)


def test_shards_named_as_pickles_need_no_index(tmp_path, embedded):
    """transformers itself finds no weights there."""
    folder = layouts.big_g(tmp_path / "model", index=False, pickles=False)
    theirs, ours = embedded("laion bigG, with an index")[0], load(folder)
    loaded.assert_alike(ours.embed_images(PICTURES), theirs.images, 0.99999)
    loaded.assert_alike(ours.embed_texts(TEXTS), theirs.texts, 0.99999)


# -- identity ---------------------------------------------------------------------------------------------------------


def digest(folder):
    return clip.clip(CPU, model=str(folder)).weights()


@pytest.mark.parametrize("name", ["openai L/14, both containers", "laion, with open_clip's copy", "shards", "siglip"])
def test_folders_with_safetensors_keep_their_identity(name, published):
    """As every store of before has it: all of these files, and no pickle."""
    folder = published(name)
    files = {path for ending in ("safetensors", "json", "txt", "model") for path in folder.glob(f"*.{ending}")}
    assert digest(folder) == specs.digest({path.name: file_sha256(path) for path in sorted(files)})


@pytest.mark.parametrize("name", [PICKLE, PICKLES])
def test_pickles_are_the_identity_of_a_folder_without_safetensors(name, copied):
    folder = copied(name)
    before = digest(folder)
    for path in folder.glob("*.bin"):
        state = torch.load(path, weights_only=True)
        torch.save({name: value + 1 for name, value in state.items()}, path)
        break
    assert digest(folder) != before
