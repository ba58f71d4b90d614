//! The question that a network answers: one trait that training and serving share.
//!
//! ```text
//! train   bytes -read-> Sample -augment-> -prepare-> Input -collate-> Batch -loss----> Outcome
//! serve   bytes -read-> Sample -----------prepare-> Input -collate-> Batch -respond-> Response
//! ```
//!
//! Whatever training and serving both do is a method of [`Task`], so it cannot differ. A [`TensorDoor`] lets in what was
//! prepared elsewhere, and through a [`TextDoor`] an answer comes out while it is written. [`Weights`] are a network's
//! tensors by name, on their way to and from a safetensors file; [`ForeignNames`] are what other programs call them.
//!
//! It does not know the loop, the server, or any concrete task.

mod foreign;
mod headed;
mod peft;
mod peft_prefix;
mod pickle;
mod task;
mod tensor_door;
mod text_door;
mod weights;

pub use foreign::{Adopted, ForeignNames, name_fits, read_checkpoint, read_foreign, transpose};
pub use headed::Headed;
pub use peft::{PEFT_FILES, PeftAdapter, PeftConfig, PeftLayer};
pub use peft_prefix::{PeftFolder, PeftPrefix, PeftTask};
pub use task::{InputError, Outcome, Task, TaskError, TaskVisitor};
pub use tensor_door::{HostTensor, Signature, TensorDoor, TensorRequest, TensorSpec, ValueKind, Values};
pub use text_door::{Say, TextDoor, Told};
pub use weights::{ParamPath, Weights, WeightsError};
