//! `/api/v1/auth/…`: signing in with a password, and out. A session's secret is a cookie; the log
//! knows its SHA-256.

mod attempts;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Once,
};

use aws_lc_rs::rand;
use axum::{
    extract::{ConnectInfo, FromRequestParts, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use projections::{accounts::Account, books::Reading};
use schemas::{Command, Name, OpenSession, Role, Sealed, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::{Caller, cookie_name, digest, of_user, session_of},
    body,
    ledger::{AtLeast, IdempotencyKey, Reply, fault, submit},
    personal::profile_of,
    problem::{Kind, ParameterSource, Problem},
};
use crate::{
    config::Secret,
    passwords::PasswordError,
    personal::{EMAIL, NAME, PASSWORD, Vault},
    views::Views,
};

pub(in crate::http) use attempts::{Attempts, Who};

/// Of those who share an e-mail address, as many are looked at: the longest known ones.
const SHARERS_MAX: usize = 4;
/// A session's secret, and that of an API key.
const SECRET_BYTES: usize = 32;

/// The routes behind the guard.
pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(user))
}

/// The routes through which one comes in and goes out: anyone may call them, though from no other
/// site.
pub(super) fn doors() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(sign_in)).routes(routes!(sign_out))
}

/// What nobody can guess, as text that fits everywhere.
pub(in crate::http) fn random_secret() -> Result<String, Problem> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes).map_err(|_| Problem::internal(&"there are no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The address of whoever sent a request: of who is connected, or of whom they stand for when the
/// configuration says that a proxy is between.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Client(IpAddr);

impl FromRequestParts<AppState> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let header = state.accounts().client_address_header.as_ref();
        let value = header.and_then(|header| parts.headers.get_all(header).iter().next_back());
        // Whatever stands before the last was told to the proxy by others.
        let last = value.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        if let Some(address) = last.and_then(|text| address_in(text.trim())) {
            return Ok(Self(address));
        }
        if header.is_none() {
            warn_of_proxy(&parts.headers);
        }
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ConnectInfo(peer) =
            peer.ok_or_else(|| Problem::internal(&"a request comes from nowhere"))?;
        Ok(Self(peer.ip()))
    }
}

/// The address in what a proxy says of its client; some say the port as well.
fn address_in(text: &str) -> Option<IpAddr> {
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|peer| peer.ip());
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

/// Tells the operator, once, that all clients of a proxy count as one.
fn warn_of_proxy(headers: &HeaderMap) {
    static TOLD: Once = Once::new();
    let told_by =
        ["x-forwarded-for", "forwarded"].into_iter().find(|name| headers.contains_key(*name));
    if let Some(header) = told_by {
        TOLD.call_once(|| {
            tracing::warn!(
                header,
                "a proxy is in front: its clients count as one when passwords are wrong \
                 (`accounts.client_address_header`)"
            );
        });
    }
}

/// Begins to look at a password that concerns all of `whom`.
///
/// # Errors
/// When too many were wrong before.
pub(in crate::http) fn attempt(
    state: &AppState,
    mut whom: Vec<Who>,
    Client(address): Client,
) -> Result<Vec<Who>, Problem> {
    whom.push(Who::at(address));
    state.attempts().begin(&whom, state.clock().now()).map_err(too_many)?;
    Ok(whom)
}

fn too_many(seconds: u32) -> Problem {
    let detail = "too many passwords were wrong; wait before the next";
    Problem::new(Kind::TooManyRequests, "too_many_attempts", detail).with_retry_after(seconds)
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::busy(),
            PasswordError::Failed(_) => Self::internal(&error),
        }
    }
}

/// Who signs in: by `email` or by `userId`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Credentials {
    /// The e-mail address, in capitals or not.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    email: Option<Name>,
    /// The user's id.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_id: Option<Name>,
    /// The password.
    #[schema(value_type = String)]
    password: Secret,
}

