//! The issuer's published keys (RFC 7517). Kept at hand, fetched again when they are old or a token
//! names one that is not known, but never in a hurry: callers cannot make us hammer the issuer.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    AuthError,
    token::{PinnedKey, validation},
};
use crate::config::Jwt;

/// Between two fetches, however many unknown keys are named.
const BETWEEN_FETCHES: Duration = Duration::from_secs(10);
/// Then keys are fetched again, so that a withdrawn key is forgotten.
const AGE_MAX: Duration = Duration::from_mins(5);
/// For one fetch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest key set that is read.
const BYTES_MAX: usize = 1 << 20;

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct KeySet {
    url: Url,
    client: Client,
    config: Jwt,
    keys: ArcSwap<Fetched>,
    /// When the last fetch began; held while one is under way.
    last_fetch: Mutex<Option<Instant>>,
    between_fetches: Duration,
}

#[derive(Debug, Default)]
struct Fetched {
    by_id: HashMap<String, Arc<PinnedKey>>,
    /// Serves tokens that name no key, when there is only one.
    only: Option<Arc<PinnedKey>>,
    /// `None`: never.
    at: Option<Instant>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    pub(super) fn new(url: &str, config: &Jwt) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            url: Url::parse(url).context("the address of the key set")?,
            client,
            config: config.clone(),
            keys: ArcSwap::default(),
            last_fetch: Mutex::new(None),
            between_fetches: BETWEEN_FETCHES,
        })
    }

    /// The key that a token names, or the only one there is.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Arc<PinnedKey>, AuthError> {
        let fetched = self.keys.load();
        if let Some(key) = fetched.find(id) {
            let is_old = fetched.at.is_none_or(|at| at.elapsed() > AGE_MAX);
            if !is_old {
                return Ok(key);
            }
            // One caller fetches; the others go on with what is known.
            if let Ok(mut last_fetch) = self.last_fetch.try_lock() {
                self.fetch(&mut last_fetch).await;
            }
        } else {
            let mut last_fetch = self.last_fetch.lock().await;
            self.fetch(&mut last_fetch).await;
        }
        let fetched = self.keys.load();
        fetched.find(id).ok_or(match fetched.at {
            Some(_) => AuthError::UnknownKey,
            None => AuthError::KeysUnavailable,
        })
    }

    /// Fetches, unless that was done a moment ago. A failure leaves what is known.
    async fn fetch(&self, last_fetch: &mut Option<Instant>) {
        if last_fetch.is_some_and(|at| at.elapsed() < self.between_fetches) {
            return;
        }
        *last_fetch = Some(Instant::now());
        match self.download().await {
            Ok(fetched) => self.keys.store(Arc::new(fetched)),
            Err(error) => {
                tracing::warn!(url = %self.url, error = format!("{error:#}"), "cannot fetch the issuer's keys");
            }
        }
    }

    async fn download(&self) -> anyhow::Result<Fetched> {
        let mut response = self.client.get(self.url.clone()).send().await?.error_for_status()?;
        ensure!(response.status().is_success(), "the answer was {}", response.status());
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await? {
            bytes.extend_from_slice(&piece);
            ensure!(bytes.len() <= BYTES_MAX, "longer than {BYTES_MAX} bytes");
        }
        let document: Document = serde_json::from_slice(&bytes).context("not a key set")?;
        Ok(Fetched::new(document, &self.config))
    }
}

impl Fetched {
    /// Keys for other purposes, and of kinds that are not used here, are left out. Of two with one
    /// id the first counts.
    fn new(document: Document, config: &Jwt) -> Self {
        let mut by_id = HashMap::new();
        let mut usable = Vec::new();
        for value in document.keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
            let Some(algorithm) = algorithm_of(&jwk) else { continue };
            let Ok(key) = DecodingKey::from_jwk(&jwk) else { continue };
            let validation = validation(config, algorithm);
            let key = Arc::new(PinnedKey { algorithm, key, validation });
            if let Some(id) = jwk.common.key_id {
                by_id.entry(id).or_insert_with(|| Arc::clone(&key));
            }
            usable.push(key);
        }
        let only = if usable.len() == 1 { usable.pop() } else { None };
        Self { by_id, only, at: Some(Instant::now()) }
    }

    fn find(&self, id: Option<&str>) -> Option<Arc<PinnedKey>> {
        match id {
            Some(id) => self.by_id.get(id).cloned(),
            None => self.only.clone(),
        }
    }
}

/// The one algorithm a key verifies.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|own| own == named).then_some(algorithm)
}

#[cfg(test)]
mod tests;
