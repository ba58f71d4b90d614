//! Feedback: observations in, decisions out.
