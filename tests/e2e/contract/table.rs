//! Every kind of rule by every route, spelling and condition of a request, in every state that a
//! server can be in. All rows live in one garden, so that a state costs one server and not one for
//! each row.
//!
//! Of each row, whoever is refused is refused by every route, with the reason, the rule and what to
//! do, and the upstream is never asked for a byte of it; where an older version may be shown, nothing
//! of the newer one is. Whoever is not refused is served in between, so that what is kept for the
//! one would be seen with the other.

mod asking;
mod judging;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::json;
use support::http::{Asked, Line};
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

use super::kinds::{Case, NEW, OLD, Shape, Who, cases, refusing, serving};
use super::{Behind, FORMATS, Format, Subject};
use judging::State;

/// Connections that ask at once.
const LINES: usize = 4;
/// So many of all that is wrong are told.
const TOLD: usize = 30;

struct Garden {
    format: &'static Format,
    up: ScriptedUpstream,
    garth: TestServer,
    cases: Vec<Case>,
    /// What must be served all the same.
    served: Vec<Case>,
    tokens: HashMap<Who, String>,
    /// What their answers were known by while everything was allowed.
    etags: HashMap<String, Vec<String>>,
    /// Those of answers that had a new version in them.
    etags_with_new: BTreeSet<String>,
    /// So that no two rounds ask for the same.
    round: usize,
    faults: Mutex<Vec<String>>,
}

impl Garden {
    /// With everything published at the upstream, and these rules in force.
    async fn start(format: &'static Format, rules: impl Fn(&[Case]) -> String) -> Self {
        let up = ScriptedUpstream::start().await;
        let (refused, served) = (cases(format, refusing()), cases(format, serving()));
        for case in refused.iter().chain(&served) {
            (format.release)(&up, &case.package, &case.releases());
        }
        let setup = format.setup(&up, "");
        let all: Vec<Case> = refused.iter().chain(&served).cloned().collect();
        setup.write_policy("rules", &rules(&all));
        let garth = setup.start();
        let mut tokens = HashMap::new();
        for who in Who::ALL {
            if let Some(team) = who.team() {
                garth.run(&["team", "create", team]);
                let name = team.replace('/', "-");
                let token = garth.run(&["token", "create", &name, "--team", team]);
                tokens.insert(who, token.trim().to_owned());
            }
        }
        let (etags, round, faults) = (HashMap::new(), 0, Mutex::default());
        let etags_with_new = BTreeSet::new();
        let cases = refused;
        Self { format, up, garth, cases, served, tokens, etags, etags_with_new, round, faults }
    }

    fn all(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().chain(&self.served)
    }

    fn table(format: &Format, cases: &[Case]) -> String {
        cases.iter().map(|case| case.rules(format)).collect()
    }

    fn import_advisories(&self) {
        let name = self.format.name;
        let directory = self.garth.setup().directory().join("advisories").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        for (place, case) in self.all().enumerate() {
            if let Some(record) = case.advisory(place, self.format.advised_as) {
                std::fs::write(directory.join(format!("{place}.json")), record.to_string())
                    .unwrap();
            }
        }
        let directory = directory.parent().unwrap().display().to_string();
        self.garth.run(&["advisories", "import", &directory, "--complete"]);
    }

    /// Everybody has everything, and what it is known by is written down.
    async fn warm(&mut self) {
        let format = self.format;
        let shares = shares(self.all().cloned().collect());
        let garth = &self.garth;
        let warmed = join_all(shares.iter().map(|share| async move {
            let mut line = Line::to(garth);
            let mut etags = Vec::new();
            for case in share {
                for (endpoint, subject) in format
                    .gates()
                    .flat_map(|endpoint| [(endpoint, case.older()), (endpoint, case.newer())])
                {
                    let path = &endpoint.spelled(format, &subject)[0].path;
                    for accept in ["*/*"].iter().chain(format.forms) {
                        let asked = Asked::get(path).header("Accept", accept);
                        let answer = line.ask(&asked).await;
                        assert_eq!(answer.status, 200, "{}: {path}: {}", case.key, answer.text());
                        let etag = answer.header("etag").map(str::to_owned);
                        let is_new = subject.version == NEW;
                        etags.extend(etag.map(|etag| (case.key.clone(), etag, is_new)));
                    }
                    // Kept, when it is an artifact.
                    line.ask(&Asked::get(path).header("Range", "bytes=0-0")).await;
                }
            }
            etags
        }))
        .await;
        for (key, etag, is_new) in warmed.into_iter().flatten() {
            if is_new {
                self.etags_with_new.insert(etag.clone());
            }
            let of_case: &mut Vec<String> = self.etags.entry(key).or_default();
            if !of_case.contains(&etag) {
                of_case.push(etag);
            }
        }
    }

