//! Bringing what is held of a document to the state of its upstream.

use std::sync::Arc;

use bytes::Bytes;
use policies::package::{Package, Version};

use super::super::content::{Content, ContentId};
use super::super::format::DocumentFormat;
use super::super::freshness::age;
use super::super::store::{Saved, Update};
use super::super::{CacheOutcome, PullError, SMALL_WORK, Source, own};
use super::{
    Document, DocumentKey, DocumentRequest, Documents, Found, Held, Need, Reading, key_of,
};
use crate::observability::escape::bounded;
use crate::upstream::{DocumentAnswer, Upstream, UpstreamBody, Validators};

/// Of the versions that a document has and we do not offer, so many are in the log.
const LEFT_OUT_TOLD: usize = 5;
/// Of what is wrong with a document, which may be said in its own words, so many characters.
const CAUSE_TOLD: usize = 300;

impl<F: DocumentFormat> Documents<F> {
    /// From memory, else from the store. What can not be read, and what another upstream said,
    /// counts as not there, so that it is fetched again.
    pub(super) async fn load(
        &self,
        source: &Source,
        request: &DocumentRequest,
        key: &DocumentKey,
        need: &Need,
    ) -> Result<Held<F>, PullError> {
        let in_memory = self.loaded.get(key);
        if let Some(document) = &in_memory {
            let content = self.content_in_memory(key, document);
            if content.is_some() || matches!(need, Need::Fresh) {
                let saved = Some(Arc::clone(&document.saved));
                return Ok(Held { document: in_memory, content, remains: None, saved });
            }
        }
        let nothing = |saved| Held { document: None, content: None, remains: None, saved };
        let saved = if let Some(document) = &in_memory {
            Some(Arc::clone(&document.saved))
        } else {
            self.store.read_saved(source, &request.package).await?.map(Arc::new)
        };
        let Some(saved) = saved else { return Ok(nothing(None)) };
        // What was published here stays own, whatever the settings say of its name now.
        if !saved.is_own() && saved.record.upstream != source.address() {
            tracing::info!(registry = %source.registry, package = %request.package, "what is held of this document is another upstream's");
            return Ok(nothing(Some(saved)));
        }
        let Some(content) = self.read_content(source, request, &saved).await? else {
            let remains = match &saved.retained {
                Some(retained) => self.store.read_blob(&retained.blob, retained.size).await?,
                None => None,
            };
            let remains = match remains {
                Some(remains) => self.read(&request.package, remains, None).await.ok(),
                None => None,
            };
            return Ok(Held { document: None, content: None, remains, saved: Some(saved) });
        };
        let document = Document {
            content: content.id,
            size: content.size,
            saved: Arc::clone(&saved),
            unconfirmed: in_memory.and_then(|document| document.unconfirmed),
            outcome: CacheOutcome::Hit,
        };
        let document = Some(document);
        Ok(Held { document, content: Some(content), remains: None, saved: Some(saved) })
    }

    /// What is held of a document that has this version, without asking any upstream; `None` where
    /// nothing is held, or not of that upstream.
    pub async fn held(
        &self,
        source: &Source,
        request: &DocumentRequest,
        version: &Version,
    ) -> Result<Option<Arc<Content<F::Parsed>>>, PullError> {
        let key = key_of(source, request);
        // The bytes of an own document go with the change that replaces it.
        let _turn = self.turns.take(&key).await;
        Ok(self.load(source, request, &key, &Need::Version(version.clone())).await?.content)
    }

    /// What lies in the store, parsed, and kept in memory from now on where it fits. `None` if it
    /// is gone, damaged, or can not be read.
    pub(in super::super) async fn read_content(
        &self,
        source: &Source,
        request: &DocumentRequest,
        saved: &Saved,
    ) -> Reading<F::Parsed> {
        let package = &request.package;
        let retained_size = saved.retained.as_ref().map_or(0, |retained| retained.size);
        let _place = self.room.place(saved.record.size.saturating_add(retained_size)).await?;
        let newest = self.store.read_blob(&saved.record.blob, saved.record.size).await?;
        let Some(newest) = newest else {
            return if saved.is_own() { Err(self.store.lost(package)) } else { Ok(None) };
        };
        let retained = match &saved.retained {
            Some(retained) => self.store.read_blob(&retained.blob, retained.size).await?,
            None => None,
        };
        let size = newest.len() + retained.as_ref().map_or(0, Bytes::len);
        let retained_blob = saved.retained.as_ref().filter(|_| retained.is_some());
        let retained_blob = retained_blob.map(|retained| &retained.blob);
        let mut versions = self.store.read_versions(&source.registry, package).await?;
        match self.read(package, newest, retained).await {
            Ok(parsed) => {
                if saved.is_own() {
                    own::complete(&mut versions, &F::claims(&parsed), saved.record.fetched);
                }
                let id = ContentId::of(&saved.record.blob, retained_blob, &versions);
                let content =
                    Content { id, parsed: Arc::new(parsed), versions: versions.into(), size };
                let key = key_of(source, request);
                Ok(Some(self.contents.insert(key, content, saved, &self.store)))
            }
            Err(cause) if saved.is_own() => {
                tracing::error!(registry = %source.registry, %package, cause, "an own document can not be read");
                Err(self.store.lost(package))
            }
            Err(cause) => {
                // What was kept was parsed before; only another version of garth reads it otherwise.
                tracing::error!(registry = %source.registry, %package, cause, "a kept document can not be read; it is fetched again");
                Ok(None)
            }
        }
    }

