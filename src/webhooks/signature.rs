//! What receivers know our webhooks by: HMAC-SHA256 over the id, the time and the body, under a secret
//! that both sides know.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Before every secret.
const PREFIX: &str = "whsec_";
/// How many bytes are in a secret of ours.
const BYTES: usize = 32;

/// A secret. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, &'static str> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).map_err(|_| "could not make a random secret")?;
        Ok(Self(bytes.to_vec()))
    }

    /// Reads `whsec_` and 24 to 64 bytes in base64.
    ///
    /// # Errors
    /// Says what it must be, and nothing of what it is.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be `whsec_` and 24 to 64 bytes in base64";
        let bytes = text.strip_prefix(PREFIX).and_then(|rest| STANDARD.decode(rest).ok());
        bytes.filter(|bytes| (24..=64).contains(&bytes.len())).map(Self).ok_or(WRONG)
    }

    /// As [`Self::parse`] reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// Signs a body that is sent under an id at a time, in seconds since 1970.
    ///
    /// # Panics
    /// Never: the algorithm takes keys of any length.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("invariant: any length is a key");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_what_the_specification_says() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let body = br#"{"test": 2432232314}"#;
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_read_as_it_is_written_and_never_shown() {
        let secret = Secret::generate().expect("random bytes");
        assert_eq!(Secret::parse(&secret.to_text()), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "[redacted]");
        let of = |count| format!("whsec_{}", STANDARD.encode(vec![7; count]));
        for (text, is_one) in [
            (of(24), true),
            (of(64), true),
            (of(23), false),
            (of(65), false),
            (of(24).replace("whsec_", ""), false),
            ("whsec_".to_owned(), false),
            ("whsec_!!!!".to_owned(), false),
        ] {
            assert_eq!(Secret::parse(&text).is_ok(), is_one, "{text}");
        }
    }
}
