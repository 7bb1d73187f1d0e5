"""Regions by one pass: a region that is all of its image is that image, and any other what a plain loop makes of it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("timm")
pytest.importorskip("open_clip")
pytest.importorskip("sentencepiece")

import layouts  # noqa: E402
import loaded  # noqa: E402
import pictures  # noqa: E402
from PIL import Image  # noqa: E402

from fgscore import contract  # noqa: E402
from fgscore.encoders import EncoderMaker, ImageRegions  # noqa: E402
from fgscore.encoders._one_pass import copies  # noqa: E402
from fgscore.errors import BadParameter  # noqa: E402
from fgscore.extract.parts import EncoderPart  # noqa: E402
from fgscore.store.match import same_model  # noqa: E402

SIDE, PATCH, GRID = pictures.SIDE, 8, pictures.SIDE // 8
SMALL = {"img_size": SIDE, "patch_size": PATCH, "embed_dim": 24, "depth": 2, "num_heads": 2}


def by_timm(architecture, **more):
    def make(path):
        return pictures.timm_model(path, architecture, **{**SMALL, **more})

    make.__name__ = architecture
    return make


siglip_of_timm = by_timm("vit_base_patch16_siglip_224")
pe_of_timm = by_timm("vit_pe_core_base_patch16_224")
dinov3_of_timm = by_timm("vit_small_patch16_dinov3")
rope_of_timm = by_timm("vit_base_patch16_rope_224")
ACCEPTED = [
    *[("clip", layouts.LAYOUTS[name], {}) for name in (
        "openai, safetensors", "metaclip 2", "siglip", "siglip 2, a fixed size", "tipsv2", "chinese-clip")],
    ("clip", layouts.clip_safetensors, {"size": 64}),
    ("clip", layouts.clip_safetensors, {"start": 1, "tiles": 2, "member": 0.3}),
    *[("vision", make, {}) for make in pictures.VISION.values()],
    ("vision", pictures.dinov2_registers, {"pool": "mean"}),
    ("vision", pictures.vit, {"pool": "mean"}),
    *[("timm", make, {}) for make in (
        pictures.timm_model, siglip_of_timm, pe_of_timm, dinov3_of_timm, rope_of_timm,
        by_timm("vit_base_patch16_rope_reg1_gap_256"), by_timm("vit_medium_patch16_reg4_gap_256"))],
    *[("open_clip", pictures.OPEN_CLIP[name], {}) for name in ("laion", "EVA", "PE-Core", "SigLIP 2")],
]  # fmt: skip


def name_of(value):
    named = value if callable(value) else None
    return getattr(named, "__name__", None) or (str(named.func.__name__) if named else str(value))


def one_pass(kind, folder, **params):
    return loaded.encoder(kind, model=str(folder), regions="one_pass", **params)


def rows_of(encoder, image, boxes, masks=None):
    runs = None if masks is None else [loaded.runs_of(mask) for mask in masks]
    given = [ImageRegions(image, np.array(boxes, np.int32).reshape(-1, 4), runs)]
    return np.concatenate([np.zeros((0, encoder.dim)), *encoder.embed_regions(given)])


def noise(width=SIDE, height=SIDE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def cosines(a, b):
    a, b = np.float64(a), np.float64(b)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize(("kind", "make", "params"), ACCEPTED, ids=name_of)
def test_a_region_that_is_all_of_its_image_is_the_image(kind, make, params, made):
    encoder, given = one_pass(kind, made(make), **params), [noise(90, 50), noise(33, 70, 1)]
    found = np.concatenate([rows_of(encoder, one, [[0, 0, *one.shape[1::-1]], [1, 2, 20, 30]]) for one in given])
    assert cosines(found[::2], encoder.embed_images(given)).min() >= 0.999999
    assert cosines(found[1::2], found[::2]).max() < 0.9999, "a part is another thing"


# -- against a plain loop ---------------------------------------------------------------------------------------------

BOXES = {
    "all": (0, 0, 32, 32),
    "exactly one patch": (8, 16, 16, 24),
    "parts of patches": (3, 5, 22, 29),
    "less than a patch": (9, 9, 12, 14),
    "two halves of a patch": (12, 0, 20, 8),
    "a column": (31, 0, 32, 32),
}


def shares_of(box):
    """(16,): how much of each patch of the 32 x 32 picture a box covers, by counting pixels."""
    mask = np.zeros((SIDE, SIDE))
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return mask.reshape(GRID, PATCH, GRID, PATCH).mean(axis=(1, 3)).ravel()


def logarithms(share, member):
    """What is added to the logits of the patches."""
    if member != "soft":
        share = share >= member if (share >= member).any() else np.arange(len(share)) == share.argmax()
    with np.errstate(divide="ignore"):
        return torch.from_numpy(np.log(np.float64(share)))


def mask_of(added, tokens, registers=0):
    """(T + 1, T + 1): a copy before all tokens, which sees itself, registers and patches; nothing sees it."""
    mask = torch.zeros(tokens + 1, tokens + 1, dtype=torch.float64)
    mask[1:, 0] = -torch.inf
    mask[0, 1] = -torch.inf
    mask[0, 2 + registers :] = added
    return mask


def plain_clip(model, pixels, added, start):
    """(d,): the copy of one region, with CLIP's layers written out in float64 and an explicit mask."""
    vision = model.vision_model
    tokens = vision.pre_layrnorm(vision.embeddings(pixels))[0]
    heads = vision.config.num_attention_heads
    for number, layer in enumerate(vision.encoder.layers):
        if number == start:
            tokens = torch.cat([tokens[:1], tokens])
        one, of = layer.layer_norm1(tokens), layer.self_attn
        q, k, v = (x(one).view(len(one), heads, -1).transpose(0, 1) for x in (of.q_proj, of.k_proj, of.v_proj))
        logits = q @ k.transpose(1, 2) / np.sqrt(q.shape[-1])
        if number >= start:
            logits = logits + mask_of(added, len(tokens) - 1)
        seen = (logits.softmax(-1) @ v).transpose(0, 1).reshape(len(one), -1)
        tokens = tokens + of.out_proj(seen)
        tokens = tokens + layer.mlp(layer.layer_norm2(tokens))
    return model.visual_projection(vision.post_layernorm(tokens[:1]))[0]


