//! JSON Web Tokens. Each key verifies one algorithm: HS256 with the configured secret, RS256, ES256
//! and `EdDSA` with the issuer's published keys. A token's life is judged by the machine's clock
//! even when the book's is manual, because issuers live in real time.

use std::collections::HashSet;

use axum::http::HeaderName;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, dangerous::insecure_decode, decode, decode_header,
    errors::ErrorKind,
};
use schemas::{Name, Role};
use serde::Deserialize;
use serde_json::Value;

use super::{AuthError, Caller, Identity, jwks::KeySet};
use crate::config::Jwt;

/// Verifies tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    header: HeaderName,
    shared: Option<PinnedKey>,
    published: Option<KeySet>,
    trust: bool,
}

/// A key with the one algorithm it verifies, and what tokens under it must satisfy.
pub(super) struct PinnedKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
    pub(super) validation: Validation,
}

impl std::fmt::Debug for PinnedKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "a key for {:?}", self.algorithm)
    }
}

/// What a token says about its holder.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Claims {
    id: Value,
    sub: Value,
    role: Value,
    #[serde(rename = "organizationId")]
    organization_id: Value,
    #[serde(rename = "organization_id")]
    organization_id_snake: Value,
    org: Value,
    name: Value,
    #[serde(rename = "staffID")]
    staff_id: Value,
    github: Value,
    phone: Value,
}

impl Tokens {
    pub(super) fn new(config: &Jwt) -> anyhow::Result<Self> {
        let shared = config.hs256_secret.as_ref().map(|secret| PinnedKey {
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret.expose().as_bytes()),
            validation: validation(config, Algorithm::HS256),
        });
        Ok(Self {
            header: HeaderName::try_from(&config.header)?,
            shared,
            published: config.jwks_url.as_ref().map(|url| KeySet::new(url, config)).transpose()?,
            trust: config.trust_upstream_jwt,
        })
    }

    /// The header that carries tokens.
    pub(super) fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Who holds `token`.
    pub(super) async fn caller(&self, token: &str) -> Result<Caller, AuthError> {
        if token.split('.').count() != 3 {
            return Err(AuthError::malformed("it must have three parts"));
        }
        if self.trust {
            let claims = insecure_decode::<Claims>(token).map_err(|error| refusal(&error))?.claims;
            return claims.caller();
        }
        let header = decode_header(token).map_err(|error| refusal(&error))?;
        // Extensions that a verifier must understand; we know none.
        if header.crit.is_some() {
            return Err(AuthError::malformed("it has critical extensions"));
        }
        match (header.alg, &self.shared, &self.published) {
            (Algorithm::HS256, Some(key), _) => key.verify(token),
            (Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA, _, Some(keys)) => {
                keys.find(header.kid.as_deref()).await?.verify(token)
            }
            _ => Err(AuthError::AlgorithmNotAccepted),
        }
        .and_then(Claims::caller)
    }
}

impl PinnedKey {
    fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        decode::<Claims>(token, &self.key, &self.validation)
            .map(|token| token.claims)
            .map_err(|error| refusal(&error))
    }
}

/// What a token under a key for `algorithm` must satisfy.
pub(super) fn validation(config: &Jwt, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_nbf = true;
    let mut required = HashSet::new();
    if config.require_expiry {
        required.insert("exp".to_owned());
    }
    if let Some(issuer) = &config.issuer {
        validation.set_issuer(&[issuer]);
        required.insert("iss".to_owned());
    }
    validation.validate_aud = config.audience.is_some();
    if let Some(audience) = &config.audience {
        validation.set_audience(&[audience]);
        required.insert("aud".to_owned());
    }
    validation.required_spec_claims = required;
    validation
}

fn refusal(error: &jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::InvalidSignature => AuthError::WrongSignature,
        ErrorKind::ExpiredSignature => AuthError::Expired,
        ErrorKind::ImmatureSignature => AuthError::NotYetValid,
        ErrorKind::InvalidIssuer => AuthError::WrongIssuer,
        ErrorKind::InvalidAudience => AuthError::WrongAudience,
        ErrorKind::InvalidAlgorithm => AuthError::WrongAlgorithm,
        ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            AuthError::AlgorithmNotAccepted
        }
        ErrorKind::MissingRequiredClaim(claim) => AuthError::MissingClaim(claim.clone()),
        ErrorKind::InvalidClaimFormat(claim) => AuthError::invalid(claim, "must be a number"),
        ErrorKind::InvalidToken => AuthError::malformed("it must have three parts"),
        ErrorKind::Base64(_) => AuthError::malformed("it is not base64url"),
        ErrorKind::Utf8(_) => AuthError::malformed("it is not UTF-8"),
        // The header's `alg` is the only closed set in a token.
        ErrorKind::Json(error) if error.to_string().starts_with("unknown variant") => {
            AuthError::AlgorithmNotAccepted
        }
        ErrorKind::Json(_) => AuthError::malformed("its parts are not the JSON of a token"),
        other => AuthError::malformed(format!("{other:?}")),
    }
}

impl Claims {
    fn caller(self) -> Result<Caller, AuthError> {
        let user = match name("id", &self.id)? {
            Some(user) => user,
            None => {
                name("sub", &self.sub)?.ok_or_else(|| AuthError::MissingClaim("id".to_owned()))?
            }
        };
        let role = match &self.role {
            Value::Null => Role::TenantUser,
            Value::String(role) => {
                role.parse().map_err(|reason: String| AuthError::invalid("role", reason))?
            }
            _ => return Err(AuthError::invalid("role", "must be a string")),
        };
        let mut tenant = None;
        for (claim, value) in [
            ("organizationId", &self.organization_id),
            ("organization_id", &self.organization_id_snake),
            ("org", &self.org),
        ] {
            if tenant.is_none() {
                tenant = name(claim, value)?;
            }
        }
        if role == Role::TenantAdmin && tenant.is_none() {
            return Err(AuthError::MissingClaim("organizationId".to_owned()));
        }
        let actor = Name::try_from(format!("user:{user}"))
            .map_err(|error| AuthError::invalid("id", error.to_string()))?;
        let identity = Identity {
            name: text(self.name),
            staff_id: text(self.staff_id),
            github: text(self.github),
            phone: text(self.phone),
        };
        Ok(Caller { role, tenant, user: Some(user), actor, identity })
    }
}

/// A claim that nothing is decided by: one that is no text says nothing.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        _ => String::new(),
    }
}

fn name(claim: &str, value: &Value) -> Result<Option<Name>, AuthError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Name::try_from(text.as_str())
            .map(Some)
            .map_err(|error| AuthError::invalid(claim, error.to_string())),
        _ => Err(AuthError::invalid(claim, "must be a string")),
    }
}
