//! The laws of the log, on real files and real stores.

mod anchor;
mod append;
mod checkpoint;
mod damage;
mod golden;
mod open;
mod scan;
mod support;
mod verify;
