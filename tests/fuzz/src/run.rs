//! One target, many inputs: until one fails, or the time or the count is over.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::mutate::{Random, mutate};
use crate::targets::Target;

/// More inputs than these do not join the corpus of a run.
const MAX_CORPUS: usize = 20_000;

/// When a run is over.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Count(u64),
    Time(Duration),
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ran {
    pub inputs: u64,
    /// Different things that the target did.
    pub behaviours: usize,
    pub slowest: Duration,
}

/// An input under which something that must hold does not.
#[derive(Clone, Debug)]
pub struct Failure {
    pub input: Vec<u8>,
    pub why: String,
}

/// Runs the seeds, and then what is made of them. `before` is told of each input, so that it is
/// known even if the process does not survive it.
pub fn run(
    target: &Target,
    seeds: Vec<Vec<u8>>,
    seed: u64,
    until: Until,
    slowest: Duration,
    mut before: impl FnMut(&[u8]),
) -> Result<Ran, Failure> {
    let start = Instant::now();
    let mut random = Random::new(seed);
    let mut seen = HashSet::new();
    let mut ran = Ran::default();
    let mut corpus = Vec::new();
    let mut waiting = seeds;
    waiting.reverse();
    loop {
        let over = match until {
            Until::Count(count) => ran.inputs >= count,
            Until::Time(time) => start.elapsed() >= time,
        };
        // All seeds are tried, however short the run.
        let (input, is_seed) = match waiting.pop() {
            Some(seed) => (seed, true),
            None if over => break,
            None => (made(&corpus, target, &mut random), false),
        };
        before(&input);
        let (behaviour, took) = try_one(target, &input, slowest)?;
        ran.inputs += 1;
        ran.slowest = ran.slowest.max(took);
        // Each of them joins, not only the first that is new.
        let known = seen.len();
        seen.extend(behaviour);
        if (seen.len() > known || is_seed) && corpus.len() < MAX_CORPUS {
            corpus.push(input);
        }
    }
    ran.behaviours = seen.len();
    Ok(ran)
}

fn made(corpus: &[Vec<u8>], target: &Target, random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| corpus.get(random.below(corpus.len()));
    let first = pick(random).map_or(&[][..], Vec::as_slice);
    let second = pick(random).map_or(&[][..], Vec::as_slice);
    mutate(first, second, target.words, random)
}

/// How the target behaved, and for how long.
pub fn try_one(
    target: &Target,
    input: &[u8],
    slowest: Duration,
) -> Result<(Vec<u64>, Duration), Failure> {
    let failed = |why: String| Failure { input: input.to_vec(), why };
    let start = Instant::now();
    let tried = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = start.elapsed();
    match tried {
        Ok(_) if took > slowest => Err(failed(format!("it took {took:?}, more than {slowest:?}"))),
        Ok(behaviour) => Ok((behaviour, took)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(failed(text.unwrap_or_else(|| "it panicked".to_owned())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{corpus, targets};

    /// The time that one input may take in a build without optimisation, on a busy machine.
    const SLOW: Duration = Duration::from_secs(20);

    /// The same inputs each time: what a long run found is kept as a seed or as a test of its own.
    fn short(name: &str) {
        // All of them share a process, whose threads have stacks and arenas of their own.
        crate::memory::bound(2 * crate::memory::MOST).unwrap();
        let target = targets::find(name).expect("a target of this name");
        let seeds = corpus::read(name).expect("the corpus can be read");
        assert!(!seeds.is_empty(), "no seeds");
        match run(target, seeds, 1, Until::Count(3000), SLOW, |_| {}) {
            Ok(ran) => assert!(ran.behaviours > 20, "{ran:?}"),
            Err(Failure { input, why }) => {
                panic!("{why}\nwith {:?}", String::from_utf8_lossy(&input))
            }
        }
    }

    macro_rules! short_runs {
        ($($test:ident: $target:literal),* $(,)?) => {
            $(#[test]
            fn $test() {
                short($target);
            })*
            const TRIED: &[&str] = &[$($target),*];
        };
    }

    short_runs! {
        rules_survive_broken_input: "rules",
        patterns_survive_broken_input: "patterns",
        conditions_survive_broken_input: "conditions",
        ranges_survive_broken_input: "ranges",
        paths_survive_broken_input: "paths",
        packuments_survive_broken_input: "packuments",
        index_files_survive_broken_input: "index-files",
        tarballs_survive_broken_input: "tarballs",
        crates_survive_broken_input: "crates",
        announcements_survive_broken_input: "announcements",
    }

    #[test]
    fn what_wants_too_much_memory_is_stopped() {
        crate::memory::bound(2 * crate::memory::MOST).unwrap();
        let mut wanted: Vec<u8> = Vec::new();
        let bytes = usize::try_from(2 * crate::memory::MOST).unwrap();
        assert!(wanted.try_reserve_exact(bytes).is_err());
    }

    #[test]
    fn each_target_has_its_test_and_its_seeds() {
        let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
        assert_eq!(names, TRIED);
        for name in names {
            assert!(!corpus::read(name).unwrap().is_empty(), "{name} has seeds");
        }
    }

    #[test]
    fn a_failure_names_its_input() {
        let bad = Target {
            name: "bad",
            words: &["x"],
            run: |input| {
                assert!(!input.contains(&b'x'), "there is an x");
                Vec::new()
            },
        };
        let failure = run(&bad, vec![b"y".to_vec()], 1, Until::Count(10_000), SLOW, |_| {});
        let failure = failure.expect_err("an x is made soon");
        assert!(failure.input.contains(&b'x') && failure.why.contains("there is an x"));
        let slow = Target { name: "slow", words: &[], run: |_| Vec::new() };
        assert!(try_one(&slow, b"", Duration::ZERO).is_err(), "nothing is that fast");
    }
}
