//! Keys from a real server on a real socket.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use jsonwebtoken::{EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::{config::Secret, http::auth::token::Tokens};

const KEYS: &str = include_str!("../testdata/jwks.json");

/// An issuer that publishes what it is told to.
#[derive(Default)]
struct Issuer {
    answer: Mutex<(StatusCode, String)>,
    asked: AtomicUsize,
}

impl Issuer {
    async fn start(status: StatusCode, keys: &str) -> (Arc<Self>, Jwt) {
        let issuer = Arc::new(Self::default());
        issuer.publish(status, keys);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/keys", get(async |State(issuer): State<Arc<Self>>| issuer.answer()))
            .with_state(Arc::clone(&issuer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (issuer, Jwt { jwks_url: Some(url), ..Jwt::default() })
    }

    fn answer(&self) -> (StatusCode, String) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answer.lock().clone()
    }

    fn publish(&self, status: StatusCode, keys: &str) {
        *self.answer.lock() = (status, keys.to_owned());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn only(ids: &[&str]) -> String {
    let all: serde_json::Value = serde_json::from_str(KEYS).unwrap();
    let chosen: Vec<_> = all["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| ids.contains(&key["kid"].as_str().unwrap()))
        .collect();
    json!({ "keys": chosen }).to_string()
}

fn token(algorithm: Algorithm, id: Option<&str>) -> String {
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(include_bytes!("../testdata/rs256.pem")),
        Algorithm::ES256 => EncodingKey::from_ec_pem(include_bytes!("../testdata/es256.pem")),
        _ => EncodingKey::from_ed_pem(include_bytes!("../testdata/eddsa.pem")),
    };
    let header = Header { kid: id.map(ToOwned::to_owned), ..Header::new(algorithm) };
    encode(&header, &json!({"id": "u1"}), &key.unwrap()).unwrap()
}

async fn refusal(tokens: &Tokens, token: &str) -> &'static str {
    tokens.caller(token).await.expect_err("must be refused").code()
}

#[tokio::test]
async fn published_keys_verify_their_own_algorithm() {
    let (issuer, config) = Issuer::start(StatusCode::OK, KEYS).await;
    let tokens = Tokens::new(&config).unwrap();
    for (algorithm, id) in
        [(Algorithm::RS256, "rsa"), (Algorithm::ES256, "ec"), (Algorithm::EdDSA, "ed")]
    {
        let caller = tokens.caller(&token(algorithm, Some(id))).await.unwrap();
        assert_eq!(caller.actor.as_str(), "user:u1");
    }
    assert_eq!(issuer.asked(), 1, "fetched once for all");

    let mut forged = token(Algorithm::RS256, Some("rsa"));
    forged.truncate(forged.rfind('.').unwrap() + 1);
    assert_eq!(refusal(&tokens, &forged).await, "wrong_signature");
    for (algorithm, id, code) in [
        (Algorithm::ES256, Some("rsa"), "wrong_algorithm"),
        (Algorithm::RS256, Some("ec"), "wrong_algorithm"),
        (Algorithm::EdDSA, Some("ec"), "wrong_algorithm"),
        (Algorithm::RS256, None, "unknown_key"),
        (Algorithm::RS256, Some("nobody's"), "unknown_key"),
    ] {
        assert_eq!(refusal(&tokens, &token(algorithm, id)).await, code, "{algorithm:?} {id:?}");
    }
}

#[tokio::test]
async fn a_public_key_is_never_a_shared_secret() {
    let (_issuer, mut config) = Issuer::start(StatusCode::OK, KEYS).await;
    let all: serde_json::Value = serde_json::from_str(KEYS).unwrap();
    let public = all["keys"][0]["n"].as_str().unwrap();
    let header = Header { kid: Some("rsa".to_owned()), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(public.as_bytes());
    let confused = encode(&header, &json!({"id": "u1"}), &key).unwrap();

    let tokens = Tokens::new(&config).unwrap();
    assert_eq!(refusal(&tokens, &confused).await, "algorithm_not_accepted");
    config.hs256_secret = Some(Secret::from("something else"));
    let tokens = Tokens::new(&config).unwrap();
    assert_eq!(refusal(&tokens, &confused).await, "wrong_signature");
}

#[tokio::test]
async fn a_shared_secret_in_the_set_is_not_used() {
    let set = r#"{"keys": [{"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"}, {"kty": "new"}, 7]}"#;
    let (_issuer, config) = Issuer::start(StatusCode::OK, set).await;
    let tokens = Tokens::new(&config).unwrap();
    assert_eq!(refusal(&tokens, &token(Algorithm::RS256, Some("rsa"))).await, "unknown_key");
}

#[tokio::test]
async fn keys_for_other_purposes_are_not_used() {
    let set = KEYS.replace(r#""use": "sig""#, r#""use": "enc""#);
    let (_issuer, config) = Issuer::start(StatusCode::OK, &set).await;
    let tokens = Tokens::new(&config).unwrap();
    assert_eq!(refusal(&tokens, &token(Algorithm::ES256, Some("ec"))).await, "unknown_key");
}

#[tokio::test]
async fn a_token_may_leave_out_the_only_key() {
    let (_issuer, config) = Issuer::start(StatusCode::OK, &only(&["ec"])).await;
    let tokens = Tokens::new(&config).unwrap();
    assert!(tokens.caller(&token(Algorithm::ES256, None)).await.is_ok());
}

#[tokio::test]
async fn a_storm_of_unknown_keys_fetches_once() {
    let (issuer, config) = Issuer::start(StatusCode::OK, KEYS).await;
    let tokens = Arc::new(Tokens::new(&config).unwrap());
    let storm = (0..50).map(|number| {
        let tokens = Arc::clone(&tokens);
        tokio::spawn(async move {
            let id = format!("unknown-{number}");
            tokens.caller(&token(Algorithm::ES256, Some(&id))).await
        })
    });
    for outcome in futures_util::future::join_all(storm).await {
        assert_eq!(outcome.unwrap().unwrap_err(), AuthError::UnknownKey);
    }
    assert_eq!(issuer.asked(), 1);
}

fn key_set(config: &Jwt) -> KeySet {
    let mut keys = KeySet::new(config.jwks_url.as_deref().unwrap(), config).unwrap();
    keys.between_fetches = Duration::ZERO;
    keys
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_forgotten() {
    let (issuer, config) = Issuer::start(StatusCode::OK, &only(&["rsa"])).await;
    let keys = key_set(&config);
    assert!(keys.find(Some("rsa")).await.is_ok());
    issuer.publish(StatusCode::OK, &only(&["ec"]));
    assert!(keys.find(Some("rsa")).await.is_ok(), "not old yet");
    assert_eq!(issuer.asked(), 1);

    let known = Fetched {
        by_id: keys.keys.load().by_id.clone(),
        only: None,
        at: Instant::now().checked_sub(AGE_MAX + Duration::from_secs(1)),
    };
    keys.keys.store(Arc::new(known));
    assert_eq!(keys.find(Some("rsa")).await.unwrap_err(), AuthError::UnknownKey);
    assert!(keys.find(Some("ec")).await.is_ok());
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn an_issuer_that_fails_leaves_what_is_known() {
    let (issuer, config) = Issuer::start(StatusCode::INTERNAL_SERVER_ERROR, KEYS).await;
    let keys = key_set(&config);
    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, KEYS.to_owned()),
        (StatusCode::FOUND, KEYS.to_owned()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, " ".repeat(BYTES_MAX + 1)),
    ] {
        issuer.publish(status, &body);
        assert_eq!(keys.find(Some("rsa")).await.unwrap_err(), AuthError::KeysUnavailable);
    }
    issuer.publish(StatusCode::OK, KEYS);
    assert!(keys.find(Some("rsa")).await.is_ok());
    issuer.publish(StatusCode::INTERNAL_SERVER_ERROR, "");
    assert_eq!(keys.find(Some("unknown")).await.unwrap_err(), AuthError::UnknownKey);
    assert!(keys.find(Some("rsa")).await.is_ok());
}
