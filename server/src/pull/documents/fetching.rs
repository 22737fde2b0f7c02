//! Bringing what is held of a document to the state of its upstream.

use std::sync::Arc;

use bytes::Bytes;
use policies::package::Package;

use super::super::content::{Content, ContentId};
use super::super::format::DocumentFormat;
use super::super::freshness::age;
use super::super::store::{Saved, Update};
use super::super::{CacheOutcome, PullError, Source};
use super::{Document, DocumentKey, DocumentRequest, Documents, Held};
use crate::upstream::{DocumentAnswer, Upstream, UpstreamBody, Validators};

/// Of a document's problems, so many are in the log.
const PROBLEMS_TOLD: usize = 5;

impl<F: DocumentFormat> Documents<F> {
    /// From memory, else from the store. What can not be read, and what another upstream said,
    /// counts as not there, so that it is fetched again.
    pub(super) async fn load(
        &self,
        source: &Source,
        request: &DocumentRequest,
        key: &DocumentKey,
    ) -> Result<Held<F>, PullError> {
        if let Some(document) = self.loaded.get(key) {
            let saved = Some(Arc::clone(&document.saved));
            return Ok(Held { document: Some(document), remains: None, saved });
        }
        let nothing = |saved| Held { document: None, remains: None, saved };
        let saved = self.store.read_saved(&source.registry, &request.package).await?;
        let Some(saved) = saved.map(Arc::new) else { return Ok(nothing(None)) };
        if saved.record.upstream != source.address() {
            tracing::info!(registry = %source.registry, package = %request.package, "what is held of this document is another upstream's");
            return Ok(nothing(Some(saved)));
        }
        let newest = self.store.read_blob(&saved.record.blob, saved.record.size).await?;
        let retained = match &saved.retained {
            Some(retained) => self.store.read_blob(&retained.blob, retained.size).await?,
            None => None,
        };
        let Some(newest) = newest else {
            let remains = match retained {
                Some(retained) => self.read(&request.package, retained, None).await.ok(),
                None => None,
            };
            return Ok(Held { document: None, remains, saved: Some(saved) });
        };
        let size = newest.len() + retained.as_ref().map_or(0, Bytes::len);
        let retained_blob = saved.retained.as_ref().filter(|_| retained.is_some());
        let retained_blob = retained_blob.map(|retained| &retained.blob);
        let versions = self.store.read_versions(&source.registry, &request.package).await?;
        match self.read(&request.package, newest, retained).await {
            Ok(parsed) => {
                let id = ContentId::of(&saved.record.blob, retained_blob, &versions);
                let content = Arc::new(Content { id, parsed, versions, size });
                let document = Document {
                    content,
                    saved: Arc::clone(&saved),
                    unconfirmed: None,
                    outcome: CacheOutcome::Hit,
                };
                Ok(Held { document: Some(document), remains: None, saved: Some(saved) })
            }
            Err(cause) => {
                // What was kept was parsed before; only another version of garth reads it otherwise.
                tracing::error!(registry = %source.registry, package = %request.package, cause, "a kept document can not be read; it is fetched again");
                Ok(nothing(Some(saved)))
            }
        }
    }

    pub(super) async fn confirm_or_fetch(
        &self,
        source: &Source,
        request: &DocumentRequest,
        held: Held<F>,
    ) -> Result<Document<F::Parsed>, PullError> {
        let Some(upstream) = &source.upstream else {
            return held.document.ok_or(PullError::Absent);
        };
        let validators = held.document.as_ref().map(|document| Validators {
            etag: document.saved.record.etag.clone(),
            last_modified: document.saved.record.last_modified.clone(),
        });
        let answer = upstream
            .document(&request.path, request.accept, validators.as_ref())
            .await
            .map_err(|fault| PullError::from_upstream(upstream, fault))?;
        match (answer, held) {
            (DocumentAnswer::NotModified, Held { document: Some(before), .. }) => {
                Ok(self.confirm(source, request, before).await)
            }
            (DocumentAnswer::NotModified, _) => Err(PullError::Broken {
                upstream: upstream.name().to_owned(),
                cause: "it answers 304 to a request that names no version of the document".into(),
            }),
            (DocumentAnswer::Found(body), held) => {
                self.keep_newer(source, upstream, request, body, held).await
            }
        }
    }

    async fn confirm(
        &self,
        source: &Source,
        request: &DocumentRequest,
        before: Document<F::Parsed>,
    ) -> Document<F::Parsed> {
        let now = self.store.clock.now();
        let mut saved = Saved::clone(&before.saved);
        let moved = age(saved.record.checked, now);
        saved.record.checked = now;
        // Each date on disk costs a commit; one that is hardly older does as well.
        if moved >= source.freshness.max_age / 10 {
            self.store.write_checked(&source.registry, &request.package, &saved.record).await;
        }
        Document { saved: Arc::new(saved), unconfirmed: None, outcome: CacheOutcome::Hit, ..before }
    }

    /// Parses before anything is kept; writes the blob before the record that names it.
    async fn keep_newer(
        &self,
        source: &Source,
        upstream: &Upstream,
        request: &DocumentRequest,
        mut body: UpstreamBody,
        held: Held<F>,
    ) -> Result<Document<F::Parsed>, PullError> {
        let package = &request.package;
        let broken = |cause: String| PullError::Broken {
            upstream: upstream.name().to_owned(),
            cause: format!("what it gave for {package} is no document of it: {cause}"),
        };
        let collected = self.room.collect(upstream, &mut body).await?;
        let bytes = collected.bytes.clone();
        let known = self.store.read_versions(&source.registry, package).await?;
        let parsed = self.read(package, bytes.clone(), None).await.map_err(broken)?;
        let problems = F::problems(&parsed);
        if !problems.is_empty() {
            let first = problems.iter().take(PROBLEMS_TOLD).cloned().collect::<Vec<_>>().join("; ");
            tracing::warn!(registry = %source.registry, %package, count = problems.len(), first, "versions are left out, because they can not be checked");
        }
        let update = Update::<F> {
            registry: &source.registry,
            package,
            upstream: source.address(),
            bytes: bytes.clone(),
            etag: body.etag.clone(),
            last_modified: body.last_modified.clone(),
            media_type: body.media_type.clone(),
            parsed: Arc::new(parsed),
            known: Arc::new(known),
            before: held.document.map(|document| document.content),
            remains: held.remains,
            saved: held.saved,
        };
        let parsed = Arc::clone(&update.parsed);
        let kept = self.store.keep_document(update).await?;
        let size = bytes.len() + kept.retained.as_ref().map_or(0, Bytes::len);
        let retained_blob = kept.saved.retained.as_ref().filter(|_| kept.retained.is_some());
        let retained_blob = retained_blob.map(|retained| &retained.blob);
        let id = ContentId::of(&kept.saved.record.blob, retained_blob, &kept.versions);
        let parsed = match (kept.retained, Arc::into_inner(parsed)) {
            (None, Some(parsed)) => parsed,
            (retained, _) => self.read(package, bytes, retained).await.map_err(broken)?,
        };
        Ok(Document {
            content: Arc::new(Content { id, parsed, versions: kept.versions, size }),
            saved: Arc::new(kept.saved),
            unconfirmed: None,
            outcome: CacheOutcome::Miss,
        })
    }

    async fn read(
        &self,
        package: &Package,
        bytes: Bytes,
        retained: Option<Bytes>,
    ) -> Result<F::Parsed, String> {
        let package = package.clone();
        tokio::task::spawn_blocking(move || F::parse(&package, bytes, retained))
            .await
            .map_err(|fault| format!("reading it failed: {fault}"))?
    }
}
