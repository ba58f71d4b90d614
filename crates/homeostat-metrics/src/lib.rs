//! How good the answers are: metrics of predictions.
