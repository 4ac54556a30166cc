//! Whether a webhook is Stripe's: `Stripe-Signature: t=…,v1=…`, where a `v1` is the HMAC-SHA256 of
//! `t`, a dot and the body under the secret of the endpoint.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use schemas::Timestamp;
use sha2::Sha256;
use thiserror::Error;

/// How far a webhook's time may lie from ours, either way.
const TOLERANCE_SECONDS: i64 = 300;
/// The most signatures that are looked at.
const SIGNATURES_MAX: usize = 16;

/// Why a webhook is not taken to be Stripe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The header cannot be read.
    #[error("the signature cannot be read")]
    Malformed,
    /// No signature is that of the body.
    #[error("no signature is that of the body")]
    Mismatch,
    /// It is too old, or of the future.
    #[error("the time is not within the tolerance")]
    Untimely,
}

/// The secret of a webhook endpoint, `whsec_…`.
#[derive(Clone)]
pub struct WebhookSecret(Hmac<Sha256>);

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookSecret")
    }
}

impl WebhookSecret {
    /// Keyed by the text of the secret, as it stands.
    ///
    /// # Panics
    /// Never: HMAC takes keys of every length.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(Hmac::new_from_slice(secret.as_bytes()).expect("invariant: a key of any length"))
    }

    /// Takes a webhook whose signature is right at `now`.
    ///
    /// # Errors
    /// When the header is ill-formed, no signature in it is that of `body`, or its time is too far
    /// from `now`.
    pub fn verify(&self, header: &str, body: &[u8], now: Timestamp) -> Result<(), SignatureError> {
        let (time, signatures) = parse(header).ok_or(SignatureError::Malformed)?;
        let mut signed = self.0.clone();
        signed.update(time.as_bytes());
        signed.update(b".");
        signed.update(body);
        // Each is compared in constant time, and all of them are.
        let matches = signatures
            .iter()
            .filter(|signature| signed.clone().verify_slice(*signature).is_ok())
            .count();
        if matches == 0 {
            return Err(SignatureError::Mismatch);
        }
        let time: i64 = time.parse().map_err(|_| SignatureError::Malformed)?;
        let apart = now.micros().div_euclid(1_000_000).checked_sub(time).map(i64::unsigned_abs);
        match apart {
            Some(apart) if apart <= TOLERANCE_SECONDS.unsigned_abs() => Ok(()),
            _ => Err(SignatureError::Untimely),
        }
    }
}

/// The time, as it is written, and the signatures of the scheme that counts.
fn parse(header: &str) -> Option<(&str, Vec<[u8; 32]>)> {
    let (mut time, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        let (name, value) = part.trim().split_once('=')?;
        match name {
            "t" if time.is_some() || !value.bytes().all(|byte| byte.is_ascii_digit()) => {
                return None;
            }
            "t" => time = Some(value),
            "v1" if signatures.len() < SIGNATURES_MAX => signatures.extend(hexadecimal(value)),
            _ => {}
        }
    }
    Some((time.filter(|time| !time.is_empty())?, signatures))
}

/// 32 bytes in hexadecimal.
fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes?.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_test_secret";
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    /// Of `1740830400.` and the body, by `openssl dgst -sha256 -hmac whsec_test_secret`.
    const SIGNATURE: &str = "91b19954ee1e1780dcb45850548b256049d7f7000cd907ddee7e82e76fe9885f";
    const AT: &str = "2025-03-01T12:00:00Z";

    fn verify(header: &str, now: &str) -> Result<(), SignatureError> {
        WebhookSecret::new(SECRET).verify(header, BODY, Timestamp::parse(now).unwrap())
    }

    #[test]
    fn a_signature_counts_as_others_make_it() {
        let header = format!("t=1740830400,v1={SIGNATURE}");
        assert_eq!(verify(&header, AT), Ok(()));
        let other = WebhookSecret::new("whsec_other");
        let now = Timestamp::parse(AT).unwrap();
        assert_eq!(other.verify(&header, BODY, now), Err(SignatureError::Mismatch));
        let secret = WebhookSecret::new(SECRET);
        assert_eq!(secret.verify(&header, b"{}", now), Err(SignatureError::Mismatch));
    }

    #[test]
    fn any_of_several_signatures_may_be_the_right_one() {
        let wrong = "0".repeat(64);
        for header in [
            format!("t=1740830400,v1={wrong},v1={SIGNATURE}"),
            format!("t=1740830400,v1={SIGNATURE},v1={wrong},v0={wrong}"),
            format!("v0=x,v1=short,t=1740830400, v1={SIGNATURE}"),
        ] {
            assert_eq!(verify(&header, AT), Ok(()), "{header}");
        }
        for header in [
            format!("t=1740830400,v0={SIGNATURE}"),
            format!("t=1740830400,v1={wrong}"),
            format!("t=1740830401,v1={SIGNATURE}"),
            "t=1740830400".to_owned(),
        ] {
            assert_eq!(verify(&header, AT), Err(SignatureError::Mismatch), "{header}");
        }
    }

    #[test]
    fn a_webhook_may_be_five_minutes_off_either_way() {
        let header = format!("t=1740830400,v1={SIGNATURE}");
        for (now, expected) in [
            ("2025-03-01T12:05:00Z", Ok(())),
            ("2025-03-01T11:55:00Z", Ok(())),
            ("2025-03-01T12:05:01Z", Err(SignatureError::Untimely)),
            ("2025-03-01T11:54:59Z", Err(SignatureError::Untimely)),
        ] {
            assert_eq!(verify(&header, now), expected, "{now}");
        }
    }

    #[test]
    fn an_ill_formed_header_is_refused() {
        for header in [
            String::new(),
            "t".to_owned(),
            "garbage".to_owned(),
            format!("v1={SIGNATURE}"),
            format!("t=,v1={SIGNATURE}"),
            format!("t=-1740830400,v1={SIGNATURE}"),
            format!("t=1740830400,t=1740830400,v1={SIGNATURE}"),
        ] {
            assert_eq!(verify(&header, AT), Err(SignatureError::Malformed), "{header}");
        }
    }
}
