"""Times transformers' networks of texts on torch: the peers' side of `cargo xtask bench peers --works texts`.

python text.py train-text --system torch --work minilm --batch 16 --length 64 [--threads 2] [--seconds 8]
python text.py write --system transformers --work gpt --batch 1 --length 256

Prints one JSON line, as `peer` does: five runs to warm up, then runs until the time is over, at least ten.
"""

import argparse
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["train-text", "write"])
parser.add_argument("--system", choices=["torch", "transformers"], default="torch")
parser.add_argument("--work", choices=["minilm", "gpt"], required=True)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--length", type=int, default=256)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=8)
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import torch
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from turn import turn

torch.set_num_threads(options.threads)
torch.manual_seed(0)
PROMPT = 16


class Classifier(nn.Module):
    """The shape of MiniLM-L6, the mean of a text's tokens, and 77 classes."""

    def __init__(self):
        super().__init__()
        size = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
        still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        self.encoder = BertModel(BertConfig(vocab_size=30522, **size, **still), add_pooling_layer=False)
        self.head = nn.Linear(384, 77)

    def forward(self, ids):
        return self.head(self.encoder(ids).last_hidden_state.mean(1))


def gpt():
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": None, "eos_token_id": None}
    return GPT2LMHeadModel(GPT2Config(vocab_size=8000, n_positions=options.length, n_embd=256, n_layer=4, n_head=4, **still))


def texts(batch, length, vocabulary):
    state, ids = 1, []
    for _ in range(batch * length):
        state = (state * 1664525 + 1013904223) % 2**32
        ids.append((state >> 8) % vocabulary)
    return torch.tensor(ids).reshape(batch, length)


model = Classifier() if options.work == "minilm" else gpt()


def train_step():
    if options.work == "minilm":
        loss = F.cross_entropy(model(ids), labels)
    else:
        loss = F.cross_entropy(model(ids).logits.flatten(0, 1), ids.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.inference_mode()
def write():
    tokens = options.length - PROMPT
    mask = torch.ones_like(prompt)
    written = model.generate(
        prompt, attention_mask=mask, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens, pad_token_id=0
    )
    return int(written[0, -1])


if options.what == "train-text":
    model.train()
    ids = texts(options.batch, options.length, 30000 if options.work == "minilm" else 8000)
    labels = torch.arange(options.batch) % 77
    optimizer, run = torch.optim.AdamW(model.parameters(), lr=1e-4), train_step
else:
    model.eval()
    prompt, run = texts(1, PROMPT, 8000), write

print(json.dumps({
    "system": options.system,
    "version": torch.__version__,
    "work": options.work,
    "parameters": sum(parameter.numel() for parameter in model.parameters()),
    "batch": options.batch,
    "length": options.length,
    "threads": options.threads,
    **turn(run, options.seconds),
}))
