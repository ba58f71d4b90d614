//! The directory that training leaves and serving opens.