/// What signing in leads to.
#[derive(Debug, Serialize, ToSchema)]
struct SignedIn {
    /// `OK`.
    status: &'static str,
    /// Who signed in.
    user: CallerView,
}

/// Who calls.
#[derive(Debug, Serialize, ToSchema)]
struct Me {
    /// Who.
    user: CallerView,
}

/// Somebody as they are to themselves.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CallerView {
    /// The user's id; `null` for keys that stand for no user.
    id: Option<String>,
    /// The e-mail address.
    email: Option<String>,
    /// What people call the user.
    name: Option<String>,
    /// What they may do.
    #[schema(value_type = String)]
    role: Role,
    /// Their tenant.
    organization_id: Option<String>,
}

impl CallerView {
    fn new(state: &AppState, caller: &Caller) -> Self {
        let user = caller.user.as_ref();
        let profile = state.views().look(|reading| profile_of(reading, user?)).unwrap_or_default();
        let unseal = |field, sealed: Option<Sealed>| state.vault().unseal(field, &sealed?);
        let said = Some(caller.identity.name.clone()).filter(|name| !name.is_empty());
        let text = |name: &Name| name.as_str().to_owned();
        Self {
            id: user.map(text),
            email: unseal(EMAIL, profile.email),
            name: unseal(NAME, profile.name).or(said),
            role: caller.role,
            organization_id: caller.tenant.as_ref().map(text),
        }
    }
}

/// A user who may be meant by the credentials.
pub(in crate::http) struct Candidate {
    pub(in crate::http) user: UserId,
    password: Sealed,
}

/// Whoever has the id, if it is somebody with a password.
fn with_id(reading: &Reading, id: &str) -> Option<Candidate> {
    let user: UserId = reading.books.names.find(id)?;
    let password = reading.books.accounts.account(user).password.clone()?;
    Some(Candidate { user, password })
}

/// Those with a password who have the e-mail address in small letters, which nobody but the vault can read: all are
/// looked at, so that it takes as long for any.
pub(in crate::http) fn with_email(views: &Views, vault: &Vault, email: &str) -> Vec<Candidate> {
    let holders: Vec<_> = views.look(|reading| {
        let holder = |(user, account): (UserId, &Account)| {
            let password = account.password.clone()?;
            let email = reading.books.profiles.profile(user).email.clone()?;
            Some((email, Candidate { user, password }))
        };
        reading.books.accounts.all().filter_map(holder).collect()
    });
    let has_it = |sealed| vault.unseal(EMAIL, &sealed).is_some_and(|it| it.to_lowercase() == email);
    holders.into_iter().filter_map(|(sealed, holder)| has_it(sealed).then_some(holder)).collect()
}

/// Signs in. The answer sets the cookie of the session.
///
/// After five wrong passwords within a quarter of an hour from an address, or fifty for an account or
/// an e-mail address, each further attempt waits twice as long as the one before: 429 says how long.
#[utoipa::path(post, path = "/api/v1/auth/signin", tag = "auth", security(()),
    request_body = Credentials, responses((status = 200, body = SignedIn)))]
