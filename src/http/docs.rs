//! The browsable description of the API at `/docs`: served from the binary, without a word to any
//! other host, under a policy that allows no inline script.

use std::future::ready;

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// One file in the binary.
#[derive(Clone, Copy)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const ASSETS: [Asset; 4] = [
    Asset {
        path: "/docs",
        content_type: "text/html; charset=utf-8",
        bytes: include_bytes!("docs/index.html"),
    },
    Asset {
        path: "/docs/init.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("docs/init.js"),
    },
    Asset {
        path: "/docs/swagger-ui-bundle.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("docs/swagger-ui-bundle.js"),
    },
    Asset {
        path: "/docs/swagger-ui.css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("docs/swagger-ui.css"),
    },
];

/// The pages; they belong to no API and are not described in it.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.into_iter().fold(Router::new(), |router, asset| {
        let tag = HeaderValue::from_str(&format!("\"{}\"", blake3::hash(asset.bytes).to_hex()))
            .expect("invariant: hexadecimal digits fit in a header");
        let path = asset.path;
        router
            .route(path, get(move |headers: HeaderMap| ready(asset.respond(&headers, tag.clone()))))
    })
}

impl Asset {
    fn respond(self, request: &HeaderMap, tag: HeaderValue) -> Response {
        let is_known = request.get(header::IF_NONE_MATCH) == Some(&tag);
        let fixed = |text: &'static str| HeaderValue::from_static(text);
        let headers: [(HeaderName, HeaderValue); 6] = [
            (header::CONTENT_TYPE, fixed(self.content_type)),
            (header::CONTENT_SECURITY_POLICY, fixed(POLICY)),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (header::REFERRER_POLICY, fixed("no-referrer")),
            (header::CACHE_CONTROL, fixed("no-cache")),
            (header::ETAG, tag),
        ];
        if is_known {
            (StatusCode::NOT_MODIFIED, headers).into_response()
        } else {
            (headers, Bytes::from_static(self.bytes)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_vendored_files_are_the_published_ones() {
        let mut sums = String::new();
        for name in ["swagger-ui-bundle.js", "swagger-ui.css"] {
            let asset = ASSETS.iter().find(|asset| asset.path.ends_with(name)).unwrap();
            for byte in Sha256::digest(asset.bytes) {
                write!(sums, "{byte:02x}").unwrap();
            }
            writeln!(sums, "  {name}").unwrap();
        }
        assert_eq!(sums, include_str!("docs/SHA256SUMS"));
    }

    #[test]
    fn the_page_has_no_inline_script_and_asks_nobody_else() {
        let page = include_str!("docs/index.html");
        for tag in page.split('<').filter(|tag| tag.starts_with("script")) {
            assert!(tag.starts_with("script src=\"/docs/"), "{tag}");
            assert!(tag.ends_with('>'), "{tag}");
        }
        assert!(!page.contains("//"), "an address of another host");
        assert!(!POLICY.contains("http"));
    }
}
