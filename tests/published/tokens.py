"""Tiny tokenizers in the file forms of the published ones. Words of ``CORPUS`` are tokens of their own."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
from pathlib import Path

from fgscore import demo

CORPUS = (
    "a photo of a bird",
    "a photo of a blue bird , a type of bird .",
    "A photo of a Car",
    "the red car beside a green Bird",
    "photo of the blue-crowned bird !",
)
WORDS = sorted({word for line in CORPUS for word in re.findall(r"\w+", line)})
LETTERS = [chr(code) for code in range(33, 127)]
CLIP_VOCABULARY = 49408  # of the published models: their end-of-text is its last id


def write_json(path: Path, value: object, indent: int | None = 2) -> None:
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False), encoding="utf-8")


def clip(folder: Path, published_ids: bool = False, fast: bool = True, slow: bool = True) -> tuple[int, int]:
    """The demo's words as vocab.json, merges.txt (``slow``) and tokenizer.json (``fast``); returns the size of the
    vocabulary and the id of its end-of-text, which is the published one where ``published_ids`` says so."""
    from transformers import CLIPTokenizer

    vocabulary = json.loads((demo.clip_folder() / "vocab.json").read_text(encoding="utf-8"))
    size = CLIP_VOCABULARY if published_ids else len(vocabulary)
    vocabulary |= {"<|startoftext|>": size - 2, "<|endoftext|>": size - 1}
    write_json(folder / "vocab.json", vocabulary)
    shutil.copy(demo.clip_folder() / "merges.txt", folder / "merges.txt")
    texts = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
    names = {key: {"content": text, **flags} for key, text in texts.items()}
    padding = {"pad_token": "<|endoftext|>"}
    typed = {key: {**names[key], "__type": "AddedToken"} for key in ("unk_token", "bos_token", "eos_token")}
    settings = {"add_prefix_space": False, "errors": "replace", "do_lower_case": True}
    settings |= {"name_or_path": "./clip_ViT_B_32/", "model_max_length": 77}
    write_json(folder / "tokenizer_config.json", {**typed, **padding, **settings}, indent=None)
    write_json(folder / "special_tokens_map.json", {**names, **padding}, indent=None)
    assert (folder / "tokenizer_config.json").stat().st_size == 592  # bytes of OpenAI's, so these are its very fields
    assert (folder / "special_tokens_map.json").stat().st_size == 389
    if fast:
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    if not slow:
        (folder / "vocab.json").unlink()
        (folder / "merges.txt").unlink()
    return size, size - 1


def sentencepiece(path: Path, **settings: object) -> int:
    """A SentencePiece model trained on the words of ``CORPUS``; returns its number of pieces."""
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    shuffle = random.Random(0)  # in any order, so that the words are worth more than what lies across them
    lines = [" ".join(shuffle.choices(WORDS, k=6)) for _ in range(300)] + [*CORPUS, *LETTERS]
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, character_coverage=1.0, minloglevel=2, num_threads=1,
        **settings,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    return int(SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size())


def c4(path: Path, kind: str) -> int:
    """As T5's vocabulary: pad 0, ``</s>`` 1, ``<unk>`` 2, no start. ``kind`` is 'unigram', 'bpe' or 'char'."""
    size = {"vocab_size": 150} if kind == "bpe" else {"vocab_size": 200, "hard_vocab_limit": False}
    return sentencepiece(path, model_type=kind, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **size)


def siglip(folder: Path, kind: str = "unigram") -> int:
    """The slow files of SigLIP: spiece.model and two of JSON."""
    size = c4(folder / "spiece.model", kind)
    names = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    settings = {
        "additional_special_tokens": [], "clean_up_tokenization_spaces": True, "do_lower_case": True,
        "model_input_names": ["input_ids"], "model_max_length": 64, "sp_model_kwargs": {},
        "tokenizer_class": "SiglipTokenizer",
    }  # fmt: skip
    write_json(folder / "tokenizer_config.json", {**names, **settings})
    write_json(folder / "special_tokens_map.json", names)
    return size


def gemma(folder: Path) -> int:
    """Gemma's tokenizer.json and tokenizer.model, as SigLIP 2 names them; "Car" and "car" are two tokens."""
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    path = folder / "tokenizer.model"
    sentencepiece(
        path, model_type="bpe", vocab_size=440, byte_fallback=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
        add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity",
    )  # fmt: skip
    pieces = SentencePieceProcessor(model_file=str(path))
    vocabulary = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
    merges = [
        (piece[:cut], piece[cut:])
        for piece, i in vocabulary.items()
        if not pieces.is_byte(i)
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    fast = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    fast.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    fast.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    fast.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    fast.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    fast.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>"])
    fast.save(str(folder / "tokenizer.json"))
    settings = {
        "add_bos_token": False, "add_eos_token": True, "bos_token": "<bos>", "clean_up_tokenization_spaces": False,
        "do_lower_case": True, "eos_token": "<eos>", "model_max_length": 10**30, "pad_token": "<pad>",
        "padding_side": "right", "tokenizer_class": "GemmaTokenizer", "unk_token": "<unk>",
        "use_default_system_prompt": False,
    }  # fmt: skip
    write_json(folder / "tokenizer_config.json", settings)
    return len(vocabulary)


def xlm(folder: Path, **more: object) -> int:
    """XLM-R's tokenizer.json, cased, with end-of-text 2; ``more`` joins tokenizer_config.json."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    words = ["▁", *(f"▁{word}" for word in WORDS)]
    scored = [(text, 0.0) for text in special] + [(text, -2.0) for text in words] + [(text, -8.0) for text in LETTERS]
    fast = Tokenizer(models.Unigram([*scored, ("<mask>", 0.0)], unk_id=3))
    metaspace = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    fast.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    fast.decoder = decoders.Metaspace("▁", prepend_scheme="always")
    fast.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    fast.add_special_tokens([*special, "<mask>"])
    fast.save(str(folder / "tokenizer.json"))
    names = {
        "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>", "pad_token": "<pad>",
        "sep_token": "</s>", "unk_token": "<unk>",
    }  # fmt: skip
    settings = {
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "tokenizer_class": "XLMRobertaTokenizer",
    }
    write_json(folder / "tokenizer_config.json", {**names, **settings, **more})
    write_json(folder / "special_tokens_map.json", names)
    return fast.get_vocab_size()


def bert(folder: Path) -> int:
    """vocab.txt alone, as Chinese-CLIP has it: lower case, single characters of Chinese."""
    words = (
        sorted({word.lower() for word in WORDS}) + LETTERS + [f"##{letter}" for letter in LETTERS] + list("鸟蓝色车")
    )
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(words)]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)
