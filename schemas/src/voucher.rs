//! Vouchers: quota on its way from one user to another, as a signed text that the giver hands over.
//! The code is `base64url(payload "|" hex(HMAC-SHA256(key, payload)))`, to the byte what the first
//! quota manager made and accepts. What may be given or redeemed is not decided here.

mod json;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bincode::{Decode, Encode};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha256;
use thiserror::Error;

use crate::{Credits, ZonedTimestamp};

/// The longest code that is looked at, in bytes.
pub const VOUCHER_BYTES_MAX: usize = 1 << 20;

/// What a voucher says. What is not known of the giver is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherPayload {
    /// Who gives.
    #[serde(default)]
    pub giver_id: String,
    /// The giver's name.
    #[serde(default)]
    pub giver_name: String,
    /// The giver's telephone number.
    #[serde(default)]
    pub giver_phone: String,
    /// The giver's GitHub account.
    #[serde(default)]
    pub giver_github: String,
    /// Who may redeem it.
    pub receiver_id: String,
    /// What is given.
    #[serde(rename = "quota_list", deserialize_with = "list_or_null")]
    pub items: Vec<VoucherItem>,
    /// When it was made, in seconds since the epoch.
    pub timestamp: i64,
}

/// A part of what is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherItem {
    /// How much. Nothing here forbids a negative amount.
    pub amount: Credits,
    /// Until when it is valid.
    #[serde(rename = "expiry_date")]
    pub expires_at: ZonedTimestamp,
}

impl VoucherPayload {
    /// The payload as the first quota manager prints it: fields in the order of this type, no
    /// spaces, and `<`, `>` and `&` escaped.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::print(self)
    }
}

/// Go prints a list that was never filled as `null`.
fn list_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<VoucherItem>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The keys that vouchers are signed with: the first signs, all of them verify.
#[derive(Clone)]
pub struct SigningKeys {
    first: Hmac<Sha256>,
    others: Vec<Hmac<Sha256>>,
}

/// Why keys cannot sign vouchers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// There is none.
    #[error("vouchers need at least one signing key")]
    Missing,
    /// One of them can be guessed.
    #[error("signing key {position} has {bytes} bytes, fewer than {min}", min = SigningKeys::KEY_BYTES_MIN)]
    TooShort {
        /// Which one, from 1.
        position: usize,
        /// How long it is.
        bytes: usize,
    },
}

/// Why a code is no voucher.
#[derive(Debug, Error)]
pub enum VoucherError {
    /// Longer than [`VOUCHER_BYTES_MAX`].
    #[error("the voucher has {bytes} bytes, more than {VOUCHER_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Not a text of the right form.
    #[error("the voucher is damaged or incomplete")]
    Malformed,
    /// Made with none of the keys, or changed since.
    #[error("the voucher's signature does not match")]
    WrongSignature,
    /// Signed, and yet not a payload.
    #[error("the voucher's content cannot be read")]
    Payload(#[source] serde_json::Error),
}

/// A voucher whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedVoucher {
    /// By which it is recognised when it comes again.
    pub id: VoucherId,
    /// What it says.
    pub payload: VoucherPayload,
    /// The signature it carries.
    pub signature: [u8; 32],
}

impl SigningKeys {
    /// The shortest key, in bytes: as long as what it signs with.
    pub const KEY_BYTES_MIN: usize = 32;

    /// Of these keys; the first is the current one.
    ///
    /// # Errors
    /// When there is none or one is too short.
    pub fn new(keys: Vec<Vec<u8>>) -> Result<Self, KeyError> {
        for (position, key) in (1..).zip(&keys) {
            if key.len() < Self::KEY_BYTES_MIN {
                return Err(KeyError::TooShort { position, bytes: key.len() });
            }
        }
        let mut keyed = keys.into_iter().map(|key| keyed(&key));
        let first = keyed.next().ok_or(KeyError::Missing)?;
        Ok(Self { first, others: keyed.collect() })
    }

    /// Signs a payload with the first key.
    #[must_use]
    pub fn sign(&self, json: &str) -> [u8; 32] {
        self.first.clone().chain_update(json).finalize().into_bytes().into()
    }

    /// The code of a payload and its signature. Equal payloads have equal codes: whoever makes two
    /// alike within a second has one voucher.
    #[must_use]
    pub fn code(json: &str, signature: &[u8; 32]) -> String {
        URL_SAFE_NO_PAD.encode(format!("{json}|{}", hexadecimal(signature)))
    }

    /// Reads a code, whichever of the keys it was signed with. The payload is verified as the bytes
    /// that were received, and only then read: fields that are not known are passed over.
    ///
    /// A voucher has exactly one code: one that is spelled differently, as with upper-case digits in
    /// the signature, is refused, so that its [`VoucherId`] tells whether it has been redeemed.
    ///
    /// # Errors
    /// When it is too long, malformed, not signed with one of the keys, or not about a voucher.
    pub fn open(&self, code: &str) -> Result<OpenedVoucher, VoucherError> {
        if code.len() > VOUCHER_BYTES_MAX {
            return Err(VoucherError::TooLong { bytes: code.len() });
        }
        let bytes = URL_SAFE_NO_PAD.decode(code).map_err(|_| VoucherError::Malformed)?;
        let (json, signature) = split(&bytes).ok_or(VoucherError::Malformed)?;
        if !self.verify(json, &signature) {
            return Err(VoucherError::WrongSignature);
        }
        let payload = serde_json::from_slice(json).map_err(VoucherError::Payload)?;
        Ok(OpenedVoucher { id: VoucherId::of(code), payload, signature })
    }

    fn verify(&self, json: &[u8], signature: &[u8; 32]) -> bool {
        std::iter::once(&self.first)
            .chain(&self.others)
            .any(|key| key.clone().chain_update(json).verify_slice(signature).is_ok())
    }
}

/// How many keys there are, and nothing of them.
impl fmt::Debug for SigningKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.others.len().saturating_add(1);
        write!(formatter, "SigningKeys([redacted]; {count})")
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("invariant: HMAC takes keys of every length")
}

/// The payload before the last `|`, which a name may hold too, and the signature after it.
fn split(bytes: &[u8]) -> Option<(&[u8], [u8; 32])> {
    let (rest, digits) = bytes.split_last_chunk::<64>()?;
    let json = rest.strip_suffix(b"|")?;
    let mut signature = [0; 32];
    for (byte, pair) in signature.iter_mut().zip(digits.chunks_exact(2)) {
        let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        let pair =
            std::str::from_utf8(pair).ok().filter(|pair| pair.as_bytes().iter().all(is_digit))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some((json, signature))
}

/// Lower-case hexadecimal.
fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// By what a voucher is recognised: the first bytes of the BLAKE3 hash of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct VoucherId([u8; 16]);

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a voucher's id is 32 lower-case hexadecimal digits")]
pub struct VoucherIdError;

impl VoucherId {
    /// Of the voucher with this code.
    #[must_use]
    pub fn of(code: &str) -> Self {
        let hash = blake3::hash(code.as_bytes());
        Self(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }

    /// From the bytes alone.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes alone.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for VoucherId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hexadecimal(&self.0))
    }
}

impl FromStr for VoucherId {
    type Err = VoucherIdError;

    fn from_str(text: &str) -> Result<Self, VoucherIdError> {
        uuid::Uuid::try_parse(text)
            .map(|uuid| Self(uuid.into_bytes()))
            .ok()
            .filter(|id| id.to_string() == text)
            .ok_or(VoucherIdError)
    }
}

impl Serialize for VoucherId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VoucherId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
