//! The head of a PNG file (W3C PNG, third edition, section 11.2.1): its size and colours, without decoding it.

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What the `IHDR` chunk says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PngHead {
    /// In pixels.
    pub(crate) width: u32,
    /// In pixels.
    pub(crate) height: u32,
    /// The number of channels once palettes are resolved: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
    pub(crate) channels: u8,
}

impl PngHead {
    /// `None` when the bytes do not begin as a PNG file does.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let chunk = bytes.strip_prefix(SIGNATURE)?.get(..18)?;
        let header = chunk.get(4..)?.strip_prefix(b"IHDR")?;
        let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let channels = match header.get(9)? {
            0 => 1,
            2 | 3 => 3,
            4 => 2,
            6 => 4,
            _ => return None,
        };
        Some(Self { width: number(0)?, height: number(4)?, channels })
    }
}
