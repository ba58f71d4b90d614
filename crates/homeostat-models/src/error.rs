//! Why a network cannot be made from its description.

/// A description that does not fit its input.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ModelError {
    /// The pooling stages leave nothing of the image.
    #[error(
        "the network `{network}` needs images of at least {needed}x{needed} pixels, but gets {height}x{width}: enlarge them \
         (prepare = [{{ resize = {{ size = {needed} }} }}, ...]), or choose a network for smaller ones"
    )]
    TooSmall {
        /// The network's name.
        network: &'static str,
        /// The image's height.
        height: usize,
        /// The image's width.
        width: usize,
        /// The smallest side that works.
        needed: usize,
    },
    /// A setting outside its range.
    #[error("the network `{network}`: {setting} {problem}")]
    Setting {
        /// The network's name.
        network: &'static str,
        /// The setting's key.
        setting: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// More weights than a machine can hold.
    #[error(
        "the network `{network}` would have at least {parameters} parameters, but at most {limit} are possible: give it smaller \
         widths or images"
    )]
    TooLarge {
        /// The network's name.
        network: &'static str,
        /// How many it would have, or those of its widest layers alone.
        parameters: u128,
        /// How many are possible.
        limit: u128,
    },
}
