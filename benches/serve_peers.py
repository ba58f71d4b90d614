"""The peers of `cargo xtask bench serve`: other servers with the reference CNN, and what computes without a server.

    python serve_peers.py export FOLDER --scripts DIR   writes FOLDER/cnn.onnx from the peers' work.py (needs torch, onnx)
    python serve_peers.py floor FOLDER [--seconds 5]    times ONNX Runtime alone, one thread, batch 1, and prints a JSON line
    python serve_peers.py triton FOLDER PORT            becomes NVIDIA Triton, as PyPI's nvidia-pytriton carries it
    python serve_peers.py mlserver FOLDER PORT          becomes MLServer
    python serve_peers.py versions                      prints what is installed

Each server has `cnn` and `none`, which computes nothing; Triton has both once more with dynamic batching (`cnn_batched`). Triton's
wheel has no backend of its own for ONNX: the model runs in its Python backend.
"""
import argparse
import importlib.metadata
import json
import os
import shutil
import sys
import sysconfig
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def export(folder, scripts):
    sys.path.insert(0, str(scripts))
    import torch
    import work

    network, image, *_ = work.build("cnn", 1)
    torch.onnx.export(torch.nn.Sequential(network, torch.nn.Softmax(1)).eval(), (image,), str(folder / "cnn.onnx"), dynamo=False,
                      input_names=["image"], output_names=["probabilities"],
                      dynamic_axes={"image": {0: "n"}, "probabilities": {0: "n"}})


def session(path):
    """Runs a network on one thread, as all the servers here do."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def floor(folder, seconds):
    import numpy

    network = session(folder / "cnn.onnx")
    images = {"image": numpy.random.default_rng(0).normal(size=[1, 3, 32, 32]).astype("float32")}
    for _ in range(200):
        network.run(None, images)
    times, cpu, end = [], time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        network.run(None, images)
        times.append(time.perf_counter() - begun)
    cpu = time.process_time() - cpu
    print(json.dumps({"cpu_us": 1e6 * cpu / len(times), "p50_us": 1e6 * sorted(times)[len(times) // 2]}))


def triton(folder, port):
    repository = folder / "triton"
    shutil.rmtree(repository, ignore_errors=True)
    for name in ["cnn", "cnn_batched", "none", "none_batched"]:
        version = repository / name / "1"
        version.mkdir(parents=True)
        # The backend has an interpreter of its own, which is to find the packages of this one; it does not heed PYTHONPATH.
        paths = f"import sys\n\nsys.path += {[str(HERE), sysconfig.get_paths()['purelib']]}\n"
        (version / "model.py").write_text(f"{paths}from serve_triton import TritonPythonModel\n")
        onnx = str((folder / "cnn.onnx").resolve()) if name.startswith("cnn") else ""
        batching = "dynamic_batching { max_queue_delay_microseconds: 500 }" if name.endswith("batched") else ""
        (version.parent / "config.pbtxt").write_text(f"""
backend: "python"
max_batch_size: 32
input [{{ name: "image" data_type: TYPE_FP32 dims: [3, 32, 32] }}]
output [{{ name: "probabilities" data_type: TYPE_FP32 dims: [10] }}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
parameters {{ key: "onnx" value {{ string_value: "{onnx}" }} }}
{batching}
""")
    import pytriton

    packages = Path(pytriton.__file__).parent
    server = packages / "tritonserver"
    # The wheel has the process of the Python backend for many interpreters, and none of them in its place.
    backends = (folder / "triton_backends").resolve()
    shutil.rmtree(backends, ignore_errors=True)
    shutil.copytree(server / "backends", backends)
    stub = f"python_backend_stubs/{sys.version_info.major}.{sys.version_info.minor}/triton_python_backend_stub"
    shutil.copy(server / stub, backends / "python")
    environment = dict(os.environ)
    libraries = [packages.parent / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, libraries))
    arguments = ["--model-repository", str(repository), "--backend-directory", str(backends), "--http-address",
                 "127.0.0.1", "--http-port", str(port), "--allow-grpc=false", "--allow-metrics=false", "--log-info=false"]
    os.execve(server / "bin/tritonserver", ["tritonserver", *arguments], environment)


def mlserver(folder, port):
    place = folder / "mlserver"
    shutil.rmtree(place, ignore_errors=True)
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "parallel_workers": 0, "metrics_endpoint": None,
                "debug": False, "use_structured_logging": False}
    for name in ["cnn", "none"]:
        (place / name).mkdir(parents=True)
        onnx = str((folder / "cnn.onnx").resolve()) if name == "cnn" else ""
        model = {"name": name, "implementation": "serve_mlserver.Network", "parameters": {"extra": {"onnx": onnx}}}
        (place / name / "model-settings.json").write_text(json.dumps(model))
    (place / "settings.json").write_text(json.dumps(settings))
    os.environ["PYTHONPATH"] = str(HERE)
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", str(place)])


def versions():
    there = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    names = [("Triton by nvidia-pytriton", "nvidia-pytriton"), ("MLServer", "mlserver"), ("ONNX Runtime", "onnxruntime")]
    print(", ".join(f"{name} {there[package]}" for name, package in names if package in there))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["export", "floor", "triton", "mlserver", "versions"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("port", type=int, nargs="?")
    parser.add_argument("--scripts", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    if given.what == "export":
        export(given.folder, given.scripts)
    elif given.what == "floor":
        floor(given.folder, given.seconds)
    elif given.what == "triton":
        triton(given.folder, given.port)
    elif given.what == "mlserver":
        mlserver(given.folder, given.port)
    else:
        versions()
