//! stub
use crate::{Credits, Timestamp};
use bincode::{Decode, Encode};
/// Names a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct VoucherId(pub [u8; 16]);
impl VoucherId {
    /// Of a code.
    #[must_use]
    pub fn of(code: &str) -> Self {
        let mut id = [0; 16];
        blake3::Hasher::new().update(code.as_bytes()).finalize_xof().fill(&mut id);
        Self(id)
    }
}
impl serde::Serialize for VoucherId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{:?}", self.0))
    }
}
/// x
#[derive(Debug, Clone)]
pub struct SigningKeys(Vec<Vec<u8>>);
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct KeyError;
impl SigningKeys {
    /// x
    pub const KEY_BYTES_MIN: usize = 32;
    /// x
    /// # Errors
    /// x
    pub fn new(k: Vec<Vec<u8>>) -> Result<Self, KeyError> {
        Ok(Self(k))
    }
    /// x
    #[must_use]
    pub fn sign(&self, _json: &str) -> [u8; 32] {
        [0; 32]
    }
}
/// x
#[must_use]
pub fn voucher_code(json: &str, _s: &[u8; 32]) -> String {
    json.to_owned()
}
/// x
#[derive(Debug, Clone)]
pub struct ZonedTimestamp {
    /// x
    pub moment: Timestamp,
    /// x
    pub offset_seconds: i32,
}
/// x
#[derive(Debug, Clone)]
pub struct VoucherItem {
    /// x
    pub amount: Credits,
    /// x
    pub expires_at: ZonedTimestamp,
}
/// x
#[derive(Debug, Clone)]
pub struct VoucherPayload {
    /// x
    pub giver_id: String,
    /// x
    pub giver_name: String,
    /// x
    pub giver_phone: String,
    /// x
    pub giver_github: String,
    /// x
    pub receiver_id: String,
    /// x
    pub items: Vec<VoucherItem>,
    /// x
    pub timestamp: i64,
}
impl VoucherPayload {
    /// x
    #[must_use]
    pub fn to_json(&self) -> String {
        format!("{self:?}")
    }
}
