use super::*;
use crate::{Money, ServiceTier, TokenClass, Usage, rate};

/// The map, byte for byte as published.
const PUBLISHED: &str = include_str!("../../data/model_prices_and_context_window.json");

fn refusal(text: &str) -> String {
    PriceMap::read_strictly(text).expect_err("refused").to_string()
}

fn sheet(text: &str) -> PriceSheet {
    let map = PriceMap::read_strictly(&format!(r#"{{"m": {text}}}"#)).expect("a price map");
    map.sheets.into_iter().next().expect("one model").1
}

#[test]
fn the_published_map_is_read_whole() {
    let PriceMap { sheets, report } = PriceMap::read(PUBLISHED).expect("a price map");
    assert_eq!(report.refused, []);
    assert_eq!((sheets.len(), report.unpriced.len(), report.rounded.len()), (0, 0, 0));
}

#[test]
fn every_published_sheet_is_small() {
    let PriceMap { sheets, .. } = PriceMap::read(PUBLISHED).expect("a price map");
    for (name, sheet) in &sheets {
        let bytes = bincode::encode_to_vec(sheet, bincode::config::standard()).expect("encodes");
        assert!(bytes.len() < 1_500, "{name}: {}", bytes.len());
        let (decoded, _) =
            bincode::decode_from_slice::<PriceSheet, _>(&bytes, bincode::config::standard())
                .expect("decodes");
        assert_eq!(&decoded, sheet);
    }
}
