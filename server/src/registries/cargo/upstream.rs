//! Crate → what to ask the upstream for. Pure.
//!
//! Where an upstream keeps its crates stands in its `config.json` ([`UpstreamConfig`]): a template,
//! or an address behind which `/{crate}/{version}/download` goes. Whether the host in it may be asked
//! at all is checked where the connection is made. So it is with its web API, of which only the search is
//! asked.

pub mod addresses;

use policies::package::{Algorithm, Digest, Package, Version};
use serde::Deserialize;
use url::Url;

use super::names::{index_folders, index_path};
use crate::pull::documents::DocumentRequest;
use crate::pull::plain::{Keep, PlainRequest};
use crate::upstream::ArtifactTarget;

pub fn index_request(package: &Package) -> DocumentRequest {
    DocumentRequest { package: package.clone(), path: index_path, accept: "text/plain" }
}

/// It has two addresses in it, or three.
const CONFIG_AT_MOST: u64 = 64 << 10;

/// What the upstream says of itself.
pub fn config_request() -> PlainRequest {
    PlainRequest {
        document: "config.json".to_owned(),
        path: "config.json".to_owned(),
        at_most: CONFIG_AT_MOST,
        keep: Keep::AsFresh,
        check: |bytes| UpstreamConfig::parse(bytes).map(drop),
    }
}

const MARKERS: [&str; 5] =
    ["{crate}", "{version}", "{prefix}", "{lowerprefix}", "{sha256-checksum}"];

/// An upstream's `config.json`, as far as garth goes by it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UpstreamConfig {
    dl: String,
    #[serde(default)]
    api: Option<String>,
}

impl UpstreamConfig {
    /// An error says why this is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let config: Self = serde_json::from_slice(bytes).map_err(|fault| fault.to_string())?;
        // Filled in with anything, it has to be an address.
        let filled = MARKERS.iter().fold(config.dl.clone(), |dl, marker| dl.replace(marker, "x"));
        match Url::parse(&filled) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(config),
            _ => Err("its dl is no address of the web".to_owned()),
        }
    }

    /// Where its own search is asked, if it has one.
    pub fn search(&self, words: &[String], at_most: usize) -> Option<Url> {
        let api = self.api.as_deref()?.trim_end_matches('/');
        let mut url = Url::parse(&format!("{api}/api/v1/crates")).ok()?;
        let (words, at_most) = (words.join(" "), at_most.to_string());
        url.query_pairs_mut().append_pair("q", &words).append_pair("per_page", &at_most);
        matches!(url.scheme(), "http" | "https").then_some(url)
    }

    /// Where a crate is kept. `name` is as the index spells it, since some upstreams tell the case
    /// apart.
    pub fn target(
        &self,
        name: &str,
        version: &Version,
        digests: &[Digest],
    ) -> Option<ArtifactTarget> {
        let dl = &self.dl;
        let address = if MARKERS.iter().any(|marker| dl.contains(marker)) {
            let folders = index_folders(name);
            let sha256 = digests.iter().find(|digest| digest.algorithm() == Algorithm::Sha256);
            dl.replace("{crate}", name)
                .replace("{version}", version.as_str())
                .replace("{prefix}", &folders)
                .replace("{lowerprefix}", &folders.to_ascii_lowercase())
                .replace("{sha256-checksum}", &sha256.map(Digest::hex).unwrap_or_default())
        } else {
            format!("{dl}/{name}/{version}/download")
        };
        let url = Url::parse(&address).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(ArtifactTarget::Url(url))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_looked_for_where_the_template_says() {
        let version = Version::new("1.0.0+b").unwrap();
        let digest = Digest::sha256_of(b"crate");
        let sum = digest.hex();
        let long = format!("https://dl.example.com/by-sum/{sum}");
        for (dl, expected) in [
            (
                "https://dl.example.com/crates",
                "https://dl.example.com/crates/MyCrate/1.0.0+b/download",
            ),
            ("https://dl.example.com/{crate}-{version}", "https://dl.example.com/MyCrate-1.0.0+b"),
            ("https://dl.example.com/{prefix}/{crate}", "https://dl.example.com/My/Cr/MyCrate"),
            ("https://dl.example.com/{lowerprefix}/x", "https://dl.example.com/my/cr/x"),
            ("https://dl.example.com/by-sum/{sha256-checksum}", &long),
        ] {
            let config = UpstreamConfig::parse(format!("{{\"dl\":{dl:?}}}").as_bytes()).unwrap();
            let target = config.target("MyCrate", &version, std::slice::from_ref(&digest));
            assert_eq!(target, Some(ArtifactTarget::Url(expected.parse().unwrap())), "{dl}");
        }
    }

    #[test]
    fn what_names_no_place_in_the_web_is_no_configuration() {
        for text in [
            "",
            "[]",
            "{}",
            "{\"dl\":1}",
            "{\"dl\":\"\"}",
            "{\"dl\":\"/crates\"}",
            "{\"dl\":\"file:///etc/{crate}\"}",
            "{\"dl\":\"javascript:{crate}\"}",
            "{\"dl\":\"{crate}\"}",
            "{\"dl\":\"https://a.example/x\",\"api\":7}",
        ] {
            assert!(UpstreamConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
        let more =
            br#"{"dl":"https://a.example/x","api":"https://b.example","auth-required":true}"#;
        assert!(UpstreamConfig::parse(more).is_ok());
    }

    #[test]
    fn a_search_is_asked_where_the_api_is() {
        let asked = |api: &str| {
            let text = format!("{{\"dl\":\"https://a.example/x\",\"api\":{api}}}");
            let config = UpstreamConfig::parse(text.as_bytes()).unwrap();
            let words = ["json".to_owned(), "a&b=c".to_owned()];
            config.search(&words, 10).map(|url| url.to_string())
        };
        let expected = "https://b.example/up/api/v1/crates?q=json+a%26b%3Dc&per_page=10";
        for api in ["\"https://b.example/up\"", "\"https://b.example/up/\""] {
            assert_eq!(asked(api).as_deref(), Some(expected));
        }
        for api in ["null", "\"\"", "\"/up\"", "\"file:///etc\"", "\"javascript:x\""] {
            assert_eq!(asked(api), None, "{api}");
        }
    }
}
