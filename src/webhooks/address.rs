//! Where webhooks may go: to public addresses of the internet, unless the operator allows others. A
//! name is judged by what it stands for at the moment of the connection, so that one which changes
//! its meaning in between leads nowhere else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The longest address, in bytes.
const URL_BYTES_MAX: usize = 1000;

/// Reads an address that webhooks may be sent to.
///
/// # Errors
/// Says what it must be.
pub fn parse(text: &str, allow_private: bool) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be an `http://` or `https://` address")?;
    if text.len() > URL_BYTES_MAX {
        return Err("must not be longer than 1000 bytes");
    }
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("must be an `http://` or `https://` address");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password");
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment");
    }
    if !allow_private && literal(&url).is_some_and(|address| !is_public(address)) {
        return Err("must be a public address");
    }
    Ok(url)
}

/// The address that stands in the place of a name.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether an address is one of the public internet: not of this machine, this network, a private
/// network, a provider's own, nor of more than one receiver.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_reserved = match (first, second, third) {
        // This network; carriers' own (100.64/10); protocol assignments, relays and examples.
        (0, ..) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113) => true,
        (100, second, _) => (64..128).contains(&second),
        // Benchmarks.
        (198, second, _) => second == 18 || second == 19,
        // Future use, and broadcast.
        (first, ..) => first >= 240,
    };
    // Link-local holds 169.254.169.254, where providers tell machines their secrets.
    !(is_reserved
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_unspecified())
}

/// Only what is given out to the internet (`2000::/3`), without what stands for an address of version
/// 4 or is kept for protocols and examples.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_global_unicast = first & 0xe000 == 0x2000;
    let is_reserved = match (first, second) {
        // 2001::/23 for protocols, Teredo among them; 2001:db8::/32 and 3fff::/20 for examples.
        (0x2001, second) => second < 0x0200 || second == 0x0db8,
        (0x3fff, second) => second < 0x1000,
        // 6to4 stands for an address of version 4.
        (0x2002, _) => true,
        _ => false,
    };
    is_global_unicast && !is_reserved
}

/// Looks names up as the machine does, and gives only addresses that may be connected to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver {
    pub(super) allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.inspect_err(|error| tracing::debug!(%error, "a name is unknown"));
            let found = found.into_iter().flatten();
            // Nobody learns which names of ours there are.
            let allowed: Vec<SocketAddr> =
                found.filter(|address| allow_private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::other("the name stands for no public address").into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
        ] {
            assert!(!is_public(text.parse().expect(text)), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(text.parse().expect(text)), "{text}");
        }
    }

    #[test]
    fn an_address_is_refused_with_a_reason() {
        for (text, allow_private, reason) in [
            ("https://example.com/hook?x=1", false, None),
            ("http://example.com:8080", false, None),
            ("http://8.8.8.8/", false, None),
            ("http://127.0.0.1:9/", true, None),
            ("http://localhost/", false, None),
            ("http://127.0.0.1:9/", false, Some("must be a public address")),
            ("http://2130706433/", false, Some("must be a public address")),
            ("http://0x7f.1/", false, Some("must be a public address")),
            ("http://[::1]/", false, Some("must be a public address")),
            ("http://[::ffff:10.0.0.1]/", false, Some("must be a public address")),
            ("http://169.254.169.254/latest", false, Some("must be a public address")),
            ("ftp://example.com/", true, Some("must be an `http://` or `https://` address")),
            ("file:///etc/passwd", true, Some("must be an `http://` or `https://` address")),
            ("example.com", true, Some("must be an `http://` or `https://` address")),
            ("", true, Some("must be an `http://` or `https://` address")),
            ("https://u:p@example.com/", true, Some("must not hold a user or a password")),
            ("https://u@example.com/", true, Some("must not hold a user or a password")),
            ("https://example.com/#x", true, Some("must not have a fragment")),
        ] {
            assert_eq!(parse(text, allow_private).err(), reason, "{text}");
        }
        let long = format!("https://example.com/{}", "x".repeat(1000));
        assert_eq!(parse(&long, true).err(), Some("must not be longer than 1000 bytes"));
    }
}
