//! How many bytes of bodies may be in memory at once. It does not know whose they are.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes that can be taken and are given back.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicUsize>);

/// Bytes that are taken; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Taken {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    pub(crate) fn nothing(&self) -> Taken {
        Taken { budget: self.clone(), bytes: 0 }
    }
}

impl Taken {
    /// Takes so many more, if there are as many.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let less = |free: usize| free.checked_sub(bytes);
        let grown = self.budget.0.try_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    /// Gives so many back, or all where they are fewer.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.0.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Takes what lacks until there are so many in all.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        self.grow(bytes.saturating_sub(self.bytes))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Budget::new(10);
        let mut first = budget.nothing();
        assert!(first.grow(6) && !first.grow(5) && first.grow_to(8) && first.grow_to(3));
        let mut second = budget.nothing();
        assert!(!second.grow(3) && second.grow(2));
        drop(first);
        assert!(second.grow(8) && !second.grow(1));
        second.shrink(4);
        assert!(second.grow(4) && !second.grow(1));
        second.shrink(100);
        assert!(second.grow(10) && !second.grow(1));
    }
}
