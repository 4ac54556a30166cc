//! stub
use bincode::{Decode, Encode};
/// Names a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct VoucherId(pub [u8; 16]);
