//! A certificate for this machine that nobody trusts by himself.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

pub struct Identity {
    pub config: Arc<ServerConfig>,
    /// PEM.
    pub certificate: String,
}

impl Identity {
    pub fn for_this_machine() -> Self {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("correct names");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .expect("a key that was just made");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("key and certificate belong together");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { config: Arc::new(config), certificate: made.cert.pem() }
    }
}
