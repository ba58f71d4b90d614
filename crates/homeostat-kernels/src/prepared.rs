//! Weights laid out for inference, kept from call to call. An entry belongs to the very memory that its weights lie in:
//! it holds that memory weakly, so it does not keep a network alive, the address is not given to others, and a tensor
//! that is changed in place is moved away from it first. So what is found is never stale.

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use burn::tensor::Bytes;
use burn_flex::{FlexTensor, Layout};

use crate::{conv::Conv, gather::Packed, simd::Isa, winograd::Transformed};

/// Weights of a convolution, with the normalisation after it folded in.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) weight: Weight,
    pub(crate) bias: Vec<f32>,
}

/// For one of the ways to compute a convolution.
#[derive(Debug)]
pub(crate) enum Weight {
    Direct(Packed),
    Winograd(Transformed),
}

/// The choice between these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    Winograd,
}

impl Weight {
    pub(crate) fn new(way: Way, conv: &Conv, weight: &[f32]) -> Self {
        match way {
            Way::Direct => Self::Direct(conv.forward_weights(Isa::detect(), weight)),
            Way::Winograd => Self::Winograd(conv.forward_transformed(Isa::detect(), weight)),
        }
    }
}

/// What is made of weights, of one type each: [`Prepared`], or the strips of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Convolution { groups: usize, way: Way },
    Dense,
}

#[derive(Debug)]
struct Entry {
    /// Memory and layout of all tensors that it was made of.
    made_of: Vec<(Weak<Bytes>, Layout)>,
    form: Form,
    prepared: Arc<dyn Any + Send + Sync>,
}

impl Entry {
    fn is_of(&self, tensors: &[&FlexTensor], form: Form) -> bool {
        self.form == form
            && self.made_of.len() == tensors.len()
            && self.made_of.iter().zip(tensors).all(|((memory, layout), tensor)| {
                std::ptr::eq(memory.as_ptr(), Arc::as_ptr(&tensor.data_arc())) && layout == tensor.layout()
            })
    }

    fn is_alive(&self) -> bool {
        self.made_of.iter().all(|(memory, _)| memory.strong_count() > 0)
    }
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(vec![]);

/// What `make` made of these tensors in this form, now or before.
pub(crate) fn prepared<T: Any + Send + Sync>(tensors: &[&FlexTensor], form: Form, make: impl FnOnce() -> T) -> Arc<T> {
    let find = |entries: &[Entry]| {
        entries.iter().find(|entry| entry.is_of(tensors, form)).map(|entry| Arc::clone(&entry.prepared))
    };
    if let Some(found) = find(&ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)) {
        return found.downcast().expect("a form has one type");
    }
    let prepared = Arc::new(make());
    let made_of = tensors.iter().map(|tensor| (Arc::downgrade(&tensor.data_arc()), tensor.layout().clone())).collect();
    let mut entries = ENTRIES.lock().unwrap_or_else(PoisonError::into_inner);
    entries.retain(Entry::is_alive);
    entries.push(Entry { made_of, form, prepared: Arc::clone(&prepared) as _ });
    prepared
}

/// Drops what belonged to weights that are gone: called by training, whose steps replace them.
pub(crate) fn forget_the_dead() {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner).retain(Entry::is_alive);
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Shape};

    use super::*;

    fn tensor(value: f32) -> FlexTensor {
        FlexTensor::new(Bytes::from_elems(vec![value; 4]), Layout::contiguous(Shape::from([2, 2, 1, 1])), DType::F32)
    }

    fn first(tensor: &FlexTensor) -> f32 {
        let value = tensor.storage::<f32>()[0];
        let conv = Conv {
            batch: 1,
            channels: [2, 2],
            input: [1, 1],
            out: [1, 1],
            padding: [0, 0],
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
        };
        let make = || Prepared { weight: Weight::new(Way::Direct, &conv, &[value; 4]), bias: vec![value] };
        prepared(&[tensor], Form::Convolution { groups: 1, way: Way::Direct }, make).bias[0]
    }

    #[test]
    fn changed_weights_are_never_answered_with_the_old_ones() {
        let mut weights = tensor(1.0);
        assert_eq!((first(&weights), first(&weights)), (1.0, 1.0));
        weights.storage_mut::<f32>().fill(2.0);
        assert_eq!(first(&weights), 2.0, "changed in place");
        let copy = weights.clone();
        weights.storage_mut::<f32>().fill(3.0);
        assert_eq!((first(&weights), first(&copy)), (3.0, 2.0), "changed while shared");
        for value in 0..50 {
            // Freed and allocated again: likely at the same address.
            assert_eq!(first(&tensor(value as f32)), value as f32);
        }
        drop((weights, copy));
        forget_the_dead();
        let mine = |entry: &Entry| entry.made_of[0].1.shape().to_vec() == [2, 2, 1, 1];
        assert!(!ENTRIES.lock().unwrap().iter().any(mine), "nothing is left of what is gone");
    }
}
