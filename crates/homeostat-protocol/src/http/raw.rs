//! A body that is nothing but the one input's bytes: its name, type and shape come from the model's metadata.

use bytes::Bytes;

use super::decode::wanted;
use crate::{
    Contents, Datatype, InferRequest, Limits, ModelMetadata, Parameter, Parameters, ProtocolError, Tensor,
    TensorMetadata,
};

/// The request of a raw body. The answer's outputs travel as bytes, too.
pub(super) fn raw_request(body: &Bytes, model: &ModelMetadata, limits: &Limits) -> Result<InferRequest, ProtocolError> {
    let [input] = model.inputs.as_slice() else {
        let names: Vec<String> = model.inputs.iter().map(|input| format!("`{}`", input.name)).collect();
        let (count, names) = (names.len(), names.join(", "));
        let problem = format!("a body without JSON needs a model with one input, this one has {count}: {names}");
        return Err(ProtocolError::binary(problem));
    };
    let shape = shape(input, body.len())?;
    wanted(&input.name, input.datatype, &shape, limits)?;
    // The whole body is the one element: it has no length before it.
    let contents = match input.datatype {
        Datatype::Bytes => Contents::Elements(vec![body.clone()]),
        _ => Contents::Raw(body.clone()),
    };
    Ok(InferRequest {
        id: None,
        parameters: Parameters::from_iter([("binary_data_output", Parameter::Bool(true))]),
        inputs: vec![Tensor::new(input.name.clone(), input.datatype, shape, contents)?],
        outputs: Vec::new(),
    })
}

/// The shape that `length` bytes have. Of several sizes that may be any, the first (the batch) is one.
fn shape(input: &TensorMetadata, length: usize) -> Result<Vec<usize>, ProtocolError> {
    let error = |problem: &str| Err(ProtocolError::tensor(&input.name, problem));
    let size = input.datatype.size();
    let free = input.shape.iter().filter(|&&size| size < 0).count();
    let mut shape: Vec<_> = input.shape.iter().map(|&size| usize::try_from(size).ok()).collect();
    if size.is_none() || free > 1 {
        // The batch, or the only element.
        if let Some(first) = shape.iter_mut().find(|size| size.is_none()) {
            *first = Some(1);
        }
    }
    let open = shape.iter().filter(|size| size.is_none()).count();
    let known = shape.iter().flatten().try_fold(size.unwrap_or(1), |all, &size| all.checked_mul(size));
    match (open, known) {
        (0, _) => {}
        (1, Some(known)) if known > 0 && length > 0 && length.is_multiple_of(known) => {
            shape.iter_mut().filter(|size| size.is_none()).for_each(|size| *size = Some(length / known));
        }
        (1, _) => return error(&format!("has a shape that {length} bytes do not fill")),
        _ => return error("has a shape of which a body without JSON does not tell enough"),
    }
    Ok(shape.into_iter().flatten().collect())
}
