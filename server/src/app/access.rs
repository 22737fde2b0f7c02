//! Who may ask, put together: the first admin token, the register, and what is asked of issuers.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;

use super::{StartError, settings, start_error};
use crate::access::Access;
use crate::access::admin_token::AdminToken;
use crate::access::attempts::Attempts;
use crate::access::identity::Identities;
use crate::access::provider::Providers;
use crate::access::provider::sealed::Seal;
use crate::access::rates::Rates;
use crate::access::register::Register;
use crate::clock::Clock;
use crate::config::{Config, IdentityConfig, ProviderConfig};
use crate::metadata::Metadata;
use crate::observability::Metrics;
use crate::upstream::Upstream;

/// With the file that has the first admin token.
pub async fn open(
    config: &Config,
    metadata: &Arc<dyn Metadata>,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<(Access, PathBuf), StartError> {
    let (token, file) = open_token(config.data.clone()).await?;
    let register = Register::open(Arc::clone(metadata), clock.clone()).await;
    let register = register.map_err(|fault| start_error("reading the tokens", &fault))?;
    register.watch();
    let session = SignedDuration::try_from(config.login.life).unwrap_or(SignedDuration::MAX);
    let open = |settings: Result<_, StartError>| {
        let settings = settings.map_err(|fault| fault.to_string())?;
        Upstream::new(settings, clock.clone()).map_err(|fault| fault.to_string())
    };
    let asked = |identity: &IdentityConfig| open(settings::identity(identity));
    let identities = Identities::new(&config.identities, clock, asked);
    let identities = identities.map_err(StartError::Failed)?;
    let attempts = Attempts::new(clock.clone(), config.trusted_proxies.clone());
    let access = Access::new(token, register, session);
    let trusted = config.trusted_proxies.clone();
    let rates = Rates::new(settings::rates(config), trusted, clock.clone(), metrics.clone());
    let access = access.with_identities(identities).with_attempts(attempts).with_rates(rates);
    let Some(public_url) = config.public_url.as_ref().filter(|_| !config.providers.is_empty())
    else {
        return Ok((access, file));
    };
    let seal = open_seal(config.data.clone()).await?;
    let asked = |provider: &ProviderConfig| open(settings::provider(provider));
    let providers = Providers::new(&config.providers, public_url, seal, clock, asked);
    Ok((access.with_providers(providers.map_err(StartError::Failed)?), file))
}

async fn open_token(data: PathBuf) -> Result<(AdminToken, PathBuf), StartError> {
    tokio::task::spawn_blocking(move || AdminToken::open(&data))
        .await
        .map_err(|fault| start_error("opening the admin token", &fault))?
        .map_err(|fault| StartError::Failed(fault.to_string()))
}

/// By which logins at a provider that are under way are known again.
async fn open_seal(data: PathBuf) -> Result<Seal, StartError> {
    tokio::task::spawn_blocking(move || Seal::open(&data))
        .await
        .map_err(|fault| start_error("opening the key of logins", &fault))?
        .map_err(|fault| StartError::Failed(fault.to_string()))
}
