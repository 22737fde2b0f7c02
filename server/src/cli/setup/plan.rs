//! What changes in which file, worked out before anything is written: a file that cannot be changed stops
//! all of it. Blocking.
//!
//! A file is changed from what it was before garth: an earlier change is taken back first, in memory, so
//! that a second `--write` with another address leaves one change to take back and not two.

use std::path::Path;

use super::edits::{Edit, Lines};
use super::files::Snapshot;
use super::machine::{Layout, Machine, Sets, Target};
use super::npmrc::Dialect;
use super::record::{Record, Records, User};
use super::report::{FileReport, State, shown};
use super::{Client, Wanted};

/// The mode of a new file: tokens come to stand in a person's own, a project's is for all who build it.
const OWN_MODE: u32 = 0o600;
const PROJECT_MODE: u32 = 0o644;

pub struct Plan {
    pub changes: Vec<Change>,
}

pub struct Change {
    snapshot: Snapshot,
    /// What the file will say.
    pub text: String,
    record: Record,
    mode: u32,
}

impl Plan {
    pub fn make(
        client: Client,
        machine: &Machine,
        layout: &Layout,
        wanted: &Wanted<'_>,
    ) -> Result<Self, String> {
        let changes = layout.targets.iter();
        let changes = changes.map(|target| Change::make(client, machine, target, wanted));
        Ok(Self { changes: changes.collect::<Result<_, _>>()? })
    }

    /// Writes it: each record first, so that a change without one can not be.
    pub fn carry_out(&self, machine: &Machine) -> Result<(), String> {
        let records = Records::of(&machine.env, &machine.home);
        for change in &self.changes {
            let path = &change.snapshot.path;
            let failed = |error: std::io::Error| {
                format!("{} could not be changed: {error}", machine.shown(path))
            };
            let is_ours = !change.record.edits.is_empty();
            if is_ours {
                records.save(&change.record).map_err(failed)?;
            }
            if change.differs() {
                change.snapshot.replace(&change.text, change.mode).map_err(failed)?;
            }
            if !is_ours {
                records.remove(path).map_err(failed)?;
            }
        }
        Ok(())
    }

    pub fn told(&self, machine: &Machine, written: bool) -> Vec<FileReport> {
        let report = |change: &Change| {
            let is_new = change.snapshot.text.is_none();
            let state = match (change.differs(), written, is_new) {
                (false, ..) => State::Unchanged,
                (true, false, true) => State::WouldBeMade,
                (true, false, false) => State::WouldChange,
                (true, true, true) => State::Made,
                (true, true, false) => State::Changed,
            };
            let edits = if change.differs() { change.record.edits.as_slice() } else { &[] };
            FileReport {
                file: machine.shown(&change.snapshot.path),
                state,
                changes: edits.iter().map(shown).collect(),
                lost: Vec::new(),
            }
        };
        // A file that garth neither changes nor finds changed is none of its business.
        let concerned = |change: &&Change| change.differs() || change.snapshot.text.is_some();
        self.changes.iter().filter(concerned).map(report).collect()
    }
}

impl Change {
    fn make(
        client: Client,
        machine: &Machine,
        target: &Target,
        wanted: &Wanted<'_>,
    ) -> Result<Self, String> {
        let snapshot = Snapshot::take(&target.path)?;
        let before = Records::of(&machine.env, &machine.home).load(&snapshot.path)?;
        let mut lines = Lines::of(snapshot.text.as_deref().unwrap_or_default());
        let mut users = vec![User { client, sets: target.sets }];
        let mut token_env = wanted.token_env.map(str::to_owned);
        let mut made = snapshot.text.is_none();
        if let Some(before) = before {
            // What somebody has changed since counts as theirs.
            let _ = lines.undo(&before.edits);
            made = before.made;
            users.extend(before.users.into_iter().filter(|user| user.client != client));
            if users.len() > 1 {
                token_env = token_env.or(before.token_env);
            }
        }
        let base = lines.text();
        let sets = users.iter().map(|user| user.sets).reduce(Sets::and).unwrap_or(target.sets);
        let is_yarns = users.iter().any(|user| user.client == Client::Yarn);
        let dialect = if is_yarns { Dialect::Yarn } else { Dialect::Npm };
        let wanted = Wanted { token_env: token_env.as_deref(), ..*wanted };
        let edits = target.notation.edits(&base, sets, &wanted, dialect).map_err(|fault| {
            let file = machine.shown(&snapshot.path);
            format!("{file}:{}: {}; {}", fault.line, fault.why, fault.remedy)
        })?;
        lines.apply(&edits);
        let path = snapshot.path.clone();
        let record = Record { path, made, users, token_env, edits };
        let mode = if machine.project.is_some() { PROJECT_MODE } else { OWN_MODE };
        Ok(Self { text: lines.text(), snapshot, record, mode })
    }

    pub fn path(&self) -> &Path {
        &self.snapshot.path
    }

    fn differs(&self) -> bool {
        self.snapshot.text.as_deref().unwrap_or_default() != self.text
    }
}

/// Takes back what was changed for this client.
pub fn take_back(
    client: Client,
    machine: &Machine,
    layout: &Layout,
) -> Result<Vec<FileReport>, String> {
    let records = Records::of(&machine.env, &machine.home);
    let mut reports = Vec::new();
    for target in &layout.targets {
        let snapshot = Snapshot::take(&target.path)?;
        let Some(mut record) = records.load(&snapshot.path)? else { continue };
        let of_client = |user: &User| user.client == client;
        if !record.users.iter().any(of_client) {
            continue;
        }
        record.users.retain(|user| !of_client(user));
        let failed = |error: std::io::Error| {
            format!("{} could not be changed: {error}", machine.shown(&snapshot.path))
        };
        if !record.users.is_empty() {
            records.save(&record).map_err(failed)?;
            let clients = record.users.iter().map(|user| user.client).collect();
            reports.push(FileReport::new(machine, &snapshot.path, State::KeptFor(clients)));
            continue;
        }
        let mut report = undo(&snapshot, &record).map_err(failed)?;
        report.file = machine.shown(&snapshot.path);
        records.remove(&snapshot.path).map_err(failed)?;
        reports.push(report);
    }
    Ok(reports)
}

fn undo(snapshot: &Snapshot, record: &Record) -> std::io::Result<FileReport> {
    let mut lines = Lines::of(snapshot.text.as_deref().unwrap_or_default());
    let lost: Vec<Edit> = lines.undo(&record.edits).into_iter().cloned().collect();
    let text = lines.text();
    let state = if snapshot.text.is_none() {
        State::Gone
    } else if record.made && text.trim().is_empty() {
        snapshot.remove()?;
        State::Removed
    } else {
        snapshot.replace(&text, OWN_MODE)?;
        State::TakenBack
    };
    let found = record.edits.iter().filter(|edit| !lost.contains(edit));
    let reversed = found.map(|edit| {
        let mut change = shown(edit);
        std::mem::swap(&mut change.old, &mut change.new);
        change
    });
    Ok(FileReport {
        file: String::new(),
        state,
        changes: reversed.collect(),
        lost: lost.iter().map(shown).collect(),
    })
}
