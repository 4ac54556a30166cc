//! Who calls, and what they may see. A guard in front of every route but the open ones refuses
//! roles that may not call it and puts the [`Caller`] into the request; tenancy is decided here and
//! nowhere else.

mod accounts;
mod error;
mod jwks;
mod keys;
mod rights;
mod token;

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use schemas::{Name, Role};
use tower::{Layer, Service};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use super::{
    AppState, gateway_api,
    problem::{InvalidParameter, Kind, ParameterSource, Problem},
};
use crate::config;

pub use accounts::{SessionDigest, digest};
pub(super) use accounts::{cookie_name, of_user, session_of};
pub use error::AuthError;
use keys::ApiKeys;
use token::Tokens;

/// The header that carries an API key.
pub const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// Whoever sent a request, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What they may do.
    pub role: Role,
    /// Their tenant.
    pub tenant: Option<Name>,
    /// The user they are.
    pub user: Option<Name>,
    /// How the log names them.
    pub actor: Name,
    /// Who they are to people, as far as their credentials say.
    pub identity: Identity,
}

/// What a token says of the person who holds it; empty where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The display name.
    pub name: String,
    /// The number within their company.
    pub staff_id: String,
    /// The GitHub user name.
    pub github: String,
    /// The phone number.
    pub phone: String,
}

/// What a request may read: one tenant or all, one user of theirs or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// `None`: every tenant.
    pub tenant: Option<Name>,
    /// `None`: every user.
    pub user: Option<Name>,
}

impl Caller {
    /// Passes whoever has this role, or one that may more.
    ///
    /// # Errors
    /// For everyone else.
    fn require(&self, least: Role) -> Result<(), Problem> {
        if self.role >= least {
            return Ok(());
        }
        let allowed = match least {
            Role::Developer => "a `developer`",
            Role::TenantAdmin | Role::TenantUser => "a `developer` or `tenant_admin`",
        };
        Err(Problem::forbidden(format!("only {allowed} may do this")))
    }

    /// What the caller sees of the tenant they ask for: a developer of any, or of all when none is
    /// asked for; an administrator everything of their own; a user what is their own.
    ///
    /// # Errors
    /// When they ask for a tenant that is not theirs.
    pub fn tenant_scope(&self, requested: Option<Name>) -> Result<Scope, Problem> {
        if self.role == Role::Developer {
            return Ok(Scope { tenant: requested, user: None });
        }
        if requested.is_some() && requested != self.tenant {
            return Err(Problem::forbidden("this belongs to another tenant"));
        }
        if self.role == Role::TenantAdmin && self.tenant.is_none() {
            return Err(Problem::forbidden("these credentials do not stand for a tenant"));
        }
        let user = match self.role {
            Role::Developer | Role::TenantAdmin => None,
            Role::TenantUser => Some(self.own_user()?.clone()),
        };
        Ok(Scope { tenant: self.tenant.clone(), user })
    }

    /// What the caller sees of the user they ask for, in the tenant they ask for.
    ///
    /// # Errors
    /// When they ask for a tenant, or as a user for a user, that is not theirs.
    pub fn user_scope(
        &self,
        tenant: Option<Name>,
        requested: Option<Name>,
    ) -> Result<Scope, Problem> {
        let scope = self.tenant_scope(tenant)?;
        match (&scope.user, requested) {
            (Some(own), Some(requested)) if *own != requested => {
                Err(Problem::forbidden("this belongs to another user"))
            }
            (Some(_), _) => Ok(scope),
            (None, requested) => Ok(Scope { user: requested, ..scope }),
        }
    }

    /// The user the caller is.
    ///
    /// # Errors
    /// When their credentials stand for no user.
    pub fn own_user(&self) -> Result<&Name, Problem> {
        self.user
            .as_ref()
            .ok_or_else(|| Problem::forbidden("these credentials do not stand for a user"))
    }

    /// The one tenant that a request is about: the one asked for, or the caller's own.
    ///
    /// # Errors
    /// When it is not theirs, or a developer names none; `field` is where they would.
    pub fn one_tenant(
        &self,
        requested: Option<Name>,
        field: &str,
        source: ParameterSource,
    ) -> Result<Name, Problem> {
        let scope = self.tenant_scope(requested)?;
        scope.tenant.or_else(|| self.tenant.clone()).ok_or_else(|| {
            Problem::invalid(InvalidParameter {
                field: field.to_owned(),
                rule: "required",
                reason: "is required".to_owned(),
                source,
            })
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::internal(&format_args!("`{}` is not behind the guard", parts.uri.path()))
        })
    }
}

/// Lets nobody pass who is not known.
pub(super) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let authenticated = state.authenticator().authenticate(headers).await;
    let keys = headers.get(API_KEY_HEADER).map(HeaderValue::as_bytes);
    let (caller, session) = match known(&state, headers, authenticated, keys.as_slice()) {
        Ok(known) => known,
        Err(error) => return Problem::from(error).into_response(),
    };
    if let Err(problem) = caller.require(least_role(&request)) {
        return problem.into_response();
    }
    pass(request, next, caller, session).await
}

/// As [`guard`], for routes that gateways call: an API key may also come in the header that they
/// use, or as a bearer.
pub(super) async fn guard_gateways(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let authenticated = state.authenticator().authenticate_gateway(headers).await;
    let keys = state.authenticator().gateway_keys(headers);
    let (caller, session) = match known(&state, headers, authenticated, &keys) {
        Ok(known) => known,
        Err(error) => return Problem::from(error).into_response(),
    };
    if let Err(problem) = caller.require(least_role(&request)) {
        return gateway_api::unauthorized(&problem).into_response();
    }
    pass(request, next, caller, session).await
}

