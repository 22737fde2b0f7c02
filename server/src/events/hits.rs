//! Advisories that speak of something in use: told once for each advisory and version, after an
//! import that brought the advisory or changed it.
//!
//! In use is what is held here, and what was asked for and served within the time for which that is
//! recorded. It is gone through in the order of the store, a page at a time, and only what an advisory
//! speaks of is kept in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use policies::advisories::Index;
use policies::facts::KnownAdvisory;
use policies::package::{Ecosystem, Package, Version};

use super::noticing::Noticer;
use super::sight::TEAMS;
use crate::audit::{Action, Entry};
use crate::metadata::records::{
    self, AdvisoriesRecord, AdvisoryRecord, ArtifactRecord, HitRecord, HitsRecord, Key, Prefix,
};
use crate::metadata::{Batch, MetadataError};

/// Records that are read at once.
const PAGE: usize = 500;
/// What one import is told of; of more, only their number.
const MOST: usize = 10_000;
/// Hits of one commit.
const AT_ONCE: usize = 100;
/// Teams that are named with one.
const MAX_TEAMS: usize = 10;
/// Packages of which it is remembered whether any advisory speaks of them.
const REMEMBERED: usize = 20_000;

/// Which advisories an import brought or changed.
enum Changed {
    All,
    /// By a hash of their ids.
    Some {
        seed: RandomState,
        ids: HashSet<u64>,
    },
}

impl Changed {
    fn has(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some { seed, ids } => ids.contains(&seed.hash_one(id)),
        }
    }
}

#[derive(Debug)]
struct Hit {
    advisory: KnownAdvisory,
    /// The bytes lie here.
    cached: bool,
    teams: BTreeSet<String>,
}

/// By advisory, package and version.
#[derive(Default)]
struct Hits {
    found: BTreeMap<(String, String, String), Hit>,
    more: u64,
}

impl Noticer {
    pub(super) async fn look_for_hits(&self) -> Result<(), MetadataError> {
        let store = self.metadata.as_ref();
        let Some(state) = records::read(store, &AdvisoriesRecord::key()).await? else {
            return Ok(());
        };
        let key = HitsRecord::key();
        let told = records::read_stored(store, &key).await?;
        let up_to = told.as_ref().map_or(0, |told| told.record.generation);
        let set = self.rules.current();
        let index = set.advisories();
        // What was imported is in force a moment later.
        if state.generation <= up_to || **index.revision() != *state.revision {
            return Ok(());
        }
        let changed = match &told {
            None => Changed::All,
            Some(_) => self.changed_since(up_to, &state).await?,
        };
        let mut hits = Hits::default();
        self.find_in_artifacts(index, &changed, &mut hits).await?;
        self.find_in_use(index, &changed, &mut hits).await?;
        self.tell_hits(hits).await?;
        let now = HitsRecord { generation: state.generation };
        let batch = Batch::default().expect_unchanged(&key, told.as_ref());
        store.commit(batch.put_record(&key, &now)).await
    }

    async fn changed_since(
        &self,
        up_to: u64,
        state: &AdvisoriesRecord,
    ) -> Result<Changed, MetadataError> {
        let (seed, mut ids) = (RandomState::new(), HashSet::new());
        let all = Prefix::<AdvisoryRecord>::all();
        let mut after = None;
        loop {
            let page = self.metadata.scan(all.as_bytes(), after.as_deref(), PAGE).await?;
            for entry in &page {
                let place = Key::parse(&entry.key).and_then(|key| <AdvisoryRecord>::place(&key));
                let newer = place
                    .filter(|place| place.generation > up_to && state.counts(place.generation));
                ids.extend(newer.map(|place| seed.hash_one(place.id.as_str())));
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
                _ => return Ok(Changed::Some { seed, ids }),
            }
        }
    }

    /// Nothing of a registry that is configured no more.
    fn package(&self, registry: &str, name: &str) -> Option<Package> {
        let of_name = |(known, _): &&(Arc<str>, Ecosystem)| **known == *registry;
        let (_, ecosystem) = self.registries.iter().find(of_name)?;
        Package::new(*ecosystem, name).ok()
    }

    async fn find_in_artifacts(
        &self,
        index: &Index,
        changed: &Changed,
        hits: &mut Hits,
    ) -> Result<(), MetadataError> {
        let all = Prefix::<ArtifactRecord>::all();
        let mut after = None;
        loop {
            let page = records::scan(self.metadata.as_ref(), &all, after.as_ref(), PAGE).await?;
            for (key, record) in &page {
                let parts = key.parts();
                let package = match parts.as_slice() {
                    [registry, name, ..] => self.package(registry, name),
                    _ => None,
                };
                if let Some(package) = package.filter(|package| index.speaks_of(package)) {
                    hits.look_at(index, changed, &package, &record.version, true, None);
                }
            }
            match page.last() {
                Some((key, _)) if page.len() == PAGE => after = Some(key.clone()),
                _ => return Ok(()),
            }
        }
    }