    pub(super) async fn confirm_or_fetch(
        &self,
        source: &Source,
        request: &DocumentRequest,
        mut held: Held<F>,
    ) -> Result<Found<F::Parsed>, PullError> {
        let upstream = match (&source.upstream, held.document) {
            (Some(upstream), document) if !document.as_ref().is_some_and(Document::is_own) => {
                held.document = document;
                upstream
            }
            (_, document) => {
                let document = document.ok_or(PullError::Absent)?;
                return Ok(Found { document, content: held.content });
            }
        };
        let validators = held.document.as_ref().map(|document| Validators {
            etag: document.saved.record.etag.clone(),
            last_modified: document.saved.record.last_modified.clone(),
        });
        let answer = upstream
            .document(&(request.path)(&request.package), request.accept, validators.as_ref())
            .await
            .map_err(|fault| PullError::from_upstream(upstream, fault))?;
        match (answer, held) {
            (DocumentAnswer::NotModified, Held { document: Some(before), content, .. }) => {
                let document = self.confirm(source, request, before).await;
                Ok(Found { document, content })
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
        before: Document,
    ) -> Document {
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
    ) -> Result<Found<F::Parsed>, PullError> {
        let package = &request.package;
        let broken = |cause: String| PullError::Broken {
            upstream: upstream.name().to_owned(),
            cause: format!(
                "what it gave for {package} is no document of it: {}",
                bounded(&cause, CAUSE_TOLD)
            ),
        };
        let collected = self.room.collect(upstream, &mut body).await?;
        let bytes = collected.bytes.clone();
        let parsed = self.read(package, bytes.clone(), None).await.map_err(broken)?;
        let left_out = F::left_out(&parsed);
        if !left_out.is_empty() {
            let told = left_out.iter().take(LEFT_OUT_TOLD);
            let told: Vec<String> =
                told.map(|one| format!("{}: {}", one.version, one.why)).collect();
            let (count, first) = (left_out.len(), told.join("; "));
            tracing::warn!(registry = %source.registry, %package, count, first, "versions are left out, because they can not be checked");
        }
        let before = match (held.content, &held.document) {
            (None, Some(document)) => self.read_content(source, request, &document.saved).await?,
            (content, _) => content,
        };
        // What is compared meanwhile is written down before or after.
        let _turn = self.turns.take(&key_of(source, request)).await;
        let (known, places) = self.store.read_version_places(&source.registry, package).await?;
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
            places,
            before,
            remains: held.remains,
            saved: held.saved,
        };
        let parsed = Arc::clone(&update.parsed);
        let kept = self.store.keep_document(update).await?;
        let size = bytes.len() + kept.retained.as_ref().map_or(0, Bytes::len);
        let retained_blob = kept.saved.retained.as_ref().filter(|_| kept.retained.is_some());
        let retained_blob = retained_blob.map(|retained| &retained.blob);
        let id = ContentId::of(&kept.saved.record.blob, retained_blob, &kept.versions);
        let parsed = match kept.retained {
            None => parsed,
            retained => Arc::new(self.read(package, bytes, retained).await.map_err(broken)?),
        };
        let content = Content { id, parsed, versions: kept.versions.into(), size };
        let key = key_of(source, request);
        let content = self.contents.insert(key, content, &kept.saved, &self.store);
        let document = Document {
            content: id,
            size,
            saved: Arc::new(kept.saved),
            unconfirmed: None,
            outcome: CacheOutcome::Miss,
        };
        Ok(Found { document, content: Some(content) })
    }

    pub(in super::super) async fn read(
        &self,
        package: &Package,
        bytes: Bytes,
        retained: Option<Bytes>,
    ) -> Result<F::Parsed, String> {
        if bytes.len() + retained.as_ref().map_or(0, Bytes::len) <= SMALL_WORK {
            return F::parse(package, bytes, retained);
        }
        let package = package.clone();
        tokio::task::spawn_blocking(move || F::parse(&package, bytes, retained))
            .await
            .map_err(|fault| format!("reading it failed: {fault}"))?
    }
}
