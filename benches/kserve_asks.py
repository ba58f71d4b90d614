#!/usr/bin/env python3
"""Asks a running server with KServe's own Python client, over HTTP (JSON and binary) and gRPC, and compares the answers.

    pip install kserve
    python benches/kserve_asks.py HTTP_HOST:PORT GRPC_HOST:PORT MODEL

MODEL must have one float32 tensor input. Exits with 1 where an answer differs, or something is not as it should be.
"""

import asyncio
import json
import sys
import urllib.request

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig


def tensor_input(http, model):
    with urllib.request.urlopen(f"http://{http}/v2/models/{model}") as answer:
        metadata = json.load(answer)
    found = next(tensor for tensor in metadata["inputs"] if tensor["datatype"] == "FP32")
    shape = [2 if size < 0 else size for size in found["shape"]]
    values = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    return found["name"], values, metadata["outputs"][0]["name"]


def asked(model, name, values, is_binary):
    tensor = InferInput(name=name, shape=list(values.shape), datatype="FP32")
    tensor.set_data_from_numpy(values, binary_data=is_binary)
    return InferRequest(model_name=model, infer_inputs=[tensor], request_id="one")


async def main(arguments):
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    http, grpc, model = arguments
    name, values, output = tensor_input(http, model)
    rest, base = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=30)), f"http://{http}"
    stub = InferenceGRPCClient(url=grpc)
    states = {
        "HTTP live": await rest.is_server_live(base),
        "HTTP ready": await rest.is_server_ready(base),
        "HTTP model ready": await rest.is_model_ready(base, model),
        "gRPC live": await stub.is_server_live(),
        "gRPC ready": await stub.is_server_ready(),
        "gRPC model ready": await stub.is_model_ready(model),
    }
    for what, state in states.items():
        print(f"{what:<18} {state}")
    answers = {
        "HTTP, JSON": await rest.infer(base, asked(model, name, values, False), model_name=model),
        "HTTP, binary": await rest.infer(base, asked(model, name, values, True), model_name=model),
        "gRPC": await stub.infer(asked(model, name, values, True)),
    }
    found = {what: answer.get_output_by_name(output).as_numpy() for what, answer in answers.items()}
    for what, numbers in found.items():
        print(f"{what:<18} {output} {list(numbers.shape)}, id {answers[what].id}, {numbers.flatten()[:4]}")
    first = found["HTTP, JSON"]
    same = all(np.array_equal(first, numbers) for numbers in found.values())
    named = all(answer.id == "one" for answer in answers.values())
    well = all(states.values()) and same and named
    print("all the same" if well else "NOT as it should be")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
