//! A run as a page for people, and as TensorBoard event files.