@pytest.mark.parametrize("member", ["soft", 0.5, 1.0])
@pytest.mark.parametrize("start", [0, 1])
def test_each_region_is_that_of_a_plain_loop(start, member, made):
    folder, image = made(layouts.clip_safetensors), noise()
    encoder = one_pass("clip", folder, start=start, member=member)
    ours = rows_of(encoder, image, list(BOXES.values()))
    model = transformers.CLIPModel.from_pretrained(folder).double().eval()
    pixels = encoder._inputs([image])["pixel_values"].double()
    with torch.no_grad():
        plain = [plain_clip(model, pixels, logarithms(shares_of(box), member), start) for box in BOXES.values()]
    loaded.assert_alike(ours, torch.stack(plain).numpy(), 0.99999)


def by_masks(layers, tokens, added, registers=0, **more):
    """(1, d): the copy of one region, by the library's own layers and masks."""
    with_copy = torch.cat([tokens[:, :1], tokens], dim=1)
    mask = mask_of(added, tokens.shape[1], registers)[None, None]
    for layer in layers:
        with_copy = layer(with_copy, mask, **more)
    return with_copy[:, :1]


def plain_dinov3(folder, pixels, added):
    model = transformers.AutoModel.from_pretrained(folder).double().eval()
    more = {"position_embeddings": model.rope_embeddings(pixels)}
    registers = model.config.num_register_tokens
    return model.norm(by_masks(model.model.layer, model.embeddings(pixels), added, registers, **more))[:, 0]


def plain_dinov2(folder, pixels, added):
    model = transformers.AutoModel.from_pretrained(folder).double().eval()
    registers = getattr(model.config, "num_register_tokens", 0)
    return model.layernorm(by_masks(model.encoder.layer, model.embeddings(pixels), added, registers))[:, 0]


