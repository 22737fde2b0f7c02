//! What processes used, read from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// A process and its descendants, itself first.
pub fn family(root: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some(parent) = fields(&stat).get(1).and_then(|field| field.parse().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}

/// What stands behind the name in `stat`, which may hold spaces itself.
fn fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect())
}

/// CPU time at one moment: exact for each thread, and in ticks for each process.
pub struct Cpu {
    threads: HashMap<(u32, String), u64>,
    ticks: HashMap<u32, u64>,
}

/// `sysconf(_SC_CLK_TCK)` is 100 wherever Linux runs.
const TICK: Duration = Duration::from_millis(10);

impl Cpu {
    pub fn of(root: u32) -> Self {
        let (mut threads, mut ticks) = (HashMap::new(), HashMap::new());
        for pid in family(root) {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let used: Vec<u64> = fields(&stat)
                .get(11..13)
                .into_iter()
                .flatten()
                .filter_map(|field| field.parse().ok())
                .collect();
            ticks.insert(pid, used.iter().sum());
            for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                let spent = text.split_whitespace().next().and_then(|field| field.parse().ok());
                let thread = task.file_name().to_string_lossy().into_owned();
                threads.insert((pid, thread), spent.unwrap_or(0));
            }
        }
        Self { threads, ticks }
    }

    /// What was used between two moments. A thread that ended in between takes its time with it,
    /// so the ticks of `/proc/PID/stat`, which do not forget, are the least that it was.
    pub fn since(&self, before: &Self) -> Duration {
        let exact = self.threads.iter().map(|(thread, after)| {
            after.saturating_sub(before.threads.get(thread).copied().unwrap_or(0))
        });
        let ticks = self
            .ticks
            .iter()
            .map(|(pid, after)| after.saturating_sub(before.ticks.get(pid).copied().unwrap_or(0)));
        let ticks = u32::try_from(ticks.sum::<u64>()).unwrap_or(u32::MAX);
        // Both readings are cut to whole ticks.
        Duration::from_nanos(exact.sum()).max(TICK * ticks.saturating_sub(1))
    }
}

/// A line of `status` such as `VmRSS:`, of a process and its descendants, in MB.
pub fn memory(root: u32, line: &str) -> f64 {
    let of = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let found = status.lines().find_map(|known| known.strip_prefix(line));
        let kilobytes = found.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or(0.0)
    };
    family(root).into_iter().map(of).sum::<f64>() * 1024.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "12 (a) b (c) S 7 12 12 0 -1 4194560 1 2 3 4 55 66 0 0 20";
        assert_eq!(fields(stat)[1], "7");
        assert_eq!(&fields(stat)[11..13], ["55", "66"]);
    }

    #[test]
    fn work_of_this_process_is_seen() {
        let before = Cpu::of(std::process::id());
        let mut sum = 0u64;
        for number in 0..20_000_000u64 {
            sum = sum.wrapping_mul(31).wrapping_add(std::hint::black_box(number));
        }
        std::hint::black_box(sum);
        let used = Cpu::of(std::process::id()).since(&before);
        assert!(used > Duration::from_millis(1), "{used:?}");
        assert!(memory(std::process::id(), "VmRSS:") > 1.0);
    }
}