/// Who calls: whom the configuration or a token knows, else whom the book knows by one of `keys`, or,
/// when no other credentials were sent, by a session.
fn known(
    state: &AppState,
    headers: &HeaderMap,
    authenticated: Result<Caller, AuthError>,
    keys: &[&[u8]],
) -> Result<(Caller, Option<SessionDigest>), AuthError> {
    let now = state.clock().now();
    state.views().look(|reading| {
        let has_come = authenticated.is_ok();
        let (caller, session) = match authenticated {
            Ok(caller) => (caller, None),
            Err(AuthError::NoCredentials) => {
                let session = session_of(headers, state.accounts());
                let session = session.ok_or(AuthError::NoCredentials)?;
                (accounts::by_session(reading, session, now)?, Some(session))
            }
            Err(error) => (accounts::by_key(reading, keys, now).unwrap_or(Err(error))?, None),
        };
        if accounts::is_shut_out(reading, &caller, has_come) {
            return Err(AuthError::AccountInactive);
        }
        Ok((caller, session))
    })
}

/// Hands the request on. What a cookie lets in comes from a browser, which sends it along whoever
/// has made the request: another site must not have.
async fn pass(
    mut request: Request,
    next: Next,
    caller: Caller,
    session: Option<SessionDigest>,
) -> Response {
    request.extensions_mut().insert(caller);
    let Some(session) = session else { return next.run(request).await };
    request.extensions_mut().insert(session);
    match same_site().layer(next).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Refuses what another site has made a browser send.
pub(super) fn same_site() -> CsrfLayer<fn(ProtectionError) -> Response> {
    CsrfLayer::new().with_rejection_response(|_| {
        let detail = "this comes from another site";
        Problem::new(Kind::Forbidden, "cross_site", detail).into_response()
    })
}

/// The least role that may send a request.
fn least_role(request: &Request) -> Role {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    rights::least_role(request.method(), route)
}

/// Knows the keys, and how tokens are verified.
#[derive(Debug)]
pub struct Authenticator {
    keys: ApiKeys,
    tokens: Tokens,
    gateway_header: HeaderName,
}

impl Authenticator {
    /// As configured.
    ///
    /// # Errors
    /// When no HTTP client can be made to fetch keys with, or a key's name cannot name an actor.
    pub fn new(config: &config::Auth) -> anyhow::Result<Self> {
        Ok(Self {
            keys: ApiKeys::new(&config.api_keys)?,
            tokens: Tokens::new(&config.jwt)?,
            gateway_header: HeaderName::try_from(&config.gateway_header)?,
        })
    }

    /// Who sent these headers, as [`Self::authenticate`], when a gateway may have.
    async fn authenticate_gateway(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        let keys = self.gateway_keys(headers);
        let found = keys.into_iter().find_map(|key| self.keys.caller(key));
        match (found, headers.get(&self.gateway_header)) {
            (Some(caller), _) => Ok(caller.clone()),
            (None, Some(_)) => Err(AuthError::UnknownApiKey),
            (None, None) => self.authenticate(headers).await,
        }
    }

    /// What may be an API key in the headers of a gateway.
    fn gateway_keys<'a>(&self, headers: &'a HeaderMap) -> Vec<&'a [u8]> {
        let key = headers.get(&self.gateway_header).map(HeaderValue::as_bytes);
        let authorization =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = authorization.and_then(|value| bearer(value).ok()).map(str::as_bytes);
        let own = headers.get(API_KEY_HEADER).map(HeaderValue::as_bytes);
        let own = own.filter(|_| key.is_none());
        [key, token, own].into_iter().flatten().collect()
    }

    /// Who sent these headers. An API key goes before a token.
    ///
    /// # Errors
    /// When they carry neither, or one that is not valid.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        if let Some(key) = headers.get(API_KEY_HEADER) {
            return self.keys.caller(key.as_bytes()).cloned().ok_or(AuthError::UnknownApiKey);
        }
        let value = headers.get(self.tokens.header()).ok_or(AuthError::NoCredentials)?;
        let value = value.to_str().map_err(|_| AuthError::malformed("it is not ASCII"))?;
        self.tokens.caller(bearer(value)?).await
    }
}

/// The token in `Bearer <token>`; the word may be missing.
fn bearer(value: &str) -> Result<&str, AuthError> {
    match value.trim().split_once(' ') {
        None => Ok(value.trim()),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) => Err(AuthError::UnknownScheme),
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        if error == AuthError::KeysUnavailable {
            return Self::new(Kind::Unavailable, error.code(), error.to_string())
                .with_retry_after(5);
        }
        if error == AuthError::AccountInactive {
            return Self::new(Kind::Forbidden, error.code(), error.to_string());
        }
        let challenge = match error {
            AuthError::NoCredentials
            | AuthError::UnknownApiKey
            | AuthError::ApiKeyExpired
            | AuthError::UnknownSession => r#"Bearer realm="tallybook""#,
            _ => r#"Bearer realm="tallybook", error="invalid_token""#,
        };
        Self::new(Kind::Unauthenticated, error.code(), error.to_string()).with_challenge(challenge)
    }
}

#[cfg(test)]
mod tests;
