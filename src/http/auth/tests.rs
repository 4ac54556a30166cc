//! Who is let in, and what they then see.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::config::{ApiKey, Auth, Jwt, Secret};

const SECRET: &str = "a secret of thirty-two bytes or so";
const FAR_FUTURE: u64 = 4_102_444_800;
const LONG_AGO: u64 = 1_000_000_000;

fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

fn jwt() -> Jwt {
    Jwt { hs256_secret: Some(SECRET.into()), ..Jwt::default() }
}

fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn token(claims: &Value) -> String {
    signed(Algorithm::HS256, SECRET, claims)
}

async fn caller_of(jwt: Jwt, header: &str) -> Result<Caller, AuthError> {
    let authenticator = Authenticator::new(&Auth { jwt, ..Auth::default() }).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("authorization", header.parse().unwrap());
    authenticator.authenticate(&headers).await
}

#[tokio::test]
async fn a_signed_token_says_who_calls() {
    let claims = json!({"id": "u1", "exp": FAR_FUTURE});
    let caller = caller_of(jwt(), &format!("Bearer {}", token(&claims))).await.unwrap();
    let expected = Caller {
        role: Role::TenantUser,
        tenant: None,
        user: Some(name("u1")),
        actor: name("user:u1"),
        identity: Identity::default(),
    };
    assert_eq!(caller, expected);
    for header in [token(&claims), format!("bearer  {} ", token(&claims))] {
        assert_eq!(caller_of(jwt(), &header).await, Ok(expected.clone()), "{header}");
    }

    for (claims, role, tenant) in [
        (json!({"sub": "u1", "role": "developer"}), Role::Developer, None),
        (json!({"sub": "u1", "id": null, "org": "t1"}), Role::TenantUser, Some("t1")),
        (
            json!({"id": "u1", "sub": "x", "role": "tenant_admin", "organization_id": "t1"}),
            Role::TenantAdmin,
            Some("t1"),
        ),
        (json!({"id": "u1", "organizationId": "t1", "org": "x"}), Role::TenantUser, Some("t1")),
    ] {
        let caller = caller_of(jwt(), &token(&claims)).await.unwrap();
        assert_eq!(caller.user, Some(name("u1")), "{claims}");
        assert_eq!((caller.role, caller.tenant), (role, tenant.map(name)), "{claims}");
    }
}

#[tokio::test]
async fn a_token_says_who_the_caller_is_to_people() {
    let claims = json!({
        "id": "user001", "name": "John Doe", "staffID": "emp001", "github": "johndoe",
        "phone": "13800138001",
    });
    let caller = caller_of(jwt(), &token(&claims)).await.unwrap();
    let identity = Identity {
        name: "John Doe".to_owned(),
        staff_id: "emp001".to_owned(),
        github: "johndoe".to_owned(),
        phone: "13800138001".to_owned(),
    };
    assert_eq!(caller.identity, identity);
    let claims = json!({"id": "u1", "name": 7, "staffID": ["x"], "github": null});
    let caller = caller_of(jwt(), &token(&claims)).await.unwrap();
    assert_eq!(caller.identity, Identity::default());
}