    async fn find_in_use(
        &self,
        index: &Index,
        changed: &Changed,
        hits: &mut Hits,
    ) -> Result<(), MetadataError> {
        let since = self.clock.now().checked_sub(self.in_use).unwrap_or(jiff::Timestamp::MIN);
        let mut reading = self.recorder.read(since).await?;
        let mut spoken_of: HashMap<Package, bool> = HashMap::new();
        while let Some(rows) = reading.next().await? {
            for (used, _) in rows {
                let Some(version) = used.version.filter(|_| used.outcome.served) else { continue };
                if spoken_of.len() >= REMEMBERED {
                    spoken_of.clear();
                }
                let package = used.package;
                let speaks =
                    *spoken_of.entry(package.clone()).or_insert_with(|| index.speaks_of(&package));
                if speaks {
                    let team = used.team.as_deref();
                    hits.look_at(index, changed, &package, version.as_str(), false, team);
                }
            }
        }
        Ok(())
    }

    async fn tell_hits(&self, hits: Hits) -> Result<(), MetadataError> {
        let store = self.metadata.as_ref();
        let now = self.clock.now();
        let revision = self.rules.current().revision().clone();
        let mut batch = Batch::default();
        let mut count = 0;
        for ((id, package, version), hit) in hits.found {
            let key = HitRecord::key(&id, &package, &version);
            if store.get(key.as_bytes()).await?.is_some() {
                continue;
            }
            let (Ok(named), Ok(_)) = (package.parse::<Package>(), Version::new(&version)) else {
                continue;
            };
            let entry = hit.entry(&id, &named, &version).revision(&revision);
            batch =
                batch.expect_absent(&key).put_record(&key, &HitRecord { at: now }).note(entry, now);
            count += 1;
            if count % AT_ONCE == 0 {
                store.commit(std::mem::take(&mut batch)).await?;
            }
        }
        if hits.more > 0 {
            let more = hits.more;
            let why = format!("{more} more that advisories of one import speak of are not named");
            let entry = Entry::by_garth(Action::AdvisoryHit).why(Some(&why)).detail("count", &more);
            batch = batch.note(entry, now);
        }
        if !batch.changes.is_empty() {
            store.commit(batch).await?;
        }
        if count > 0 {
            tracing::warn!(count, "advisories speak of versions that are in use");
        }
        Ok(())
    }
}

impl Hits {
    fn look_at(
        &mut self,
        index: &Index,
        changed: &Changed,
        package: &Package,
        version: &str,
        cached: bool,
        team: Option<&str>,
    ) {
        let Some(known) = index.of(package) else { return };
        let stands = |advisory: &KnownAdvisory| !advisory.withdrawn && changed.has(&advisory.id);
        for advisory in known.affecting(version).into_iter().filter(stands) {
            let key = (advisory.id.to_string(), package.to_string(), version.to_owned());
            if self.found.len() >= MOST && !self.found.contains_key(&key) {
                self.more += 1;
                continue;
            }
            let hit = self.found.entry(key).or_insert_with(|| {
                let teams = BTreeSet::new();
                Hit { advisory, cached: false, teams }
            });
            hit.cached |= cached;
            if let Some(team) = team
                && hit.teams.len() < MAX_TEAMS
            {
                hit.teams.insert(team.to_owned());
            }
        }
    }
}

impl Hit {
    fn entry(&self, id: &str, package: &Package, version: &str) -> Entry {
        let Self { advisory, cached, teams } = self;
        let list = |texts: Vec<&str>| Some(texts.join(", ")).filter(|text| !text.is_empty());
        let fixed = list(advisory.fixed.iter().map(|fixed| &**fixed).collect());
        let teams = list(teams.iter().map(String::as_str).collect());
        let why = if advisory.malicious {
            format!("{id} says that it was made to do harm")
        } else {
            format!("{id} speaks of it")
        };
        Entry::by_garth(Action::AdvisoryHit)
            .subject(id)
            .package(package)
            .versions(Some(version))
            .why(Some(&why))
            .detail_if("severity", advisory.severity.as_ref())
            .detail_if("fixed", fixed.as_ref())
            .detail_if("malicious", advisory.malicious.then_some(&"yes"))
            .detail_if("cached", cached.then_some(&"yes"))
            .detail_if(TEAMS, teams.as_ref())
    }
}
