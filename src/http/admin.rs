//! What only a developer does to a running service.

pub(super) mod clock;
pub(super) mod gateway;
pub(super) mod grants;
pub(super) mod jobs;
pub(super) mod prices;
pub(super) mod tenants;
pub(super) mod users;
pub(super) mod wallets;