#[tokio::test]
async fn a_token_that_is_not_accepted_says_why() {
    let good = token(&json!({"id": "u1"}));
    let (body, _) = good.rsplit_once('.').unwrap();
    let other_payload = token(&json!({"id": "u2"}));
    let spliced = format!(
        "{}.{}.{}",
        good.split('.').next().unwrap(),
        other_payload.split('.').nth(1).unwrap(),
        good.rsplit('.').next().unwrap()
    );
    // {"alg":"none","typ":"JWT"} and {"id":"u1"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJpZCI6InUxIn0.";
    for (header, code) in [
        ("garbage".to_owned(), "malformed_token"),
        ("Bearer a.b.c".to_owned(), "malformed_token"),
        ("Bearer ".to_owned(), "malformed_token"),
        (format!("{good}.more"), "malformed_token"),
        (format!("Basic {good}"), "unknown_scheme"),
        (format!("{body}."), "wrong_signature"),
        (spliced, "wrong_signature"),
        (signed(Algorithm::HS256, "another secret", &json!({"id": "u1"})), "wrong_signature"),
        (none.to_owned(), "algorithm_not_accepted"),
        (signed(Algorithm::HS512, SECRET, &json!({"id": "u1"})), "algorithm_not_accepted"),
        (token(&json!({"id": "u1", "exp": LONG_AGO})), "token_expired"),
        (token(&json!({"id": "u1", "exp": "soon"})), "invalid_claim"),
        (token(&json!({"id": "u1", "nbf": FAR_FUTURE})), "token_not_yet_valid"),
        (token(&json!({"name": "John"})), "missing_claim"),
        (token(&json!({"id": ""})), "invalid_claim"),
        (token(&json!({"id": 7})), "invalid_claim"),
        (token(&json!({"id": "u\u{0}"})), "invalid_claim"),
        (token(&json!({"id": "u".repeat(256)})), "invalid_claim"),
        (token(&json!({"id": "u1", "role": "root"})), "invalid_claim"),
        (token(&json!({"id": "u1", "role": ["developer"]})), "invalid_claim"),
        (token(&json!({"id": "u1", "role": "tenant_admin"})), "missing_claim"),
        (token(&json!(["id", "u1"])), "malformed_token"),
    ] {
        let error = caller_of(jwt(), &header).await.expect_err(&header);
        assert_eq!(error.code(), code, "{header}: {error}");
        let problem = Problem::from(error);
        assert_eq!(problem.kind(), Kind::Unauthenticated);
        assert_eq!(
            problem.into_response().headers()["www-authenticate"],
            r#"Bearer realm="tallybook", error="invalid_token""#
        );
    }
}

#[tokio::test]
async fn what_is_configured_is_required() {
    let strict = || Jwt {
        issuer: Some("idp".to_owned()),
        audience: Some("tallybook".to_owned()),
        require_expiry: true,
        ..jwt()
    };
    let full = json!({"id": "u1", "iss": "idp", "aud": ["x", "tallybook"], "exp": FAR_FUTURE});
    assert!(caller_of(strict(), &token(&full)).await.is_ok());
    for (claim, value, code) in [
        ("iss", json!("evil"), "wrong_issuer"),
        ("iss", Value::Null, "missing_claim"),
        ("iss", json!(7), "missing_claim"),
        ("aud", json!("other"), "wrong_audience"),
        ("aud", Value::Null, "missing_claim"),
        ("exp", Value::Null, "missing_claim"),
    ] {
        let mut claims = full.clone();
        claims[claim] = value;
        let error = caller_of(strict(), &token(&claims)).await.unwrap_err();
        assert_eq!(error.code(), code, "{claims}");
    }
}

#[tokio::test]
async fn without_a_key_no_token_is_accepted() {
    let error = caller_of(Jwt::default(), &token(&json!({"id": "u1"}))).await.unwrap_err();
    assert_eq!(error, AuthError::AlgorithmNotAccepted);
}

#[tokio::test]
async fn tokens_are_believed_only_where_that_is_said() {
    let sample = "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6InVzZXIwMDEiLCJuYW1lIjoiSm9obiBEb2UiLCJzdGFmZklEIjoiZW1wMDAxIiwiZ2l0aHViIjoiam9obmRvZSIsInBob25lIjoiMTM4MDAxMzgwMDEifQ.sig";
    assert_eq!(caller_of(jwt(), sample).await.unwrap_err(), AuthError::WrongSignature);
    let trusting = || Jwt { trust_upstream_jwt: true, ..Jwt::default() };
    assert_eq!(caller_of(trusting(), sample).await.unwrap().user, Some(name("user001")));
    for (header, code) in [
        (token(&json!({"name": "John"})), "missing_claim"),
        ("a.b".to_owned(), "malformed_token"),
        ("a.b.c".to_owned(), "malformed_token"),
    ] {
        assert_eq!(caller_of(trusting(), &header).await.unwrap_err().code(), code, "{header}");
    }
}

