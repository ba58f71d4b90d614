//! Messages from bytes and into bytes, with a look at a request before it is taken apart. It does not know what is asked.
//!
//! Two bytes can announce an empty input, which takes a hundred bytes once it is a value: a message within the size limit could
//! fill the memory many times over. So the fields are counted first.

use std::marker::PhantomData;

use bytes::Buf;
use homeostat_protocol::Limits;
use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstEncoder;

/// The most fields of a request and of an input; each input, output, parameter and raw content is one.
const MOST_FIELDS: usize = 1024;
/// The most bytes of an input's name, type, shape or parameter.
const LONGEST_FIELD: usize = 64 << 10;
/// The number of the field `inputs` of a request, and of the field `contents` of an input.
const INPUTS: u64 = 5;
const CONTENTS: u64 = 5;

/// As `tonic_prost`'s, but that a request is looked at first.
#[derive(Debug)]
pub(crate) struct GuardedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for GuardedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + Send + 'static, U: Message + Default + Send + 'static> Codec for GuardedCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = GuardedDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> GuardedDecoder<U> {
        GuardedDecoder(PhantomData)
    }
}

/// Reads messages of the type `U`.
#[derive(Debug)]
pub(crate) struct GuardedDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for GuardedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The message lies in one piece: the decoder has waited for all of it.
        guard(source.chunk())?;
        U::decode(source).map(Some).map_err(|error| Status::invalid_argument(format!("the message is none: {error}")))
    }
}

/// Counts fields. What cannot be counted is left to the parser, which refuses it.
fn guard(message: &[u8]) -> Result<(), Status> {
    each_field(message, MOST_FIELDS, &mut |number, input| match number {
        INPUTS => each_field(input, MOST_FIELDS, &mut |number, field| match number {
            CONTENTS => each_field(field, Limits::default().strings, &mut |_, _| Ok(())),
            _ if field.len() > LONGEST_FIELD => Err(Status::invalid_argument("a field of an input is too long")),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })
}

/// Takes the number and the bytes of a field.
type Visit<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), Status>;

/// Calls `visit` with the number and the bytes of each field that has a length.
fn each_field(mut message: &[u8], most: usize, visit: Visit<'_>) -> Result<(), Status> {
    let mut count = 0;
    while let Some(key) = varint(&mut message) {
        if count == most {
            return Err(Status::invalid_argument(format!("too many fields: at most {most}")));
        }
        count += 1;
        let skipped = match key & 7 {
            0 => varint(&mut message).map(|_| ()),
            1 => take(&mut message, 8).map(|_| ()),
            2 => match varint(&mut message).and_then(|length| take(&mut message, length)) {
                Some(field) => {
                    visit(key >> 3, field)?;
                    Some(())
                }
                None => None,
            },
            5 => take(&mut message, 4).map(|_| ()),
            _ => None,
        };
        if skipped.is_none() {
            break;
        }
    }
    Ok(())
}

fn take<'a>(message: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (field, rest) = message.split_at_checked(usize::try_from(length).ok()?)?;
    *message = rest;
    Some(field)
}

/// A number in groups of seven bits, the lowest first.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_fields_are_refused_before_they_take_memory() {
        let inputs = [0x2A, 0x00].repeat(MOST_FIELDS);
        assert!(guard(&inputs).is_ok());
        assert!(guard(&[inputs.as_slice(), &[0x2A, 0x00]].concat()).is_err());

        let input = |field: &[u8]| {
            let mut message = vec![0x2A];
            prost::encoding::encode_varint(field.len() as u64, &mut message);
            [message.as_slice(), field].concat()
        };
        assert!(guard(&input(&[0x22, 0x00].repeat(MOST_FIELDS + 1))).is_err(), "parameters");
        let long = [&[0x0A, 0x81, 0x80, 0x04][..], &vec![b'x'; LONGEST_FIELD + 1]].concat();
        assert!(guard(&input(&long)).is_err(), "a long name");
        let elements = |count: usize| {
            let contents = [0x42, 0x00].repeat(count);
            let mut message = vec![0x2A];
            prost::encoding::encode_varint(contents.len() as u64, &mut message);
            input(&[message.as_slice(), &contents].concat())
        };
        assert!(guard(&elements(1 << 20)).is_ok());
        assert!(guard(&elements((1 << 20) + 1)).is_err(), "strings");
    }

    #[test]
    fn what_is_no_message_is_left_to_the_parser() {
        for bytes in
            [&[][..], &[0xFF], &[0xFF; 20], &[0x2A, 0x05, 1], &[0x2B, 0x2B], &[0x2A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]]
        {
            assert!(guard(bytes).is_ok(), "{bytes:?}");
        }
    }
}
