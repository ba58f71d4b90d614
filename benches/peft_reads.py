"""Does PyPI's PEFT read the adapter of a run, and answer as the run's artifact does?

pip install torch transformers peft safetensors tokenizers, then: python peft_reads.py RUN BASE

RUN is a run of a text classification with `train.lora` whose network began with a BERT (pooled by its mean), BASE that BERT's weights
(`model.safetensors`). Each golden request of the run's artifact is answered by the base with the adapter: as PEFT loads it, and with the
adapter merged by PEFT. Prints the largest difference of a probability; more than 1e-5 fails.
"""

import json
import pathlib
import sys
import tomllib

import torch
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

run, base = map(pathlib.Path, sys.argv[1:])
task = tomllib.loads((run / "artifact/task.toml").read_text())["text-classification"]
assert task["pooling"] == "mean", "this script pools by the mean"
network = task["model"]["transformer"]
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
model = BertModel(config, add_pooling_layer=False)
weights = {name.removeprefix("bert."): value for name, value in load_file(base).items()}
missing, _ = model.load_state_dict(weights, strict=False)
assert not missing, missing
beside = load_file(run / "adapter/beside.safetensors")
tokenizer = Tokenizer.from_file(str(run / "artifact/assets/tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(task["prepare"]["max-length"])
requests = sorted((run / "artifact/golden").glob("*.request"))
answers = [json.loads(path.with_suffix(".answer.json").read_text())["probabilities"] for path in requests]


def difference(model):
    model.eval()
    largest = 0.0
    for path, wanted in zip(requests, answers):
        text = path.read_text()
        if task["prepare"].get("lowercase"):
            text = text.lower()
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            pooled = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(1)
            found = torch.softmax(pooled @ beside["head.weight"] + beside["head.bias"], 1)[0]
        largest = max(largest, (found - torch.tensor(wanted)).abs().max().item())
    return largest


alone = difference(model)
adapted = PeftModel.from_pretrained(model, run / "adapter")
apart = difference(adapted)
merged = difference(adapted.merge_and_unload())
print(f"{len(requests)} golden requests, largest difference of a probability: without the adapter {alone:.1e}, with it {apart:.1e}, merged {merged:.1e}")
sys.exit(0 if max(apart, merged) <= 1e-5 < alone else 1)