def plain_siglip(folder, pixels, added):
    model = transformers.AutoModel.from_pretrained(folder).double().eval().vision_model
    tokens, head = model(pixels).last_hidden_state, model.head
    seen = head.attention(head.probe, tokens, tokens, attn_mask=added[None])[0]
    return (seen + head.mlp(head.layernorm(seen)))[:, 0]


def of_timm(folder):
    import timm

    return timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).double().eval()


def plain_timm(folder, pixels, added):
    model = of_timm(folder)
    tokens = model.norm_pre(model._pos_embed(model.patch_embed(pixels)))
    return model.norm(by_masks(model.blocks, tokens, added, model.num_prefix_tokens - 1))[:, 0]


def plain_rope(folder, pixels, added):
    model = of_timm(folder)
    tokens, rope = model._pos_embed(model.patch_embed(pixels))
    for block in model.blocks:
        block.attn.num_prefix_tokens += 1
    mask = mask_of(added, tokens.shape[1], model.num_prefix_tokens - 1)[None, None]
    tokens = torch.cat([tokens[:, :1], tokens], dim=1)
    for number, block in enumerate(model.blocks):
        tokens = block(tokens, rope=rope[number] if model.rope_mixed else rope, attn_mask=mask)
    return model.fc_norm(model.norm(tokens))[:, 0]


def plain_pool(folder, pixels, added):
    """SigLIP's layers see everything, and its pool the region."""
    model = of_timm(folder)
    return model.fc_norm(model.attn_pool(model.forward_features(pixels), attn_mask=added[None]))


def plain_open_clip(folder, pixels, added):
    import open_clip

    model = open_clip.create_model(f"local-dir:{folder}").visual.double().eval()
    tokens = model._embeds(pixels)
    mask = mask_of(added, tokens.shape[1])
    with_copy = torch.cat([tokens[:, :1], tokens], dim=1)
    for block in model.transformer.resblocks:
        with_copy = block(with_copy, attn_mask=mask)
    return model.ln_post(with_copy[:, 0]) @ model.proj


@pytest.mark.parametrize(
    ("kind", "make", "plain"),
    [
        ("clip", layouts.siglip1, plain_siglip),
        ("vision", pictures.dinov2, plain_dinov2),
        ("vision", pictures.dinov2_registers, plain_dinov2),
        ("vision", pictures.dinov3, plain_dinov3),
        ("timm", by_timm("vit_base_patch16_clip_224"), plain_timm),
        ("timm", rope_of_timm, plain_rope),
        ("timm", siglip_of_timm, plain_pool),
        ("open_clip", pictures.laion, plain_open_clip),
    ],
    ids=name_of,
)
def test_every_family_is_as_its_library_has_it_by_masks(kind, make, plain, made):
    folder, image = made(make), noise()
    encoder = one_pass(kind, folder, fit="squash")
    pixels = encoder._inputs([image])["pixel_values"].double()
    place = encoder._one_pass._grid.over(SIDE, SIDE)
    boxes = list(BOXES.values())
    shares = ImageRegions(image, np.array(boxes, np.int32)).cover(GRID, GRID, place).reshape(len(boxes), -1)
    seen = shares.any(axis=1)  # of pictures whose edges are cut
    with torch.no_grad():
        wanted = [plain(folder, pixels, logarithms(share, "soft"))[0] for share in shares[seen]]
    loaded.assert_alike(rows_of(encoder, image, boxes)[seen], torch.stack(wanted).numpy(), 0.99999)


def test_a_region_of_a_mean_is_the_mean_of_its_patches(made):
    folder, image = made(pictures.dinov3), noise()
    encoder = one_pass("vision", folder, pool="mean", fit="squash")
    tokens = pictures.by_transformers(folder, [image])[0, -GRID * GRID :]
    shares = np.stack([shares_of(box) for box in BOXES.values()])
    means = shares @ tokens / shares.sum(axis=1, keepdims=True)
    loaded.assert_alike(rows_of(encoder, image, list(BOXES.values())), np.float32(means), 0.9999)


