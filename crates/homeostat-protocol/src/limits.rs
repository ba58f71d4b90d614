//! How much a request may bring. It does not know what is read.

/// Limits that are checked before memory is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body, after it was decompressed.
    pub body: usize,
    /// Arrays and objects within each other.
    pub depth: usize,
    /// Inputs, and as many outputs.
    pub tensors: usize,
    /// Sizes in a shape.
    pub dimensions: usize,
    /// Numbers in a tensor.
    pub elements: usize,
    /// Elements of a tensor of BYTES, each of which costs more than a number.
    pub strings: usize,
    /// Parameters in one place.
    pub parameters: usize,
    /// Bytes of a name, an id or a parameter's text.
    pub name: usize,
    /// Bytes of a text that is to be gone on with.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 64 << 20,
            depth: 32,
            tensors: 64,
            dimensions: 16,
            elements: 32 << 20,
            strings: 1 << 20,
            parameters: 64,
            name: 4096,
            text: 1 << 20,
        }
    }
}
