//! The field `data` of a tensor: an array of JSON, flat or nested, into contents, and back. It does not know requests.

use bytes::Bytes;
use half::{bf16, f16};

use crate::{
    Contents, Datatype, ProtocolError, Tensor,
    json::{Reader, write_f32, write_f64, write_integer, write_string},
    tensor::{each, words},
};

/// The tensor that `data` shall become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The name that errors say.
    pub(crate) name: &'a str,
    /// The type of its elements.
    pub(crate) datatype: Datatype,
    /// Its shape.
    pub(crate) shape: &'a [usize],
    /// How many elements that shape has.
    pub(crate) elements: usize,
}

/// Reads an array that is flat, or nested as the shape says. `body` is what the reader reads.
pub(crate) fn read_data(reader: &mut Reader<'_>, wanted: Wanted<'_>, body: &Bytes) -> Result<Contents, ProtocolError> {
    match wanted.datatype {
        Datatype::Bool => numbers(reader, wanted, |reader| Ok([u8::from(reader.boolean()?)])),
        Datatype::Uint8 => numbers(reader, wanted, |reader| Ok(reader.integer::<u8>("UINT8")?.to_le_bytes())),
        Datatype::Uint16 => numbers(reader, wanted, |reader| Ok(reader.integer::<u16>("UINT16")?.to_le_bytes())),
        Datatype::Uint32 => numbers(reader, wanted, |reader| Ok(reader.integer::<u32>("UINT32")?.to_le_bytes())),
        Datatype::Uint64 => numbers(reader, wanted, |reader| Ok(reader.integer::<u64>("UINT64")?.to_le_bytes())),
        Datatype::Int8 => numbers(reader, wanted, |reader| Ok(reader.integer::<i8>("INT8")?.to_le_bytes())),
        Datatype::Int16 => numbers(reader, wanted, |reader| Ok(reader.integer::<i16>("INT16")?.to_le_bytes())),
        Datatype::Int32 => numbers(reader, wanted, |reader| Ok(reader.integer::<i32>("INT32")?.to_le_bytes())),
        Datatype::Int64 => numbers(reader, wanted, |reader| Ok(reader.integer::<i64>("INT64")?.to_le_bytes())),
        Datatype::Fp16 => numbers(reader, wanted, |reader| {
            let value = reader.float64()?;
            let half = f16::from_f64(value);
            if half.is_infinite() && value.is_finite() {
                return reader.error("the number before is beyond FP16");
            }
            Ok(half.to_le_bytes())
        }),
        Datatype::Bf16 => numbers(reader, wanted, |reader| {
            let value = reader.float64()?;
            let half = bf16::from_f64(value);
            if half.is_infinite() && value.is_finite() {
                return reader.error("the number before is beyond BF16");
            }
            Ok(half.to_le_bytes())
        }),
        Datatype::Fp32 => numbers(reader, wanted, |reader| Ok(reader.float32()?.to_le_bytes())),
        Datatype::Fp64 => numbers(reader, wanted, |reader| Ok(reader.float64()?.to_le_bytes())),
        Datatype::Bytes => strings(reader, wanted, body),
    }
}

fn numbers<const N: usize>(
    reader: &mut Reader<'_>,
    wanted: Wanted<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<[u8; N], ProtocolError>,
) -> Result<Contents, ProtocolError> {
    // No more than the text can hold: two bytes a number.
    let mut bytes = Vec::with_capacity(wanted.elements.min(reader.rest() / 2 + 1) * N);
    items(reader, wanted, |reader| {
        bytes.extend_from_slice(&read(reader)?);
        Ok(())
    })?;
    Ok(Contents::Raw(bytes.into()))
}

fn strings(reader: &mut Reader<'_>, wanted: Wanted<'_>, body: &Bytes) -> Result<Contents, ProtocolError> {
    let mut elements = Vec::with_capacity(wanted.elements.min(reader.rest() / 3 + 1));
    items(reader, wanted, |reader| {
        let text = reader.string()?;
        elements.push(match text {
            std::borrow::Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
            std::borrow::Cow::Owned(text) => Bytes::from(text),
        });
        Ok(())
    })?;
    Ok(Contents::Elements(elements))
}

