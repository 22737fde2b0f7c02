//! Which certificates of servers are believed.

use std::sync::{Arc, LazyLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// What this machine trusts, read once: there are hundreds of files, and many clients.
static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let faults: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        tracing::warn!(
            faults = faults.join("; "),
            "this machine has no certificates that it trusts: upstreams with https fail, but for what certificate_authority names; install ca-certificates, or set SSL_CERT_FILE"
        );
    }
    Arc::new(roots)
});

/// TLS as all clients of upstreams speak it. `more` are bundles in PEM that are believed besides.
/// The error is for whoever reads the settings.
pub fn tls(more: &[Vec<u8>]) -> Result<ClientConfig, String> {
    let mut roots = Arc::clone(&SYSTEM);
    for certificate in more.iter().flat_map(|bundle| CertificateDer::pem_slice_iter(bundle)) {
        let certificate = certificate.map_err(|_| "a certificate is not PEM".to_owned())?;
        let added = Arc::make_mut(&mut roots).add(certificate);
        added.map_err(|fault| format!("a certificate can not be used: {fault}"))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|fault| fault.to_string())?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_told() {
        assert!(tls(&[]).is_ok());
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
        assert!(tls(&[broken]).unwrap_err().contains("can not be used"));
        let cut = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n".to_vec();
        assert!(tls(&[cut]).unwrap_err().contains("not PEM"));
    }
}
