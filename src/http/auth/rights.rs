//! Which role a route needs at least: the one list of it. What a caller then sees of whose data is
//! decided by [`Caller`](super::Caller)'s scopes.

use axum::http::Method;
use schemas::Role;

/// Every route that is not for developers alone. A tenant's administrator sees and changes what is
/// the tenant's, a user what is their own.
const SHARED: &[(&str, &str, Role)] = &[
    ("GET", "/api/v1/billing/history", Role::TenantAdmin),
    ("GET", "/api/v1/billing/history/{bill}", Role::TenantAdmin),
    ("GET", "/api/v1/billing/history/{bill}/consumptions", Role::TenantAdmin),
    ("GET", "/api/v1/billing/wallet", Role::TenantAdmin),
    ("GET", "/api/v1/billing/wallet/audit", Role::TenantAdmin),
    ("GET", "/api/v1/consumption/aggregates", Role::TenantUser),
    ("GET", "/api/v1/consumption/by-assistant", Role::TenantUser),
    ("GET", "/api/v1/consumption/by-model", Role::TenantUser),
    ("GET", "/api/v1/consumption/by-project", Role::TenantUser),
    ("GET", "/api/v1/consumption/by-user", Role::TenantUser),
    ("GET", "/api/v1/consumption/history", Role::TenantUser),
    ("GET", "/api/v1/consumption/real-time", Role::TenantUser),
    ("GET", "/api/v1/holds", Role::TenantAdmin),
    ("POST", "/api/v1/holds", Role::TenantAdmin),
    ("GET", "/api/v1/holds/{hold}", Role::TenantAdmin),
    ("POST", "/api/v1/holds/{hold}/release", Role::TenantAdmin),
    ("GET", "/api/v1/organization/{tenant}/consumption-limits", Role::TenantAdmin),
    ("PUT", "/api/v1/organization/{tenant}/consumption-limits", Role::TenantAdmin),
    ("GET", "/api/v1/organization/users", Role::TenantAdmin),
    ("GET", "/api/v1/quota", Role::TenantUser),
    ("GET", "/api/v1/quota/audit", Role::TenantUser),
    ("POST", "/api/v1/quota/transfer-in", Role::TenantUser),
    ("POST", "/api/v1/quota/transfer-out", Role::TenantUser),
    ("GET", "/api/v1/quota/vouchers", Role::TenantUser),
    ("GET", "/api/v1/quota/vouchers/{voucher}", Role::TenantUser),
    ("POST", "/api/v1/quota/vouchers/{voucher}/cancel", Role::TenantUser),
];

/// The least role that may call a route, which is given as it is matched.
pub(super) fn least_role(method: &Method, route: &str) -> Role {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    let shared = SHARED.iter().find(|(listed, path, _)| *listed == method && *path == route);
    shared.map_or(Role::Developer, |(_, _, role)| *role)
}