#[tokio::test]
async fn an_api_key_goes_before_a_token_and_the_header_of_tokens_can_be_chosen() {
    let api_key = ApiKey {
        key: Some(Secret::from("k")),
        key_sha256: None,
        role: Role::TenantAdmin,
        organization: Some(name("t1")),
        user: None,
        name: name("ci"),
    };
    let jwt = Jwt { header: "X-Token".to_owned(), ..jwt() };
    let authenticator =
        Authenticator::new(&Auth { api_keys: vec![api_key], jwt, ..Auth::default() }).unwrap();
    let given = token(&json!({"id": "u1"}));

    let mut headers = HeaderMap::new();
    assert_eq!(authenticator.authenticate(&headers).await, Err(AuthError::NoCredentials));
    headers.insert("authorization", given.parse().unwrap());
    assert_eq!(authenticator.authenticate(&headers).await, Err(AuthError::NoCredentials));
    headers.insert("x-token", given.parse().unwrap());
    assert_eq!(authenticator.authenticate(&headers).await.unwrap().actor, name("user:u1"));
    headers.insert("x-api-key", "wrong".parse().unwrap());
    assert_eq!(authenticator.authenticate(&headers).await, Err(AuthError::UnknownApiKey));
    headers.insert("x-api-key", "k".parse().unwrap());
    let caller = authenticator.authenticate(&headers).await.unwrap();
    assert_eq!(caller.actor, name("key:ci"));
    assert_eq!((caller.role, caller.tenant), (Role::TenantAdmin, Some(name("t1"))));
}

#[test]
fn everyone_sees_their_own_and_developers_see_all() {
    let caller = |role, tenant: Option<&str>, user: Option<&str>| Caller {
        role,
        tenant: tenant.map(name),
        user: user.map(name),
        actor: name("someone"),
        identity: Identity::default(),
    };
    let developer = caller(Role::Developer, None, None);
    let admin = caller(Role::TenantAdmin, Some("t1"), Some("u1"));
    let user = caller(Role::TenantUser, Some("t1"), Some("u1"));
    let homeless = caller(Role::TenantUser, None, Some("u1"));

    // caller, asked tenant, asked user, seen tenant and user; `None` is refused
    #[expect(clippy::type_complexity, reason = "a table")]
    let table: [(&Caller, Option<&str>, Option<&str>, Option<(Option<&str>, Option<&str>)>);
        17] = [
        (&developer, None, None, Some((None, None))),
        (&developer, Some("t2"), None, Some((Some("t2"), None))),
        (&developer, None, Some("u2"), Some((None, Some("u2")))),
        (&developer, Some("t2"), Some("u2"), Some((Some("t2"), Some("u2")))),
        (&admin, None, None, Some((Some("t1"), None))),
        (&admin, Some("t1"), None, Some((Some("t1"), None))),
        (&admin, None, Some("u2"), Some((Some("t1"), Some("u2")))),
        (&admin, Some("t2"), None, None),
        (&admin, Some("t2"), Some("u1"), None),
        (&user, None, None, Some((Some("t1"), Some("u1")))),
        (&user, Some("t1"), Some("u1"), Some((Some("t1"), Some("u1")))),
        (&user, None, Some("u2"), None),
        (&user, Some("t2"), None, None),
        (&user, Some("t2"), Some("u1"), None),
        (&homeless, None, None, Some((None, Some("u1")))),
        (&homeless, Some("t1"), None, None),
        (&homeless, None, Some("u2"), None),
    ];
    for (caller, tenant, user, expected) in table {
        let seen = caller.user_scope(tenant.map(name), user.map(name));
        match expected {
            None => assert_eq!(seen.unwrap_err().kind(), Kind::Forbidden),
            Some((tenant, user)) => {
                let scope = Scope { tenant: tenant.map(name), user: user.map(name) };
                assert_eq!(seen, Ok(scope), "{caller:?}");
            }
        }
    }

    for (caller, may) in [(&developer, [true; 3]), (&admin, [true, true, false])] {
        assert_eq!(Role::ALL.map(|least| caller.require(least).is_ok()), may);
    }
    assert_eq!(Role::ALL.map(|least| user.require(least).is_ok()), [true, false, false]);
    assert!(developer.own_user().is_err());

    let one = |caller: &Caller, asked: Option<&str>| {
        let tenant = caller.one_tenant(asked.map(name), "organizationId", ParameterSource::Query);
        tenant.map_err(|problem| problem.kind())
    };
    assert_eq!(one(&developer, None), Err(Kind::Invalid));
    assert_eq!(one(&developer, Some("t2")), Ok(name("t2")));
    assert_eq!(one(&admin, None), Ok(name("t1")));
    assert_eq!(one(&admin, Some("t2")), Err(Kind::Forbidden));
}