    /// The rules of all rows, and no others, from now on.
    async fn put_in_force(&self) {
        let all: Vec<Case> = self.all().cloned().collect();
        self.garth.setup().write_policy("rules", &Self::table(self.format, &all));
        let refused = &self.cases[0];
        let path = self.format.gates().next().expect("a route behind the gate");
        let asked = Asked::get(&path.spelled(self.format, &refused.newer())[0].path);
        self.garth.wait_for(&asked, |answer| answer.status == 403).await;
    }

    fn asked_by(&self, asked: Asked, who: Who) -> Asked {
        match self.tokens.get(&who) {
            Some(token) => asked.header("Authorization", &format!("Bearer {token}")),
            None => asked,
        }
    }

    async fn check(&mut self, state: State) {
        self.round += 1;
        self.up.forget_requests();
        let all: Vec<(usize, Case)> = self.cases.iter().cloned().enumerate().collect();
        let shares = shares(all);
        let garden = &*self;
        let asked = join_all(shares.iter().map(|share| async move {
            let mut line = Line::to(&garden.garth);
            let mut count = 0;
            for (place, case) in share {
                let checks = garden.checks(*place, case, state);
                // Some at once: one request behind the other, before the first is answered.
                for some in checks.chunks(1 + (place + garden.round) % 5) {
                    let asked: Vec<Asked> = some.iter().map(|check| check.asked.clone()).collect();
                    let answers = line.ask_all(&asked).await;
                    for (check, answer) in some.iter().zip(answers) {
                        let wrong = garden.judge(check, &answer, state);
                        garden.faults.lock().extend(wrong);
                    }
                }
                count += checks.len();
            }
            count
        }))
        .await;
        assert!(asked.iter().sum::<usize>() > 10 * self.cases.len(), "hardly anything was asked");
        self.check_what_is_listed(state).await;
        self.check_what_was_fetched();
    }

    /// What shows all that there is shows it to nobody who may not see it.
    async fn check_what_is_listed(&self, state: State) {
        let mut line = Line::to(&self.garth);
        for (who, path) in Who::ALL
            .iter()
            .flat_map(|who| self.format.listings.iter().map(move |path| (*who, path)))
        {
            let asked = self.asked_by(Asked::get(path), who);
            let answer = line.ask(&asked).await;
            assert!(answer.status == 200 || state == State::Ailing, "{path}: {}", answer.text());
            let of_them = self.cases.iter().filter(|case| case.is_refused_to(who));
            let text = answer.text();
            let of_old_ones = self.cases.iter().filter(|case| text.contains(&case.marker(OLD)));
            let is_listed = of_old_ones.count() > 20 && state == State::Well;
            assert!(is_listed || state == State::Ailing, "{path} lists nothing: {text}");
            for case in of_them.filter(|case| text.contains(&case.marker(NEW))) {
                let told = format!("{} is shown to {who:?} by {path}", case.key);
                self.faults.lock().push(told);
            }
        }
    }

    /// Nothing that nobody may have was asked of the upstream.
    fn check_what_was_fetched(&self) {
        let fetched: BTreeSet<String> =
            self.up.recorded().into_iter().map(|asked| asked.path).collect();
        let looks = |case: &&Case| {
            let rules = case.rules(self.format);
            self.format.looks_for.iter().any(|word| rules.contains(word))
        };
        let refused = self.cases.iter().filter(|case| case.row.refused_to == Who::ALL);
        for case in refused.filter(|case| !looks(case)) {
            let mut subjects = vec![case.newer()];
            subjects.extend((case.shape == Shape::Whole).then(|| case.older()));
            for path in subjects.iter().flat_map(|subject| (self.format.fetched_of)(subject)) {
                if fetched.contains(&path) {
                    self.faults.lock().push(format!("{}: {path} was fetched", case.key));
                }
            }
        }
    }

    /// What must be served is, and what only observes was recorded.
    async fn check_what_is_served(&mut self) {
        let mut line = Line::to(&self.garth);
        for case in &self.served {
            for endpoint in self.format.gates() {
                let path = &endpoint.spelled(self.format, &case.newer())[0].path;
                let asked = self.asked_by(Asked::get(path), Who::ALL[self.round % 4]);
                let answer = line.ask(&asked).await;
                if answer.status != 200 {
                    let fault = format!("{}: {path} is not served: {}", case.key, answer.text());
                    self.faults.lock().push(fault);
                }
            }
        }
    }

