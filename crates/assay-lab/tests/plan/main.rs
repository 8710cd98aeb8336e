//! Plans as text: an experiment in, and the steps, what is left out, the warnings and the problems that it comes to. Nothing is
//! run, and nothing goes through the program.

#![allow(clippy::unwrap_used)]

mod support;

mod available;
mod classes;
mod datasets;
mod features;
mod found;
mod keys;
mod problems;
mod protocols;
mod sections;
mod weights;
mod written;
