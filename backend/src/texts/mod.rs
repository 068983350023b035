//! Every sentence that a person reads, in English and 简体中文.
//!
//! The catalogues are Fluent files in web/texts. A test fails when one of them lacks a key that the other has, when a
//! template names a key that neither has, or when the two ask for other values.

mod catalogue;

pub use catalogue::{Language, Texts};

#[cfg(test)]
mod tests;