async fn sign_in(
    State(state): State<AppState>,
    client: Client,
    body::Json(Credentials { email, user_id, password }): body::Json<Credentials>,
) -> Result<Response, Problem> {
    let (email, id) = match (email, user_id) {
        (Some(email), None) => (Some(email.as_str().to_lowercase()), String::new()),
        (None, Some(id)) => (None, id.as_str().to_owned()),
        _ => {
            let reason = "must name either `email` or `userId`";
            return Err(fault("body", reason, ParameterSource::Body));
        }
    };
    let now = state.clock().now();
    state.attempts().check(&Who::at(client.0), now).map_err(too_many)?;
    let mut meant: Vec<Candidate> = match email.clone() {
        Some(email) => {
            let (views, vault) = (state.views().clone(), state.vault().clone());
            state.passwords().work(move || with_email(&views, &vault, &email)).await?
        }
        None => state.views().look(|reading| with_id(reading, &id)).into_iter().collect(),
    };
    meant.truncate(SHARERS_MAX);
    let names: Vec<String> = state.views().look(|reading| {
        let name = |candidate: &Candidate| reading.books.names.text(candidate.user).to_string();
        meant.iter().map(name).collect()
    });
    let mut whom: Vec<Who> = names.iter().cloned().map(Who::User).collect();
    match email {
        Some(email) => whom.push(state.attempts().email(&email)),
        None if whom.is_empty() => whom.push(Who::Nobody(id)),
        None => (),
    }
    let whom = attempt(&state, whom, client)?;
    let unseal = |candidate: &Candidate| state.vault().unseal(PASSWORD, &candidate.password);
    let hashes = meant.iter().map(unseal).collect();
    let found = state.passwords().which(password, hashes).await?;
    let found = found.and_then(|place| meant.into_iter().zip(names).nth(place));
    let Some((found, name)) = found else {
        let detail = "Incorrect e-mail address or password";
        return Err(Problem::new(Kind::Unauthenticated, "wrong_credentials", detail)
            .with_challenge(r#"Bearer realm="tallybook""#));
    };
    state.attempts().succeeded(&whom, &name);
    open(&state, found).await
}

/// Opens a session of whoever has given the right password.
async fn open(
    state: &AppState,
    Candidate { user, password }: Candidate,
) -> Result<Response, Problem> {
    let caller = state.views().look(|reading| of_user(&reading.books, user));
    let caller = caller.ok_or_else(|| Problem::forbidden("this account cannot sign in"))?;
    let hours = state.accounts().session_hours;
    let lasts = i64::from(hours).saturating_mul(3600);
    let secret = random_secret()?;
    let command = Command::OpenSession(OpenSession {
        user: caller.own_user()?.clone(),
        password,
        session: digest(secret.as_bytes()),
        expires_at: state.clock().now().plus_seconds(lasts),
    });
    let receipt = submit(state, &caller, IdempotencyKey::NONE, command).await?;
    let body = SignedIn { status: "OK", user: CallerView::new(state, &caller) };
    let cookie = cookie(state, &secret, lasts)?;
    let mut response = Reply::read(receipt.sequence, body).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    no_store(&mut response);
    Ok(response)
}

/// What makes a client keep the secret for so many seconds, or forget it at once.
fn cookie(state: &AppState, secret: &str, seconds: i64) -> Result<HeaderValue, Problem> {
    let config = state.accounts();
    let secure = if config.secure_cookies { "; Secure" } else { "" };
    let name = cookie_name(config);
    let text =
        format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).map_err(|error| Problem::internal(&error))
}

fn no_store(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// What was done, in words.
#[derive(Debug, Serialize, ToSchema)]
struct Message {
    /// In words.
    message: &'static str,
}

/// Signs out: the session whose cookie was sent is over, and the cookie is taken back.
#[utoipa::path(post, path = "/api/v1/auth/signout", tag = "auth", security(()),
    responses((status = 200, body = Message)))]
async fn sign_out(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(session) = session_of(&headers, state.accounts()) {
        let caller = state.views().look(|reading| {
            let open = reading.books.accounts.session(&session.0);
            open.and_then(|open| of_user(&reading.books, open.user))
        });
        if let Some(caller) = caller {
            let command = Command::CloseSession { session: session.0 };
            submit(&state, &caller, IdempotencyKey::NONE, command).await?;
        }
    }
    let cookie = cookie(&state, "", 0)?;
    let body = Message { message: "Signed out successfully" };
    let mut response = Reply::read(state.views().head(), body).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    no_store(&mut response);
    Ok(response)
}

/// Whoever calls.
#[utoipa::path(get, path = "/api/v1/auth/user", tag = "auth",
    responses((status = 200, body = Me)))]
async fn user(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
) -> Result<Reply<Me>, Problem> {
    let head = state.views().head();
    Ok(Reply::read(head, Me { user: CallerView::new(&state, &caller) }))
}
