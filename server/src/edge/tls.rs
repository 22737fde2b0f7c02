//! TLS of our own: a certificate and a key in PEM files, read again when they change.
//!
//! The files' bytes are compared, not their times, so a certificate that is renewed through a link
//! or a restored time is seen. A new pair that cannot be used leaves the old one in place, and is
//! told loudly, once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use crate::observability::{AlarmKind, Metrics};

/// A chain with every intermediate is a few kilobytes.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The certificate first, then its intermediates.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// How often the files are looked at.
    pub reload_every: Duration,
}

impl TlsSettings {
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            reload_every: Duration::from_secs(3),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {cause}", file.display())]
    Unreadable { file: PathBuf, cause: std::io::Error },
    #[error("{} is larger than {MAX_PEM_BYTES} bytes", file.display())]
    TooLarge { file: PathBuf },
    #[error("{} holds no usable PEM certificate{}", file.display(), cause)]
    NoCertificate { file: PathBuf, cause: String },
    #[error("{} holds no usable PEM key: {cause}", file.display())]
    NoKey { file: PathBuf, cause: String },
    #[error("the certificate and the key do not fit: {0}")]
    Unfit(rustls::Error),
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// The pair in use, and where the next one comes from.
pub(super) struct Tls {
    settings: TlsSettings,
    metrics: Metrics,
    seen: Pem,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

#[derive(PartialEq, Eq, Clone)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

impl Tls {
    /// A pair that cannot be used is an error at start.
    pub(super) async fn open(settings: TlsSettings, metrics: Metrics) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let seen = read(&settings).await?;
        let pair = certified(&seen, &settings, &provider)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(pair))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { settings, metrics, seen, current, acceptor })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Looks at the files until the task is aborted.
    pub(super) async fn reload(mut self) {
        let provider = aws_lc_rs::default_provider();
        let mut ticks = interval(self.settings.reload_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        let mut suspect = None;
        loop {
            ticks.tick().await;
            let pem = match read(&self.settings).await {
                Ok(pem) => pem,
                Err(fault) => {
                    // Said once for each time that it begins.
                    if !failing {
                        self.report(&fault);
                    }
                    failing = true;
                    continue;
                }
            };
            failing = false;
            if pem == self.seen {
                continue;
            }
            match certified(&pem, &self.settings, &provider) {
                Ok(pair) => {
                    *self.current.0.write() = Arc::new(pair);
                    tracing::info!(
                        certificate = %self.settings.certificate.display(),
                        "a new certificate is in use"
                    );
                }
                // Perhaps one of the two files is not written yet.
                Err(_) if suspect.as_ref() != Some(&pem) => {
                    suspect = Some(pem);
                    continue;
                }
                Err(fault) => self.report(&fault),
            }
            self.seen = pem;
        }
    }

    fn report(&self, fault: &TlsError) {
        self.metrics.alarm(AlarmKind::CertificateBroken);
        tracing::error!(%fault, "the new certificate cannot be used; the old one stays in use");
    }
}

async fn read(settings: &TlsSettings) -> Result<Pem, TlsError> {
    Ok(Pem {
        certificate: read_pem(&settings.certificate).await?,
        key: read_pem(&settings.key).await?,
    })
}

async fn read_pem(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |cause| TlsError::Unreadable { file: file.to_owned(), cause };
    let size = tokio::fs::metadata(file).await.map_err(unreadable)?.len();
    if size > MAX_PEM_BYTES {
        return Err(TlsError::TooLarge { file: file.to_owned() });
    }
    tokio::fs::read(file).await.map_err(unreadable)
}

fn certified(
    pem: &Pem,
    settings: &TlsSettings,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let no_certificate =
        |cause| TlsError::NoCertificate { file: settings.certificate.clone(), cause };
    let chain = CertificateDer::pem_slice_iter(&pem.certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|fault| no_certificate(format!(": {fault}")))?;
    if chain.is_empty() {
        return Err(no_certificate(String::new()));
    }
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|fault| TlsError::NoKey {
        file: settings.key.clone(),
        cause: fault.to_string(),
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Unfit)
}
