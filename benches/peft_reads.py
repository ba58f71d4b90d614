"""Does PyPI's PEFT read the folder `adapter` of a run, and answer as the run's artifact does?

pip install torch transformers peft safetensors tokenizers, then: python peft_reads.py RUN BASE

RUN is a run with `train.lora` or with prefixes, of a text classification whose network began with a BERT (pooled by its mean) or of a
language model that began with a GPT-2, and BASE that network's weights (`model.safetensors`). Each golden request of the run's artifact is
answered by the base with the adapter: as PEFT loads it, and, where it is no prefix, with the adapter merged by PEFT. Prints the largest
difference of a probability; more than 1e-5 fails.
"""

import json
import pathlib
import sys
import tomllib

import torch
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

run, base = map(pathlib.Path, sys.argv[1:])
[(kind, task)] = tomllib.loads((run / "artifact/task.toml").read_text()).items()
[network] = task["model"].values()
beside = load_file(run / "adapter/beside.safetensors")
tokenizer = Tokenizer.from_file(str(run / "artifact/assets/tokenizer.json"))
tokenizer.no_padding()
requests = sorted((run / "artifact/golden").glob("*.request"))
answers = [json.loads(path.with_suffix(".answer.json").read_text()) for path in requests]


def loaded(model, prefix, may_miss=()):
    weights = {prefix[1] + name.removeprefix(prefix[0]): value for name, value in load_file(base).items()}
    missing, _ = model.load_state_dict(weights, strict=False)
    assert set(missing) <= set(may_miss), missing
    return model


def bert():
    assert task["pooling"] == "mean", "this script pools by the mean"
    config = BertConfig(
        vocab_size=task["vocabulary"],
        hidden_size=network["width"],
        num_hidden_layers=network["depth"],
        num_attention_heads=network["heads"],
        intermediate_size=network["hidden"],
        max_position_embeddings=network["positions"],
        type_vocab_size=network["types"],
        layer_norm_eps=network["epsilon"],
    )
    return loaded(BertModel(config, add_pooling_layer=False), ("bert.", ""))


def gpt2():
    assert task["tied"], "this script scores tokens by what they are looked up by"
    config = GPT2Config(
        vocab_size=task["vocabulary"],
        n_embd=network["width"],
        n_layer=network["depth"],
        n_head=network["heads"],
        n_inner=network["hidden"],
        n_positions=network["positions"],
        layer_norm_epsilon=network["epsilon"],
        activation_function="gelu" if network["feed"] == "gelu" else "gelu_new",
        bos_token_id=None,
        eos_token_id=None,
    )
    return loaded(GPT2LMHeadModel(config), ("transformer.", "transformer."), ["lm_head.weight"])


def of_classes(model, text, answer):
    """What the probabilities of all classes differ by."""
    tokenizer.enable_truncation(task["prepare"]["max-length"])
    ids = torch.tensor([tokenizer.encode(text).ids])
    pooled = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(1)
    scores = (pooled @ beside["head.weight"] + beside["head.bias"])[0] / task["temperature"]
    return torch.softmax(scores, 0) - torch.tensor(answer["probabilities"])


def of_tokens(model, request, answer):
    """What the probabilities of all written tokens differ by."""
    prompt = tokenizer.encode(json.loads(request)["prompt"], add_special_tokens=False).ids
    ids = torch.tensor([prompt + answer["tokens"]])
    assert ids.shape[1] <= network["positions"] - network["prefix"], "this script reads nothing again"
    scores = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, len(prompt) - 1 : -1]
    # What is no text is never written.
    barred = [tokenizer.token_to_id(name) for name in ["[PAD]", "<pad>", "[UNK]", "<unk>", "[CLS]", "[MASK]", "<mask>"]]
    scores[:, [token for token in barred if token is not None]] = -torch.inf
    found = torch.softmax(scores, 1).gather(1, torch.tensor(answer["tokens"])[:, None])[:, 0]
    return found - torch.tensor(answer["probabilities"])


make, apart_by = {"text-classification": (bert, of_classes), "language-model": (gpt2, of_tokens)}[kind]


def difference(model):
    model.eval()
    with torch.no_grad():
        return max(apart_by(model, path.read_text(), answer).abs().max().item() for path, answer in zip(requests, answers))


model = make()
alone = difference(model)
adapted = PeftModel.from_pretrained(model, run / "adapter")
found = {"with it": difference(adapted)}
if not adapted.active_peft_config.is_prompt_learning:
    found["merged"] = difference(adapted.merge_and_unload())
told = ", ".join(f"{how} {apart:.1e}" for how, apart in found.items())
print(f"{len(requests)} golden requests, largest difference of a probability: without the adapter {alone:.1e}, {told}")
sys.exit(0 if max(found.values()) <= 1e-5 < alone else 1)
