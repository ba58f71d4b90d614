//! Elements of bytes in a row, each after its length: four bytes, little-endian. It does not know tensors.

use bytes::{Buf, Bytes};

/// Takes `count` elements apart, without a copy; `None` where the bytes are not just those.
#[must_use]
pub fn split_elements(mut bytes: Bytes, count: usize) -> Option<Vec<Bytes>> {
    if bytes.len() / 4 < count {
        return None;
    }
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
        if length > bytes.len() {
            return None;
        }
        elements.push(bytes.split_to(length));
    }
    bytes.is_empty().then_some(elements)
}

/// How many bytes [`join_elements`] writes.
#[must_use]
pub fn joined_length(elements: &[Bytes]) -> usize {
    elements.iter().map(|element| 4 + element.len()).sum()
}

/// Writes the elements at the end of `out`. None may be longer than 4 GiB, which no body is.
pub fn join_elements(out: &mut Vec<u8>, elements: &[Bytes]) {
    for element in elements {
        let length = u32::try_from(element.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&element[..length as usize]);
    }
}