    /// `/decisions` says the same as the routes did, and by which code.
    async fn check_what_is_said_of_it(&self) {
        let token = format!("Bearer {}", self.garth.admin_token());
        let mut line = Line::to(&self.garth);
        for case in self.cases.iter().chain(&self.served) {
            let who = case.row.refused_to.first().copied().unwrap_or(Who::Nobody);
            let team = who.team().map(|team| format!("&team={team}")).unwrap_or_default();
            let (format, Subject { name, version }) = (self.format.name, case.newer());
            let path = format!("/api/v1/decisions?package={format}:{name}@{version}{team}");
            let answer = line.ask(&Asked::get(&path).header("Authorization", &token)).await;
            let decision = answer.json()["decision"].clone();
            let is_it = decision["code"] == case.row.code.as_str()
                && decision["effect"] == case.row.effect().as_str()
                && decision["rule"] == json!(case.rule());
            if !is_it {
                self.faults.lock().push(format!("{}: {decision}", case.key));
            }
            if case.row.name == "observed" {
                let observed = json!({ "rule": format!("{}-1", case.key), "effect": "deny" });
                assert_eq!(decision["observed"], observed, "{decision}");
            }
        }
    }

    fn finish(self) {
        let faults = self.faults.into_inner();
        let told: Vec<&str> = faults.iter().take(TOLD).map(String::as_str).collect();
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), told.join("\n"));
    }

    fn restart(self) -> Self {
        let garth = self.garth.kill().start();
        Self { garth, ..self }
    }
}

/// Round about as much for each connection.
fn shares<T>(all: Vec<T>) -> Vec<Vec<T>> {
    let mut shares: Vec<Vec<T>> = (0..LINES).map(|_| Vec::new()).collect();
    for (place, one) in all.into_iter().enumerate() {
        shares[place % LINES].push(one);
    }
    shares
}

/// Every blob is another one than it was.
fn corrupt_blobs(setup: &Setup) -> usize {
    fn corrupt(directory: &Path, count: &mut usize) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                corrupt(&path, count);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0x10;
                std::fs::write(&path, bytes).unwrap();
                *count += 1;
            }
        }
    }
    let mut count = 0;
    corrupt(&setup.data().join("blobs"), &mut count);
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn what_any_rule_refuses_is_sent_by_no_route_cold_and_after_a_restart() {
    for format in FORMATS {
        let table = |cases: &[Case]| Garden::table(format, cases);
        let mut garden = Garden::start(format, table).await;
        garden.import_advisories();
        // Nothing is known of any package, then all that may be known, then what is on disk alone.
        garden.check(State::Well).await;
        garden.check_what_is_served().await;
        garden.check_what_is_said_of_it().await;
        garden.check(State::Well).await;
        let mut garden = garden.restart();
        garden.check(State::Well).await;
        garden.check_what_is_served().await;
        garden.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_any_rule_refuses_is_sent_by_no_route_though_it_is_held() {
    for format in FORMATS {
        let everything = format!(
            "[[rule]]\nname = \"all\"\neffect = \"allow\"\npackages = [\"{}:*\"]\n",
            format.name
        );
        let mut garden = Garden::start(format, |_| everything.clone()).await;
        garden.warm().await;
        garden.put_in_force().await;
        garden.import_advisories();
        garden.check(State::Well).await;
        garden.check_what_is_served().await;
        garden.check_what_is_said_of_it().await;
        garden.up.go_offline();
        garden.check(State::Well).await;
        let mut garden = garden.restart();
        garden.check(State::Well).await;
        garden.check_what_is_served().await;

        let Garden { garth, .. } = garden;
        let (setup, _) = garth.stop();
        assert!(corrupt_blobs(&setup) > 2 * garden.cases.len());
        let mut garden = Garden { garth: setup.start(), ..garden };
        garden.check(State::Ailing).await;
        garden.up.go_online();
        garden.check(State::Ailing).await;
        garden.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_any_rule_refuses_is_sent_by_no_route_when_nothing_is_known_and_nobody_can_be_asked() {
    for format in FORMATS {
        let table = |cases: &[Case]| Garden::table(format, cases);
        let mut garden = Garden::start(format, table).await;
        garden.import_advisories();
        garden.up.go_offline();
        garden.check(State::Ailing).await;
        garden.finish();
    }
}

/// The table speaks of every route that there is: those that it leaves out say nothing of packages.
#[test]
fn every_route_that_says_something_of_a_package_is_in_the_table() {
    for format in FORMATS {
        for endpoint in format.endpoints {
            let names_one = endpoint.paths.iter().any(|path| path.contains("{package}"));
            let is_open = endpoint.behind("GET") == Some(Behind::Nothing);
            let case = &cases(format, refusing())[0];
            let beside = (format.beside)(&case.newer());
            let asks = |asked: &Asked| {
                let path = asked.path().split('?').next().unwrap_or_default().to_owned();
                let below = path.strip_prefix(&format!("/{}", format.name)).unwrap_or_default();
                (format.endpoint_of)(below) == Some(endpoint.name)
            };
            if names_one && is_open {
                assert!(beside.iter().any(asks), "{} of {}", endpoint.name, format.name);
            }
        }
        let subject = Subject { name: format.seed().name, version: OLD };
        for place in super::PLACES {
            assert!((format.spellings)(&subject, place).len() > 1, "{place} of {}", format.name);
        }
    }
}
