//! Goes on with what was unpublished and has not all gone: at the start, and from then on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use policies::package::{Ecosystem, Package};
use tokio::task::JoinHandle;

use super::Registry;
use crate::jobs::Job;
use crate::pull::PullError;
use crate::pull::own::OwnError;

const INTERVAL: Duration = Duration::from_secs(30);

impl Registry {
    /// Takes away what is still to go of an own package. Whether there was anything.
    pub async fn finish_unpublishing(&self, package: &Package) -> Result<bool, OwnError> {
        let garden = &self.garden;
        match package.ecosystem() {
            Ecosystem::Npm => {
                let documents = &garden.npm_documents;
                documents.finish_unpublishing(&garden.artifacts, &self.name, package).await
            }
            // Nothing is published to them by this version.
            _ => Ok(false),
        }
    }

    /// Of all its packages; what could not be done is in the log, once for each cause.
    async fn finish_all_unpublishing(&self, told: &mut Told) -> Result<(), PullError> {
        let of = Ecosystem::Npm;
        let packages = self.garden.npm_documents.unpublishing(&self.name, of).await?;
        for package in packages {
            match self.finish_unpublishing(&package).await {
                Ok(true) => {
                    told.remove(&package);
                    tracing::info!(registry = %self.name, %package, "what was left of an unpublish is gone");
                }
                Ok(false) => drop(told.remove(&package)),
                Err(fault) => {
                    let fault = fault.to_string();
                    if told.get(&package) != Some(&fault) {
                        tracing::warn!(registry = %self.name, %package, fault, "what was unpublished is served no more, and can not be taken off the disk yet");
                        told.insert(package, fault);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What was last said of a package.
type Told = HashMap<Package, String>;

/// Ends with it; what is noted is done by the next one.
#[derive(Debug)]
pub struct Unpublishing(JoinHandle<()>);

impl Unpublishing {
    pub fn start(registries: Vec<Arc<Registry>>, job: Job) -> Self {
        Self(tokio::spawn(async move {
            let mut told: Vec<Told> = vec![Told::new(); registries.len()];
            let mut failed = false;
            loop {
                failed = job.run(finish_all(&registries, &mut told, failed)).await.is_err();
                job.rest(INTERVAL).await;
            }
        }))
    }
}

/// In each registry; what fails in one keeps none of the others.
async fn finish_all(
    registries: &[Arc<Registry>],
    told: &mut [Told],
    failed: bool,
) -> Result<(), PullError> {
    let mut done = Ok(());
    for (registry, told) in registries.iter().zip(told) {
        if let Err(fault) = registry.finish_all_unpublishing(told).await {
            if !failed {
                tracing::warn!(registry = %registry.name, %fault, "nobody can say whether something unpublished is still to go");
            }
            done = Err(fault);
        }
    }
    done
}

impl Drop for Unpublishing {
    fn drop(&mut self) {
        self.0.abort();
    }
}
