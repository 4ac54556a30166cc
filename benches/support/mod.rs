//! What the benchmarks share: where they write, what they feed in, what they start beside
//! themselves, and how they print what they found.

pub(crate) mod book;
pub(crate) mod broker;
pub(crate) mod company;
pub(crate) mod cpu;
pub(crate) mod disk;
pub(crate) mod http;
pub(crate) mod mixed_log;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod service;
