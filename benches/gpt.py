"""The other side of `gpt.rs`: the same network by torch and transformers. Prints one JSON line.

pip install torch==2.15.0 transformers==5.23.0, then python gpt.py generate --threads 2 --seconds 8
"""

import argparse
import json
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["train", "generate"])
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--length", type=int, default=256)
parser.add_argument("--prompt", type=int, default=16)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=8.0)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
VOCABULARY = 8000
model = GPT2LMHeadModel(
    GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=args.length,
        n_embd=256,
        n_layer=4,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
    )
)


def texts(batch, length):
    state, ids = 1, []
    for _ in range(batch * length):
        state = (state * 1664525 + 1013904223) % 2**32
        ids.append((state >> 8) % VOCABULARY)
    return torch.tensor(ids).reshape(batch, length)


if args.what == "train":
    ids = texts(args.batch, args.length)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def run():
        scores = model(ids).logits
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), ids.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    tokens = args.batch * args.length
else:
    model.eval()
    prompt = texts(1, args.prompt)
    tokens = args.length - args.prompt

    @torch.inference_mode()
    def run():
        mask = torch.ones_like(prompt)
        written = model.generate(
            prompt, attention_mask=mask, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens, pad_token_id=0
        )
        return int(written[0, -1])


run()
run()
times, start = [], time.perf_counter()
while time.perf_counter() - start < args.seconds or len(times) < 5:
    begin = time.perf_counter()
    last = run()
    times.append(time.perf_counter() - begin)
median = sorted(times)[len(times) // 2]
print(
    json.dumps(
        {
            "system": "transformers",
            "work": f"gpt-{args.what}",
            "batch": args.batch if args.what == "train" else 1,
            "length": args.length,
            "prompt": args.prompt,
            "threads": args.threads,
            "runs": len(times),
            "median_ms": round(1e3 * median, 3),
            "tokens_per_second": round(tokens / median),
            "last": last,
        }
    )
)
