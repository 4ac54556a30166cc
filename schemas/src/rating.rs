//! stub until the pricing branch lands
use crate::*;
/// stub
pub fn builtin_sheets() -> Vec<(&'static str, PriceSheet)> {
    Vec::new()
}
/// stub
pub fn rate(_sheet: &PriceSheet, _usage: &Usage, _tier: ServiceTier) -> Option<Money> {
    None
}
