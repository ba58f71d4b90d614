//! One TOML file plus typed overrides becomes a value that knows where each part came from.
