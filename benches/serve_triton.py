"""The reference CNN in Triton's Python backend, by ONNX Runtime; without a file of it, a model that computes nothing."""
import json

import numpy
import triton_python_backend_utils as triton

from serve_peers import session


class TritonPythonModel:
    def initialize(self, args):
        path = json.loads(args["model_config"])["parameters"]["onnx"]["string_value"]
        self.session = session(path) if path else None

    def execute(self, requests):
        images = [triton.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        together = images[0] if len(images) == 1 else numpy.concatenate(images)
        if self.session:
            (found,) = self.session.run(None, {"image": together})
        else:
            found = numpy.zeros([len(together), 10], "float32")
        responses, at = [], 0
        for image in images:
            part = found[at:at + len(image)]
            responses.append(triton.InferenceResponse([triton.Tensor("probabilities", part)]))
            at += len(image)
        return responses