# -- laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "make"),
    [("clip", layouts.clip_safetensors), ("clip", layouts.siglip1), ("timm", pe_of_timm), ("vision", pictures.dinov3)],
    ids=name_of,
)
def test_no_region_changes_another(kind, make, made):
    encoder, rng = one_pass(kind, made(make)), np.random.default_rng(0)
    corners = np.sort(rng.integers(0, SIDE + 1, (40, 2, 2)), axis=1)
    boxes = np.concatenate([corners[:, 0], np.maximum(corners[:, 1], corners[:, 0] + 1)], axis=1)
    boxes = np.clip(boxes, 0, SIDE)[(np.minimum(boxes[:, 2:], SIDE) > boxes[:, :2]).all(axis=1)]
    together = rows_of(encoder, noise(), boxes)
    alone = np.concatenate([rows_of(encoder, noise(), [box]) for box in boxes])
    np.testing.assert_allclose(together, alone, atol=1e-6 * np.abs(alone).max(), rtol=1e-5)


def test_images_with_many_few_and_no_regions_share_batches(made, monkeypatch):
    """Also where few copies attend at one time, and fewer pictures than regions fit into a batch."""
    folder, rng = made(layouts.clip_safetensors), np.random.default_rng(0)
    counts = [3, 0, 1, 70, 2, 2, 0]
    given = []
    for i, n in enumerate(counts):
        start = rng.integers(0, 20, (n, 2))
        given.append(ImageRegions(noise(seed=i), np.concatenate([start, start + rng.integers(1, 12, (n, 2))], axis=1)))
    encoder = one_pass("clip", folder)
    alone = np.concatenate([rows_of(encoder, one.image, one.boxes_xyxy) for one in given])
    for size, logits in ((64, copies.LOGITS), (2, copies.LOGITS), (64, 1), (3, 500)):
        encoder.batches.size = size
        monkeypatch.setattr(copies, "LOGITS", logits)
        found = np.concatenate(list(encoder.embed_regions(given)))
        np.testing.assert_allclose(found, alone, atol=1e-6 * np.abs(alone).max(), rtol=1e-5)


@pytest.mark.parametrize(
    "text",
    ["clip(model='{}', regions=one_pass)", "clip(model='{}', regions=one_pass, start=1, member=0.5, tiles=2, fit=pad)"],
)
def test_it_keeps_to_the_laws_of_encoders(text, made):
    maker = EncoderMaker.bind(text.format(made(layouts.clip_safetensors)))
    broken = [verdict for verdict in contract.check(maker) if verdict.counterexample]
    assert not broken


def test_images_and_texts_are_those_of_the_encoder_of_crops(made):
    folder = made(layouts.clip_safetensors)
    crops, together = loaded.encoder("clip", model=str(folder)), one_pass("clip", folder)
    np.testing.assert_array_equal(together.embed_images([noise(50, 40)]), crops.embed_images([noise(50, 40)]))
    np.testing.assert_array_equal(together.embed_texts(["a crow"]), crops.embed_texts(["a crow"]))


def test_embeddings_of_images_are_shared_and_go_with_those_of_regions(made):
    """In the store too, whatever is asked of regions; another size makes another of both."""
    folder = made(layouts.clip_safetensors)
    plain, one, other = (
        EncoderPart(f"clip(model='{folder}'{more})", loaded.CPU)
        for more in ("", ", regions=one_pass, start=1, tiles=2", ", regions=one_pass, size=64")
    )
    images = {"images": "0" * 64}
    wholes = [part.recipe("globals", images) for part in (plain, one, other)]
    parts = [part.recipe("region_embeddings", {**images, "regions": "1" * 64}) for part in (plain, one, other)]
    assert wholes[0].digest == wholes[1].digest != wholes[2].digest
    assert len({recipe.digest for recipe in parts}) == 3
    goes = [[same_model(whole, part) for part in parts] for whole in (wholes[0], wholes[2])]
    assert goes == [[True, True, False], [False, False, True]]


