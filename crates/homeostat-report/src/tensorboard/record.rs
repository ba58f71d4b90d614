//! The framing of a TFRecord: length, its checksum, the bytes, their checksum. It does not know what the bytes mean.

use std::io::{self, Write};

/// Writes one record, so that a reader notices a record that was cut short.
pub(super) fn write(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = (bytes.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_checksum(&length).to_le_bytes())?;
    out.write_all(bytes)?;
    out.write_all(&masked_checksum(bytes).to_le_bytes())
}

/// CRC-32C, masked so that a checksum over data that holds checksums stays sound.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}