/// Calls `item` at each element, and checks that there are as many as the shape has.
fn items(
    reader: &mut Reader<'_>,
    wanted: Wanted<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<(), ProtocolError>,
) -> Result<(), ProtocolError> {
    if wanted.shape.len() > 1 && reader.is_nested() {
        return nested(reader, wanted, wanted.shape, &mut item);
    }
    let mut count = 0;
    reader.array(|reader| {
        if count == wanted.elements {
            return Err(wanted.error(format!("has more data than its shape {} says", words(wanted.shape))));
        }
        count += 1;
        item(reader)
    })?;
    if count == wanted.elements {
        return Ok(());
    }
    let shape = words(wanted.shape);
    Err(wanted.error(format!("has {count} elements in its data, its shape {shape} has {}", wanted.elements)))
}

fn nested<F: FnMut(&mut Reader<'_>) -> Result<(), ProtocolError>>(
    reader: &mut Reader<'_>,
    wanted: Wanted<'_>,
    shape: &[usize],
    item: &mut F,
) -> Result<(), ProtocolError> {
    let Some((&size, inner)) = shape.split_first() else {
        return Err(wanted.error("has data that are nested deeper than its shape"));
    };
    let mut count = 0;
    reader.array(|reader| {
        count += 1;
        match (count <= size, inner.is_empty()) {
            (false, _) => Err(wanted.misfit()),
            (true, true) => item(reader),
            (true, false) => nested(reader, wanted, inner, item),
        }
    })?;
    if count == size { Ok(()) } else { Err(wanted.misfit()) }
}

impl Wanted<'_> {
    pub(crate) fn error(&self, problem: impl Into<String>) -> ProtocolError {
        ProtocolError::tensor(self.name, problem)
    }

    fn misfit(&self) -> ProtocolError {
        self.error(format!("has data that are not nested as its shape {} says", words(self.shape)))
    }
}

/// Writes the elements of a tensor as a flat array.
///
/// # Errors
///
/// Where an element of BYTES is no text.
pub(crate) fn write_data(out: &mut Vec<u8>, tensor: &Tensor) -> Result<(), ProtocolError> {
    let bytes = match tensor.contents() {
        Contents::Raw(bytes) => bytes,
        Contents::Elements(elements) => return write_elements(out, tensor, elements),
    };
    match tensor.datatype() {
        Datatype::Bool => write_each(out, each(bytes, |[byte]| byte), |out, byte| {
            out.extend_from_slice(if byte == 0 { b"false" } else { b"true" });
        }),
        Datatype::Uint8 => write_each(out, each(bytes, u8::from_le_bytes), write_integer),
        Datatype::Uint16 => write_each(out, each(bytes, u16::from_le_bytes), write_integer),
        Datatype::Uint32 => write_each(out, each(bytes, u32::from_le_bytes), write_integer),
        Datatype::Uint64 => write_each(out, each(bytes, u64::from_le_bytes), write_integer),
        Datatype::Int8 => write_each(out, each(bytes, i8::from_le_bytes), write_integer),
        Datatype::Int16 => write_each(out, each(bytes, i16::from_le_bytes), write_integer),
        Datatype::Int32 => write_each(out, each(bytes, i32::from_le_bytes), write_integer),
        Datatype::Int64 => write_each(out, each(bytes, i64::from_le_bytes), write_integer),
        Datatype::Fp16 => write_each(out, each(bytes, |value| f16::from_le_bytes(value).to_f32()), write_f32),
        Datatype::Bf16 => write_each(out, each(bytes, |value| bf16::from_le_bytes(value).to_f32()), write_f32),
        Datatype::Fp32 => write_each(out, each(bytes, f32::from_le_bytes), write_f32),
        Datatype::Fp64 => write_each(out, each(bytes, f64::from_le_bytes), write_f64),
        Datatype::Bytes => unreachable!("a tensor of BYTES has elements"),
    }
    Ok(())
}

fn write_elements(out: &mut Vec<u8>, tensor: &Tensor, elements: &[Bytes]) -> Result<(), ProtocolError> {
    let texts: Result<Vec<_>, _> = elements.iter().map(|element| std::str::from_utf8(element)).collect();
    let Ok(texts) = texts else {
        let problem = "has bytes that are no text: ask for it with the parameter `binary_data`";
        return Err(ProtocolError::tensor(tensor.name(), problem));
    };
    write_each(out, texts.into_iter(), write_string);
    Ok(())
}

fn write_each<T>(out: &mut Vec<u8>, values: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, value);
    }
    out.push(b']');
}