def test_how_many_regions_are_not_seen_is_said_and_kept(run, tmp_path, made):
    for seed, place in enumerate(("train/crow", "train/jay", "test/crow", "test/jay")):
        folder = tmp_path / "wide" / place
        folder.mkdir(parents=True)
        Image.fromarray(noise(4 * SIDE, SIDE, seed)).save(folder / "1.png")
    encoder = f"clip(model='{made(layouts.clip_safetensors)}', regions=one_pass)"
    args = ("--root", tmp_path / "wide", "--encoder", encoder, "--regions", "grid(rows=1, cols=8)")
    for _ in range(2):  # made, and found again
        done = run("extract", "folder", *args)
        assert done.code == 0, done.err
        assert "24 of 32 regions lie outside of what its model sees" in done.out
        assert max(map(len, done.out[done.out.index("24 of 32") :].splitlines()[:2])) <= 80
    squashed = run("extract", "folder", *args[:3], encoder.replace(")", ", fit=squash)"), *args[4:])
    assert squashed.code == 0 and "lie outside" not in squashed.out


def test_half_precision_is_near(made):
    folder, boxes = made(layouts.clip_safetensors), list(BOXES.values())
    wanted = rows_of(one_pass("clip", folder), noise(), boxes)
    found = rows_of(one_pass("clip", folder, dtype="bf16"), noise(), boxes)
    assert cosines(found, wanted).min() > 0.999


# -- what has none ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "make", "params", "said"),
    [
        ("clip", layouts.naflex, {}, "no layers of attention to patches; leave regions out"),
        ("timm", by_timm("beit_base_patch16_224"), {}, "masked already"),
        ("timm", by_timm("deit_tiny_distilled_patch16_224"), {}, "has no regions='one_pass'"),
        ("timm", by_timm("cait_xxs24_224"), {}, "do not call torch's own attention"),
        ("vision", pictures.resnet, {"pool": "mean"}, "no layers of attention to patches; leave regions out"),
        ("open_clip", pictures.mobileclip2, {}, "no layers of attention to patches; leave regions out"),
        (
            "clip",
            layouts.siglip1,
            {"start": 1},
            "start=1 says when a class token is copied, and it has none; leave start out",
        ),
        (
            "vision",
            pictures.vit,
            {"pool": "mean", "start": 1},
            "start=1 says .* it ends in a mean of its patches; leave start out",
        ),
        (
            "clip",
            layouts.clip_safetensors,
            {"start": 2},
            "start=2 is none of its layers 0 to 1; write start=1, or less",
        ),
    ],
    ids=name_of,
)
def test_what_cannot_be_restricted_is_refused_by_name(kind, make, params, said, made):
    with pytest.raises(BadParameter, match=f"{kind}.model=.*{said}"):
        one_pass(kind, made(make), **params)


@pytest.mark.parametrize("params", ["start=1", "member=0.5", "tiles=2"])
def test_what_crops_do_not_have_is_refused(params):
    with pytest.raises(BadParameter, match=f"{params} goes with regions='one_pass'"):
        EncoderMaker.bind(f"clip(model=demo, {params})").make(loaded.CPU)


@pytest.mark.parametrize("params", ["outside=mean", "margin=0.5"])
def test_renderings_of_crops_are_refused(params):
    with pytest.raises(BadParameter, match=f"has no {params.partition('=')[0]}"):
        EncoderMaker.bind(f"clip(model=demo, regions=one_pass, {params})").make(loaded.CPU)


@pytest.mark.parametrize("params", ["start=-1", "member=0", "member=1.1", "member=hard", "tiles=0", "regions=two"])
def test_values_beyond_their_limits_are_refused(params):
    with pytest.raises(BadParameter, match=params.partition("=")[0]):
        EncoderMaker.bind(f"clip(model=demo, {params})")
